"""The sandbox's layers, each on a process of its own, and what happens where some can't be had."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ksearch.judge.sandbox import landlock
from ksearch.judge.sandbox.confine import REFUSED
from ksearch.judge.sandbox.seccomp import AUDIT, JUMP_AT_LEAST, JUMP_EQUAL, JUMP_SET, RETURN, Policy, assemble
from ksearch.judge.sandbox.wall import WallPlan

JUMPS = (JUMP_EQUAL, JUMP_AT_LEAST, JUMP_SET)
PROBE = """
import os, sys
def tried(action):
    try: action(); return 'yes'
    except OSError: return 'no'
print('outside-read', tried(lambda: open(sys.argv[1]).read()))
print('outside-write', tried(lambda: open(sys.argv[1] + '.new', 'w')))
print('inside-write', tried(lambda: open('mine', 'w')))
print('fork', tried(lambda: os.fork() or os._exit(0)))
"""


def confined(
    tmp_path: Path, *, processes: bool = False, without: tuple[str, ...] = (), unsafe: bool = False
) -> subprocess.CompletedProcess[str]:
    scratch, outside = tmp_path / "scratch", tmp_path / "outside.txt"
    scratch.mkdir()
    outside.write_text("secret")
    plan = WallPlan(scratch=str(scratch), processes=processes, without=without, unsafe=unsafe)
    command = [
        sys.executable,
        "-m",
        "ksearch.judge.sandbox.confine",
        plan.model_dump_json(),
        str(os.getpid()),
        "--",
        sys.executable,
        "-c",
        PROBE,
        str(outside),
    ]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)


def test_nothing_is_run_for_a_parent_that_died_meanwhile(tmp_path: Path) -> None:
    """Killed while this program was starting: it is somebody else's child by now, and no signal would ever come."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    plan = WallPlan(scratch=str(tmp_path), processes=True)
    command = [sys.executable, "-m", "ksearch.judge.sandbox.confine", plan.model_dump_json(), str(gone.pid), "--", "touch", "ran"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    assert subprocess.run(command, env=environment, timeout=60, check=False).returncode == 1
    assert not (tmp_path / "ran").exists()


def answers(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    return dict(line.split() for line in done.stdout.splitlines())


needs_landlock = pytest.mark.skipif(landlock.version() == 0, reason="this kernel has no Landlock")


@needs_landlock
def test_only_the_scratch_folder_can_be_written_and_nothing_else_read(tmp_path: Path) -> None:
    found = answers(confined(tmp_path, processes=True, without=("namespaces",)))
    assert found == {"outside-read": "no", "outside-write": "no", "inside-write": "yes", "fork": "yes"}


def test_a_private_root_is_a_wall_where_landlock_is_missing(tmp_path: Path) -> None:
    done = confined(tmp_path, processes=True, without=("landlock",))
    if done.returncode == REFUSED:
        pytest.skip("no mount namespace here: " + done.stderr.strip())
    assert answers(done) == {"outside-read": "no", "outside-write": "no", "inside-write": "yes", "fork": "yes"}


def test_without_either_nothing_is_run_unless_the_user_accepts_it(tmp_path: Path) -> None:
    refused = confined(tmp_path, without=("landlock", "namespaces"))
    assert refused.returncode == REFUSED
    assert "--unsafe-runner" in refused.stderr
    (tmp_path / "again").mkdir()
    accepted = confined(tmp_path / "again", processes=True, without=("landlock", "namespaces"), unsafe=True)
    assert answers(accepted)["outside-read"] == "yes"


@pytest.mark.parametrize("machine", AUDIT)
@pytest.mark.parametrize("policy", [Policy(), Policy(processes=True, unix_sockets=True, pinned=True)])
def test_filters_have_no_jump_past_their_end(machine: str, policy: Policy) -> None:
    code = assemble(policy, machine)
    jumps = [place + 1 + max(true, false) for place, (kind, true, false, _) in enumerate(code) if kind in JUMPS]
    assert max(jumps) < len(code)
    assert code[-1][0] == RETURN
    assert len(code) < 4096
