"""How a stage fails: with what a person needs to see it again."""

from __future__ import annotations

from ksearch.judge.runner_handle import RunnerDied, RunnerError, RunnerTimeout
from ksearch.judge.verdict import Stage, Status


class StageFailure(Exception):
    """The candidate failed at a stage."""

    def __init__(
        self, status: Status, stage: Stage, message: str, *, workload: str | None = None, element: str | None = None, log: str = ""
    ) -> None:
        super().__init__(message)
        self.status, self.stage, self.message = status, stage, message
        self.workload, self.element, self.log = workload, element, log


def from_runner(error: Exception, stage: Stage, workload: str | None, printed: str) -> StageFailure:
    """What a runner's end, silence or exception means. Texts are the candidate's claims, quoted as data."""
    match error:
        case RunnerTimeout():
            return StageFailure(Status.TIMEOUT, stage, str(error), workload=workload, log=printed)
        case RunnerDied():
            return StageFailure(Status.RUNTIME_ERROR, stage, f"the runner ended: {error}", workload=workload, log=printed)
        case RunnerError():
            text = str(error)
            last = text.strip().splitlines()[-1] if text.strip() else "an exception without a text"
            status = next((s for s in (Status.INCORRECT_SHAPE, Status.INCORRECT_DTYPE) if f" {s.value} " in last), Status.RUNTIME_ERROR)
            return StageFailure(status, stage, f"the candidate raised {last}", workload=workload, log=(text + "\n" + printed)[-16_384:])
    raise error
