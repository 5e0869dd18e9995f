"""Where a judge runs, behind one interface: jobs in, verdicts out, failures of the machine never a kernel's."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Protocol

from ksearch.judge.verdict import Job, Verdict


class Evaluator(Protocol):
    """Places judge and runner on a device. Called from one thread; answers arrive on futures."""

    @property
    def name(self) -> str: ...

    def submit(self, job: Job) -> Future[Verdict]:
        """Judge one job. The future never raises for a kernel's fault: that is a verdict. A lost worker is an
        INFRASTRUCTURE verdict."""
        ...

    def close(self) -> None:
        """End every process that was started, at once."""
        ...
