"""This machine as an evaluator: several compilers at a time, one measuring judge process for the device."""

from __future__ import annotations

import contextlib
import queue
import subprocess
import threading
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor

from ksearch.evaluators.base import Capabilities, infrastructure_verdict
from ksearch.evaluators.judge_process import JudgeLost, JudgeProcess
from ksearch.judge.compile import CompilerUnavailable, compile_solution
from ksearch.judge.toolchain import ToolMissing, target_of
from ksearch.judge.verdict import Job, Verdict

TRIES = 2
"""A judge process that dies takes one retry: the second loss is told as INFRASTRUCTURE."""

Waiting = tuple[Job, Future[Verdict]]
CLOSED = "the evaluator was closed before it answered"


class LocalEvaluator:
    """`device` 'cpu', 'cuda' or 'cuda:N'. Jobs are compiled as they come and measured in the order they are ready."""

    name = "local"

    def __init__(self, device: str = "cpu", compile_workers: int = 2) -> None:
        self.device = device
        self._compile_workers = compile_workers
        self._ready: queue.SimpleQueue[Waiting | None] = queue.SimpleQueue()
        self._compilers = ThreadPoolExecutor(compile_workers, thread_name_prefix="compile")
        self._open: dict[Future[Verdict], Job] = {}
        self._lock = threading.Lock()
        self._closed = False
        self._judge: JudgeProcess | None = None
        # One thread starts and uses the judge for as long as both live (see JudgeProcess).
        self._measuring = threading.Thread(target=self._measure, name="measure", daemon=True)
        self._measuring.start()

    def capabilities(self) -> Capabilities:
        return Capabilities(devices=(self.device,), measuring=1, compiling=self._compile_workers)

    def submit(self, job: Job) -> Future[Verdict]:
        future: Future[Verdict] = Future()
        with self._lock:
            if self._closed:
                raise RuntimeError("the evaluator is closed")
            self._open[future] = job
        future.set_running_or_notify_cancel()
        future.add_done_callback(self._forget)
        self._compilers.submit(self._compile, job, future)
        return future

    def close(self) -> None:
        with self._lock:
            self._closed = True
            judge, waiting = self._judge, dict(self._open)
        self._ready.put(None)
        self._compilers.shutdown(wait=False, cancel_futures=True)
        if judge is not None:
            judge.kill()
        self._measuring.join(timeout=10)
        for future, job in waiting.items():
            self._answer(future, infrastructure_verdict(job, CLOSED))

    def _forget(self, future: Future[Verdict]) -> None:
        with self._lock:
            self._open.pop(future, None)

    def _compile(self, job: Job, future: Future[Verdict]) -> None:
        """Fill the cache; whatever goes wrong is found again, and told, by the judge."""
        try:
            compile_solution(job.solution, target_of(job.device), limit_s=job.limits.compile_s, unsafe=job.unsafe_runner)
        except (CompilerUnavailable, ToolMissing, OSError, ValueError, subprocess.SubprocessError):
            pass
        finally:
            self._ready.put((job, future))

    def _measure(self) -> None:
        while (item := self._ready.get()) is not None and not self._closed:
            job, future = item
            self._answer(future, self._judged(job))

    def _judged(self, job: Job) -> Verdict:
        reason = CLOSED
        for _ in range(TRIES):
            judge = self._live_judge()
            if judge is None:
                break
            try:
                return judge.judge(job)
            except JudgeLost as error:
                reason = str(error)
                judge.kill()
                self._judge = None
        return infrastructure_verdict(job, reason)

    def _live_judge(self) -> JudgeProcess | None:
        with self._lock:
            if self._closed:
                return None
            if self._judge is None:
                self._judge = JudgeProcess(self.device)
            return self._judge

    @staticmethod
    def _answer(future: Future[Verdict], verdict: Verdict) -> None:
        with contextlib.suppress(InvalidStateError):  # answered meanwhile
            future.set_result(verdict)
