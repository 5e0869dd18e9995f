"""What runs in Modal's container: a line for the judge in, its answer out. A plain function over one judge process.

Needs nothing of Modal's, so that it can be tried anywhere. The container's own process loads neither torch nor a candidate:
the judge is its child, as on every other machine.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

from pydantic import ValidationError

from ksearch.definitions.schema import Frozen
from ksearch.evaluators.base import infrastructure_verdict
from ksearch.evaluators.line_process import GRACE_S, JudgeLost, LineProcess
from ksearch.judge.service import DESCRIBE, Refusal
from ksearch.judge.verdict import Job
from ksearch.store.guard import without_secrets

IDLE_VARIABLE = "KSEARCH_IDLE_S"
"""Set in the container: how long Modal keeps it after its last job."""
TRIES = 2
DESCRIBE_S = 300.0


class Answer(Frozen):
    """`line`: as `ksearch evaluate -` answers. `seconds`: of this container, not told before, that are billed because of this call."""

    line: str
    seconds: float


class Container:
    """One judge process, started again when it is lost, and the container's own time.

    A container is billed from its start to its end, jobs or not. Each answer therefore tells the seconds since the answer before,
    and the first of a container also those before and after all jobs: its start, and its last idle wait.
    """

    def __init__(self) -> None:
        self._judge: LineProcess | None = None
        self._told_until: float | None = None
        self._lock = threading.Lock()

    def answer(self, line: str) -> Answer:
        with self._lock:
            text = self._answered(line)
            return Answer(line=text, seconds=self._untold_seconds())

    def close(self) -> None:
        with self._lock:
            self._drop()

    def _untold_seconds(self) -> float:
        now = time.monotonic()
        told_until, self._told_until = self._told_until, now
        return _process_age_s() + float(os.environ.get(IDLE_VARIABLE, "0")) if told_until is None else now - told_until

    def _answered(self, line: str) -> str:
        reason = ""
        for _ in range(TRIES):
            try:
                return self._live_judge().ask(line, _limit_s(line)).decode("utf-8").rstrip("\n")
            except (JudgeLost, OSError, UnicodeDecodeError) as error:
                reason = str(error)
                self._drop()
        return _lost(line, f"in the container: {reason}")

    def _live_judge(self) -> LineProcess:
        if self._judge is None:
            paths = os.pathsep.join(path for path in sys.path if path)
            environment = {**without_secrets(os.environ), "PYTHONPATH": paths}
            self._judge = LineProcess([sys.executable, "-m", "ksearch", "evaluate", "-"], env=environment)
        return self._judge

    def _drop(self) -> None:
        judge, self._judge = self._judge, None
        if judge is not None:
            judge.kill()


_CONTAINER = Container()


def judge_line(line: str) -> str:
    """A Job or DESCRIBE as one line of JSON; the Answer as JSON. Raises nothing that a job could cause."""
    return _CONTAINER.answer(line).model_dump_json()


def _limit_s(line: str) -> float:
    if line.strip() == DESCRIBE:
        return DESCRIBE_S
    try:
        limits = Job.model_validate_json(line).limits
    except ValidationError:
        return DESCRIBE_S  # the judge answers it with a refusal at once
    return limits.total_s + limits.compile_s + GRACE_S


def _lost(line: str, reason: str) -> str:
    try:
        return infrastructure_verdict(Job.model_validate_json(line), reason).model_dump_json()
    except ValidationError:
        return Refusal(error=reason).model_dump_json()


def _process_age_s() -> float:
    """How long this process has lived; where the kernel doesn't say when it began, how long the machine has."""
    up_s = float(Path("/proc/uptime").read_text().split()[0])
    began_ticks = float(Path("/proc/self/stat").read_text().rpartition(") ")[2].split()[19])
    return max(0.0, up_s - began_ticks / os.sysconf("SC_CLK_TCK"))
