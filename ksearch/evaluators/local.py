"""This machine as an evaluator: several compilers at a time, one measuring judge process for the device."""

from __future__ import annotations

import subprocess
from concurrent.futures import Future, ThreadPoolExecutor

from ksearch.evaluators.base import Capabilities
from ksearch.evaluators.judge_process import JudgeProcess
from ksearch.evaluators.measuring import MeasuringQueue
from ksearch.judge.cache import ArtefactStore, cache_root
from ksearch.judge.cascade import smallest
from ksearch.judge.compile import CompilerUnavailable, compile_solution
from ksearch.judge.toolchain import ToolMissing, target_of
from ksearch.judge.triton_compile import Example, make_report
from ksearch.judge.verdict import Job, Verdict

TRIES = 2
"""A judge process that dies takes one retry: the second loss is told as INFRASTRUCTURE."""


class LocalEvaluator:
    """`device` 'cpu', 'cuda' or 'cuda:N'. Jobs are compiled as they come and measured in the order they are ready."""

    name = "local"

    def __init__(self, device: str = "cpu", compile_workers: int = 2) -> None:
        self.device = device
        self._compile_workers = compile_workers
        self._compilers = ThreadPoolExecutor(compile_workers, thread_name_prefix="compile")
        self._queue = MeasuringQueue(lambda: JudgeProcess(device), tries=TRIES)

    def capabilities(self) -> Capabilities:
        return Capabilities(devices=(self.device,), measuring=1, compiling=self._compile_workers)

    def submit(self, job: Job) -> Future[Verdict]:
        future = self._queue.accept(job)
        self._compilers.submit(self._compile, job, future)
        return future

    def close(self) -> None:
        self._compilers.shutdown(wait=False, cancel_futures=True)
        self._queue.close()

    def _compile(self, job: Job, future: Future[Verdict]) -> None:
        """Fill the cache; whatever goes wrong is found again, and told, by the judge."""
        try:
            target = target_of(job.device)
            compile_solution(job.solution, target, limit_s=job.limits.compile_s, unsafe=job.unsafe_runner)
            example = Example(job.definition, smallest([judged.workload for judged in job.workloads]))
            make_report(job.solution, target, example, ArtefactStore(cache_root()), unsafe=job.unsafe_runner)
        except (CompilerUnavailable, ToolMissing, OSError, ValueError, subprocess.SubprocessError):
            pass
        finally:
            self._queue.ready(job, future)
