"""SIGKILL at random moments: nothing acknowledged is lost, nothing settled runs again, nobody is left alive."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from ksearch.store.events import EvaluationSettled, parse_event
from ksearch.store.journal import read_state
from ksearch.store.log import EventLog, StoredEvent

LIMIT = 20
COMMAND = [sys.executable, "-m", "ksearch"]


def run_arguments(folder: Path, name: str) -> list[str]:
    return [
        *COMMAND, "run", "--definition", "rmsnorm", "--device", "cpu", "--evaluator", "fake", "--seed", "3", "--surrogate", "none",
        "--name", name, "--runs-dir", str(folder), "--max-evaluations", str(LIMIT), "--set", "evaluation.fake_delay_s=0.3", "--json",
    ]  # fmt: skip


def start(arguments: list[str], marker: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        arguments,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "KSEARCH_TEST_MARK": marker},
    )


def alive_with(marker: str) -> list[int]:
    """Processes whose environment carries the marker (every descendant inherits it unless it was cleaned on purpose)."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and marker.encode() in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def settled(database: Path) -> Counter[tuple[int, str]]:
    with EventLog.open_reader(database) as log:
        events = [parse_event(stored.payload) for stored in log.events()]
    return Counter((event.candidate, event.kind) for event in events if isinstance(event, EvaluationSettled))


def header_of(database: Path) -> StoredEvent | None:
    with EventLog.open_reader(database) as log:
        return next(log.events(), None)


def events_in(database: Path) -> int:
    if not database.exists():
        return 0
    with EventLog.open_reader(database) as log:
        return log.last_seq


def wait_for_its_moment(process: subprocess.Popen[str], database: Path, rng: random.Random) -> bool:
    """Wait for a random moment: one in four while it starts, else at work, however long a busy machine takes to get there. Whether it
    still runs then."""
    before, starting = events_in(database), rng.random() < 0.25
    while not starting and process.poll() is None and events_in(database) <= before:
        time.sleep(0.02)
    try:
        process.wait(timeout=rng.uniform(0.0, 1.0 if starting else 1.6))
    except subprocess.TimeoutExpired:
        return True
    return False


def outline(database: Path) -> list[tuple[Any, ...]]:
    """The tree without ticket numbers: what two runs that took the same decisions share."""
    with EventLog.open_reader(database) as log:
        state = read_state(log)
    assert state.tree is not None
    rows = [(view.id, view.parent, view.action.key if view.action else "", view.subtree) for view in state.tree.nodes()]
    return [(*row, counts.visits, counts.failed, counts.best) for *row, counts in rows]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_killed_run_resumes_to_the_same_end(tmp_path: Path) -> None:
    """The process alone is killed, and its whole group, by turns."""
    straight = subprocess.run(run_arguments(tmp_path, "straight"), capture_output=True, text=True, check=False, timeout=120)
    assert straight.returncode == 0, straight.stderr
    rng, kills, seen = random.Random(7), 0, 0
    database, arguments = tmp_path / "killed" / "run.sqlite", run_arguments(tmp_path, "killed")
    while True:
        process = start(arguments, marker := f"mark-{os.getpid()}-{kills}")
        if not wait_for_its_moment(process, database, rng):
            break
        (os.killpg if kills % 2 else os.kill)(process.pid, signal.SIGKILL)
        process.wait()
        kills += 1
        assert kills < 60, "the run makes no progress between kills"
        deadline = time.monotonic() + 2
        while alive_with(marker) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not alive_with(marker), "a process outlived the kill by 2 s"
        if database.exists() and header_of(database) is None:
            shutil.rmtree(database.parent)  # killed before the first event: there is no run yet
        elif database.exists():
            counts = settled(database)
            assert max(counts.values(), default=0) <= 1, "a settled evaluation ran again"
            assert sum(counts.values()) >= seen, "an acknowledged event is lost"
            seen = sum(counts.values())
            arguments = [*COMMAND, "resume", "killed", "--runs-dir", str(tmp_path), "--json"]
    stdout, stderr = process.communicate()
    assert process.returncode == 0, stderr
    assert kills >= 4, "the test killed too little to mean anything"
    ours, theirs = json.loads(stdout), json.loads(straight.stdout)
    assert ours["evaluations"] == theirs["evaluations"] <= LIMIT
    assert ours["incumbent"]["latency_us"] == theirs["incumbent"]["latency_us"]
    assert outline(database) == outline(tmp_path / "straight" / "run.sqlite")
