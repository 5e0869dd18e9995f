"""A judge behind a command: `ssh box ksearch evaluate -`, `srun ...`, `kubectl exec -i ...`; JSON lines in and out."""

from __future__ import annotations

import shlex
import threading
from concurrent.futures import Future

from pydantic import ValidationError

from ksearch.errors import BadInput, Unavailable
from ksearch.evaluators.base import Capabilities
from ksearch.evaluators.line_process import JudgeLost, LineProcess
from ksearch.evaluators.measuring import MeasuringQueue
from ksearch.judge.description import Description
from ksearch.judge.service import DESCRIBE
from ksearch.judge.verdict import Job, Verdict

TRIES = 3
PAUSE_S = 2.0
"""A connection that broke is often back after a moment."""
HELLO_S = 120.0
LEAVE_S = 5.0


class CommandEvaluator:
    """`command` is split as a shell would, and run without one. One job is measured at a time; two wait on the way."""

    def __init__(self, command: str, device: str) -> None:
        self.name = f"command:{command}"
        self.device = device
        arguments = _split(command)
        self._queue = MeasuringQueue(lambda: LineProcess(arguments), tries=TRIES, pause_s=PAUSE_S)

    def capabilities(self) -> Capabilities:
        return Capabilities(devices=(self.device,), measuring=1, compiling=0, needs_torch=False)

    def submit(self, job: Job) -> Future[Verdict]:
        future = self._queue.accept(job)
        self._queue.ready(job, future)
        return future

    def close(self) -> None:
        self._queue.close()


def description_of(command: str) -> Description:
    """Ask the judge behind a command. Raises Unavailable when it can't be had, BadInput for a command that is none."""
    try:
        process = LineProcess(_split(command))
    except OSError as error:
        raise Unavailable(f"--evaluator command:{command}: {error}") from error
    try:
        answer = process.ask(DESCRIBE, HELLO_S)
        return Description.model_validate_json(answer)
    except JudgeLost as error:
        raise Unavailable(f"--evaluator command:{command}: {error}; it should run `ksearch evaluate -` where the device is") from error
    except ValidationError as error:
        raise Unavailable(f"--evaluator command:{command}: answered {answer[:200]!r}, which is no judge's description") from error
    finally:
        threading.Thread(target=process.finish, args=(LEAVE_S,), daemon=True).start()


def _split(command: str) -> list[str]:
    try:
        arguments = shlex.split(command)
    except ValueError as error:
        raise BadInput(f"--evaluator command:{command}: {error}") from error
    if not arguments:
        raise BadInput("--evaluator command: names no command, as in 'command:ssh box ksearch evaluate -'")
    return arguments
