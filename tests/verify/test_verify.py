"""`ksearch verify` as a person or a script calls it: real judge, real exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ksearch.judge.verdict import Status
from ksearch.verify.outcome import printable

KERNEL = """
import torch
def run(x, w, out):
    f = x.float()
    out.copy_(f * torch.rsqrt(f.square().mean(-1, keepdim=True) + 1e-5) * w.float())
"""
INPUTS = {name: {"type": "random"} for name in ("hidden_states", "weight")}
WORKLOADS = [
    {
        "definition": "rmsnorm_h4096",
        "workload": {"uuid": f"rows-{rows}", "axes": {"batch_size": rows}, "inputs": INPUTS},
    }
    for rows in (1, 3)
]


def ksearch(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "KSEARCH_CACHE": str(cwd / "cache")}
    command = [sys.executable, "-m", "ksearch", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, timeout=110, check=False)


@pytest.fixture
def given(tmp_path: Path) -> Path:
    (tmp_path / "w.jsonl").write_text("\n".join(json.dumps(line) for line in WORKLOADS))
    (tmp_path / "good.py").write_text(KERNEL)
    (tmp_path / "bad.py").write_text(KERNEL + "    out[0, 7] += 3\n    print('\\x1b[31mPASSED')\n")
    return tmp_path


def test_a_list_with_evidence_and_an_exit_code(given: Path) -> None:
    arguments = ["--device", "cpu", "-d", "rmsnorm", "--workloads", "w.jsonl", "--json"]
    done = ksearch("verify", "good.py", "bad.py", *arguments, cwd=given)
    assert done.returncode == 1, done.stderr
    good, bad = json.loads(done.stdout)
    assert (good["solution"], good["definition"], good["status"], good["stage"]) == ("good.py", "rmsnorm_h4096", "PASSED", None)
    assert good["latency_us"] > 0
    assert good["evidence"]["resolution_us"] > 0
    assert "seccomp" in good["evidence"]["isolation"]
    assert good["evidence"]["hidden"] == "full"
    assert (bad["status"], bad["latency_us"]) == ("INCORRECT_NUMERICAL", None)
    assert bad["evidence"]["element"] == "output[0, 7]"
    assert bad["evidence"]["workload"] == "rows-1"
    assert bad["evidence"]["reproduce"].startswith("ksearch evaluate ")


def test_for_a_person_nothing_of_the_candidate_s_moves_the_terminal(given: Path) -> None:
    done = ksearch("verify", "bad.py", "--device", "cpu", "-d", "rmsnorm", "--workloads", "w.jsonl", cwd=given)
    assert done.returncode == 1
    assert "INCORRECT_NUMERICAL at smoke" in done.stdout
    assert "seen again by" in done.stdout
    assert "\x1b" not in done.stdout
    assert printable("a\x1b[2Jb\tc") == "a?[2Jb    c"


@pytest.mark.slow
def test_a_run_s_incumbent_is_judged_afresh(given: Path) -> None:
    """The fake evaluator's incumbent is a real kernel with made-up times: judged, and not compared by another timer."""
    budget = ["--max-evaluations", "4", "--name", "r", "--runs-dir", "runs", "--workloads", "w.jsonl"]
    ran = ksearch("run", "-d", "rmsnorm", "--device", "cpu", "--evaluator", "fake", *budget, cwd=given)
    assert ran.returncode == 0, ran.stderr
    workload = ksearch("verify", "--run", "r", "--runs-dir", "runs", "--json", cwd=given)
    (found,) = json.loads(workload.stdout)
    assert found["status"] == Status.PASSED, found["evidence"]
    assert found["recorded_us"] > 0
    assert found["moved"] is None


WRONG = [[], ["good.py", "--run", "r"], ["good.py", "--device", "tpu"], ["absent.json"], ["good.py", "-d", "nothing"]]


@pytest.mark.parametrize("arguments", WRONG)
def test_bad_input_is_one_line_and_exit_2(given: Path, arguments: list[str]) -> None:
    done = ksearch("verify", *arguments, cwd=given)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
