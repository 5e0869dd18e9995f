"""What the search asks of an evaluator, wherever it judges."""

from __future__ import annotations

import contextlib
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass
from typing import Protocol

from ksearch.devices import Device
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


def mismatch(verdict: Verdict, job: Job) -> str | None:
    """Why a verdict from elsewhere is not this job's; None when it is."""
    from ksearch.judge.verdict import JUDGE_VERSION

    if verdict.judge_version != JUDGE_VERSION:
        return f"it is of judge version {verdict.judge_version}, this is {JUDGE_VERSION}"
    if verdict.question != job.question:
        return "it answers another job (candidate, definition, workloads or options differ)"
    return None


def other_device(verdict: Verdict, device: Device) -> str | None:
    """Why a verdict's times can't stand beside this run's; None when they can. What failed before a device was opened names none."""
    if verdict.device is None or device.kind == "cpu" or verdict.device.name == device.name:
        return None
    return f"it was measured on {verdict.device.name}, and this run is about {device.name}"


def infrastructure_verdict(job: Job, message: str) -> Verdict:
    from ksearch.judge.verdict import Evidence, Status

    return Verdict(job=job.job, solution=job.solution.digest, status=Status.INFRASTRUCTURE, evidence=Evidence(message=message))
