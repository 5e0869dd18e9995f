"""Compiling a folder's candidates before their turn: a GPU, lent by the minute, is not to wait for compilers one by one.

What a compiler says is not looked at here. The artefacts go to the store that the judge looks into; whatever went wrong is found
again, and told, when the candidate's turn comes.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

from ksearch.judge.cache import ArtefactStore, cache_root
from ksearch.judge.compile import CompilerUnavailable, compile_solution
from ksearch.judge.toolchain import ToolMissing, target_of
from ksearch.judge.verdict import Job

MOST = 8
CORES_EACH = 2


class CompiledAhead:
    """Compilers at work on `jobs`, in their order. A context: leaving it forgets those not begun."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        workers = max(1, min(MOST, (os.cpu_count() or 1) // CORES_EACH))
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="compile-ahead")
        self._cpu = any(job.device == "cpu" for job in jobs)
        self._ready: dict[str, Future[None]] = {job.question: self._pool.submit(_compile, job) for job in jobs}

    def __enter__(self) -> CompiledAhead:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def wait_for(self, job: Job) -> None:
        """Until `job` is compiled; on a cpu until all are, whose compilers would be in the way of what is timed."""
        known = self._ready.get(job.question)  # a promotion that was offered meanwhile was compiled as a candidate
        wanted = list(self._ready.values()) if self._cpu else [known] if known is not None else []
        wait(wanted)


def _compile(job: Job) -> None:
    try:
        store = ArtefactStore(cache_root())
        compile_solution(job.solution, target_of(job.device), store, limit_s=job.limits.compile_s, unsafe=job.unsafe_runner)
    except (CompilerUnavailable, ToolMissing, OSError, ValueError, subprocess.SubprocessError):
        return
