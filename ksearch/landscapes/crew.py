"""Processes that do one task at a time. One that dies or takes too long is its task's failure, and is replaced."""

from __future__ import annotations

import multiprocessing
import os
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Generic, TypeVar

from ksearch.errors import KsearchError

START_S = 240.0
"""To import torch and set up a device, on a machine where many processes do so at once."""
Task = TypeVar("Task")
Answer = TypeVar("Answer")


class CrewFailed(KsearchError):
    """A worker doesn't start, or fails at its own work: the machine or this program, not a task."""


@dataclass(frozen=True, slots=True)
class Lost:
    """A task whose worker gave no answer."""

    reason: str
    timeout: bool


@dataclass(frozen=True, slots=True)
class Work(Generic[Task, Answer]):
    """What a worker does. `prepare` runs once in each (with the worker's number) and returns its greeting and the function that does
    a task; that function says whether the process can go on. All must be importable by name."""

    prepare: Callable[[int, Any], tuple[Any, Callable[[Task], tuple[Answer, bool]]]]
    argument: Any
    limit_s: float
    """For one task."""
    log: Path
    """What workers print."""


class Crew(Generic[Task, Answer]):
    """`count` workers. Nothing here blocks but `close`; `handles` are what to wait for."""

    def __init__(self, work: Work[Task, Answer], count: int) -> None:
        self.work = work
        self.workers = [_Worker(work, number) for number in range(count)]
        self.greeting: Any = None
        """What the first worker that was ready said."""

    @property
    def idle(self) -> int:
        return sum(worker.ready and worker.task is None for worker in self.workers)

    @property
    def busy(self) -> int:
        return sum(worker.task is not None for worker in self.workers)

    @property
    def handles(self) -> list[Connection]:
        return [worker.connection for worker in self.workers if worker.task is not None or not worker.ready]

    def give(self, task: Task) -> None:
        """To an idle worker; there must be one."""
        next(worker for worker in self.workers if worker.ready and worker.task is None).give(task)

    def collect(self) -> list[tuple[Task, Answer | Lost]]:
        """Tasks that are done since the last call. Raises CrewFailed."""
        found = []
        for place, worker in enumerate(self.workers):
            if not worker.ready:
                if worker.start() and self.greeting is None:
                    self.greeting = worker.greeting
            elif (done := worker.collect()) is not None:
                found.append(done)
                if worker.spent:
                    worker.close()
                    self.workers[place] = _Worker(self.work, worker.number)
        return found

    def close(self) -> None:
        """For good: from here on there are no workers."""
        for worker in self.workers:
            worker.close()
        self.workers = []


def wait_for(crews: Sequence[Crew[Any, Any]], seconds: float) -> None:
    handles = [handle for crew in crews for handle in crew.handles]
    if handles:
        wait(handles, seconds)
    else:
        time.sleep(min(seconds, 0.05))


class _Worker(Generic[Task, Answer]):
    def __init__(self, work: Work[Task, Answer], number: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.number, self.limit_s, self.log = number, work.limit_s, work.log
        self.connection, theirs = context.Pipe()
        arguments = (theirs, work.prepare, number, work.argument, str(work.log))
        self.process = context.Process(target=_serve, args=arguments, daemon=True)
        self.process.start()
        theirs.close()
        self.since = time.monotonic()
        self.ready, self.spent = False, False
        self.greeting: Any = None
        self.task: Task | None = None

    def start(self) -> bool:
        """Whether it has become ready."""
        answer = self._receive(START_S)
        if isinstance(answer, Lost):
            raise CrewFailed(f"a worker did not start: {answer.reason}; see {self.log}")
        if answer is None:
            return False
        self.ready, self.greeting = True, answer[0]
        return True

    def give(self, task: Task) -> None:
        self.task, self.since = task, time.monotonic()
        try:
            self.connection.send(task)
        except OSError:
            self.spent = True  # found dead at the next `collect`

    def collect(self) -> tuple[Task, Answer | Lost] | None:
        if self.task is None:
            return None
        answer = self._receive(self.limit_s)
        if answer is None:
            return None
        task, self.task = self.task, None
        if isinstance(answer, Lost):
            self.spent = True
            return task, answer
        ((found, goes_on),) = answer
        self.spent = not goes_on
        return task, found

    def _receive(self, limit_s: float) -> tuple[Any] | Lost | None:
        """What the worker sent; None while there is nothing."""
        try:
            if self.connection.poll():
                trouble, answer = self.connection.recv()
                if trouble is not None:
                    raise CrewFailed(f"{trouble}; see {self.log}")
                return (answer,)
        except (EOFError, OSError):
            self.process.join(5)
            return Lost(f"the process ended with exit status {self.process.exitcode}", timeout=False)
        late = time.monotonic() - self.since > limit_s
        return Lost(f"no answer within {limit_s:g} s", timeout=True) if late else None

    def close(self) -> None:
        self.process.kill()
        self.process.join(10)
        self.connection.close()


def _serve(connection: Connection, prepare: Any, number: int, argument: Any, log: str) -> None:
    with open(log, "ab", buffering=0) as output:
        for descriptor in (1, 2):
            os.dup2(output.fileno(), descriptor)
    try:
        greeting, work = prepare(number, argument)
        connection.send((None, greeting))
        while True:
            connection.send((None, work(connection.recv())))
    except EOFError:
        return
    except Exception as error:
        traceback.print_exc()
        connection.send((f"{type(error).__name__}: {error}", None))
        raise
