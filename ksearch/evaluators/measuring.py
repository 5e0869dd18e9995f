"""Jobs measured one after the other by one judge process, wherever that runs; started again when it is lost."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future

from ksearch.evaluators.base import give, infrastructure_verdict
from ksearch.evaluators.line_process import JudgeLost, LineProcess
from ksearch.judge.verdict import Job, Verdict

Waiting = tuple[Job, Future[Verdict]]
CLOSED = "the evaluator was closed before it answered"


class MeasuringQueue:
    """`start` makes the judge process and may raise OSError; a lost one is tried `tries` times, `pause_s` longer apart each time."""

    def __init__(self, start: Callable[[], LineProcess], *, tries: int, pause_s: float = 0.0) -> None:
        self._start, self._tries, self._pause_s = start, tries, pause_s
        self._ready: queue.SimpleQueue[Waiting | None] = queue.SimpleQueue()
        self._open: dict[Future[Verdict], Job] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._judge: LineProcess | None = None
        # One thread starts and uses the judge for as long as both live (see JudgeProcess).
        self._measuring = threading.Thread(target=self._measure, name="measure", daemon=True)
        self._measuring.start()

    def accept(self, job: Job) -> Future[Verdict]:
        """A future that will get a verdict; measured once it is `ready`. RuntimeError after `close`."""
        future: Future[Verdict] = Future()
        with self._lock:
            if self._closing.is_set():
                raise RuntimeError("the evaluator is closed")
            self._open[future] = job
        future.set_running_or_notify_cancel()
        future.add_done_callback(self._forget)
        return future

    def ready(self, job: Job, future: Future[Verdict]) -> None:
        self._ready.put((job, future))

    def close(self) -> None:
        with self._lock:
            self._closing.set()
            judge, waiting = self._judge, dict(self._open)
        self._ready.put(None)
        if judge is not None:
            judge.kill()
        self._measuring.join(timeout=10)
        for future, job in waiting.items():
            give(future, infrastructure_verdict(job, CLOSED))

    def _forget(self, future: Future[Verdict]) -> None:
        with self._lock:
            self._open.pop(future, None)

    def _measure(self) -> None:
        while (item := self._ready.get()) is not None and not self._closing.is_set():
            job, future = item
            give(future, self._judged(job))

    def _judged(self, job: Job) -> Verdict:
        reason = CLOSED
        for attempt in range(self._tries):
            if self._closing.wait(self._pause_s * attempt):
                break
            try:
                judge = self._live_judge()
                if judge is None:
                    break
                return judge.judge(job)
            except (JudgeLost, OSError) as error:
                reason = str(error)
                self._drop()
        return infrastructure_verdict(job, reason)

    def _live_judge(self) -> LineProcess | None:
        with self._lock:
            if self._closing.is_set():
                return None
            if self._judge is None:
                self._judge = self._start()
            return self._judge

    def _drop(self) -> None:
        with self._lock:
            judge, self._judge = self._judge, None
        if judge is not None:
            judge.kill()
