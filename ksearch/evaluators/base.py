"""What the search asks of an evaluator, wherever it judges."""

from __future__ import annotations

import contextlib
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass
from typing import Protocol

from ksearch.judge.verdict import Job, Verdict


@dataclass(frozen=True, slots=True)
class Capabilities:
    """`measuring`: jobs measured at a time; `compiling`: jobs prepared beside them. `devices` as jobs name them.
    `keeps_jobs`: a job outlives this process, and is joined again when it is submitted again.
    """

    devices: tuple[str, ...]
    measuring: int
    compiling: int
    needs_torch: bool = True
    keeps_jobs: bool = False


class Evaluator(Protocol):
    """Places jobs on devices. Futures always get a Verdict: a lost machine is Status.INFRASTRUCTURE, not an exception."""

    @property
    def name(self) -> str: ...

    def capabilities(self) -> Capabilities: ...

    def submit(self, job: Job) -> Future[Verdict]:
        """Never blocks. After `close`, RuntimeError."""
        ...

    def close(self) -> None:
        """Ends every process; jobs without an answer get an INFRASTRUCTURE verdict."""
        ...


def give(future: Future[Verdict], verdict: Verdict) -> None:
    """The answer to a job, unless it was answered meanwhile."""
    with contextlib.suppress(InvalidStateError):
        future.set_result(verdict)


def infrastructure_verdict(job: Job, message: str) -> Verdict:
    from ksearch.judge.verdict import Evidence, Status

    return Verdict(job=job.job, solution=job.solution.digest, status=Status.INFRASTRUCTURE, evidence=Evidence(message=message))
