"""Processes end with their parents, also when only the parent gets SIGKILL."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

PARENT = """
import sys, time
from tests.judge.conftest import HONEST, job_of, solution
from ksearch.evaluators.local import LocalEvaluator
evaluator = LocalEvaluator('cpu', compile_workers=1)
future = evaluator.submit(job_of(solution(HONEST)))
print(future.result().status, flush=True)
evaluator.submit(job_of(solution("def run(x, w, out):\\n    while True: pass"), limits={'timeout_s': 60}))
print('running', flush=True)
time.sleep(60)
"""


def descendants(pid: int) -> list[int]:
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
        children = [int(child) for task in tasks for child in Path(f"/proc/{pid}/task/{task}/children").read_text().split()]
    except OSError:
        return []
    return [*children, *(below for child in children for below in descendants(child))]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except OSError:
        return False


def wait_for(condition: object, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():  # type: ignore[operator]
            return True
        time.sleep(0.02)
    return False


def test_sigkill_of_the_parent_leaves_nothing(cache: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *(path for path in sys.path if path)])}
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True, env=environment)
    assert parent.stdout is not None
    assert parent.stdout.readline().strip() == "PASSED"
    assert parent.stdout.readline().strip() == "running"
    # judge, fork server, keeper, runner: the last two are there once the endless candidate runs
    assert wait_for(lambda: len(descendants(parent.pid)) >= 4, 20)
    family = descendants(parent.pid)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    assert wait_for(lambda: not any(alive(pid) for pid in family), 2.0), [pid for pid in family if alive(pid)]
