"""The compile stage: sources to an artefact, behind the wall and without a device.

A callable of its own: evaluators run several at once beside the one process that measures, which then finds the artefact
in the cache. Failed builds are kept too (their log is the answer), so that no source is compiled twice.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from ksearch.definitions.schema import Solution
from ksearch.judge.cache import ArtefactStore, cache_root
from ksearch.judge.host import clean_environment
from ksearch.judge.sandbox.confine import REFUSED
from ksearch.judge.sandbox.wall import WallPlan
from ksearch.judge.toolchain import CompileTarget, ToolMissing, command_of, versions_of
from ksearch.judge.verdict import CompileReport, Status

COMPILER_MEMORY_BYTES = 8 * 2**30
MAX_LOG = 16_384
PYTHON_BROKE = "Traceback (most recent call last)"
"""In a compiler's log only when the sandbox's own interpreter failed to start: no verdict on the sources."""


class CompilerUnavailable(Exception):
    """No compiler, or no wall for it: the machine's fault."""


@dataclass(frozen=True, slots=True)
class CompileOutcome:
    """`artefact` is None for languages that are loaded from source. `failure` is None when it worked."""

    artefact: Path | None
    report: CompileReport
    failure: Status | None = None


def compile_solution(
    solution: Solution,
    target: CompileTarget,
    cache: ArtefactStore | None = None,
    *,
    limit_s: float = 300.0,
    unsafe: bool = False,
) -> CompileOutcome:
    """Build (or find) the artefact of a solution. Raises CompilerUnavailable; a candidate's own faults are in the outcome."""
    if solution.spec.language not in ("cpp", "cuda"):
        return _check_python(solution)
    cache = cache or ArtefactStore(cache_root())
    try:
        command = command_of(solution.spec.language, target, [source.path for source in solution.sources], "kernel.so")
        key = cache.key(solution.digest, command, target.model_dump(), versions_of(solution.spec.language))
    except (ToolMissing, subprocess.SubprocessError) as error:
        raise CompilerUnavailable(str(error)) from error
    if (found := cache.find(key)) is not None:
        artefact, kept = found
        report = CompileReport.model_validate({**kept, "cached": True})
        return CompileOutcome(artefact, report, None if artefact else Status.COMPILE_ERROR)
    return _build(solution, command, key, cache, limit_s, unsafe=unsafe)


def _check_python(solution: Solution) -> CompileOutcome:
    """Python and Triton are compiled in the runner; a syntax error needs none."""
    begin = time.monotonic()
    for source in solution.sources:
        if source.path.endswith(".py"):
            try:
                compile(source.content, source.path, "exec", dont_inherit=True)
            except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
                report = CompileReport(seconds=time.monotonic() - begin, cached=False, log=f"{source.path}: {error}")
                return CompileOutcome(None, report, Status.COMPILE_ERROR)
    return CompileOutcome(None, CompileReport(seconds=time.monotonic() - begin, cached=False))


def write_sources(solution: Solution, folder: Path) -> None:
    """The solution's files below `folder`; their paths were checked to stay inside when the solution was read."""
    for source in solution.sources:
        path = folder / source.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source.content, encoding="utf-8", errors="surrogatepass")


def _build(solution: Solution, command: list[str], key: str, cache: ArtefactStore, limit_s: float, *, unsafe: bool) -> CompileOutcome:
    scratch = Path(tempfile.mkdtemp(prefix="ksearch-compile-"))
    try:
        write_sources(solution, scratch)
        begin = time.monotonic()
        status, log = _run_confined(command, scratch, limit_s, unsafe=unsafe)
        report = _report(time.monotonic() - begin, log)
        if status is None:
            return CompileOutcome(None, report, Status.TIMEOUT)
        if status in (REFUSED, 127):
            raise CompilerUnavailable(log)
        built = scratch / "kernel.so"
        if status == 0 and built.is_file() and not built.is_symlink():
            return CompileOutcome(cache.keep(key, built, report.model_dump()), report)
        if status in (1, 2) and PYTHON_BROKE not in log:  # the compiler's own verdict; anything else may be the machine's
            cache.keep(key, None, report.model_dump())
        return CompileOutcome(None, report, Status.COMPILE_ERROR)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _run_confined(command: list[str], scratch: Path, limit_s: float, *, unsafe: bool) -> tuple[int | None, str]:
    """(exit status, or None when the time was up; output)."""
    plan = WallPlan(
        scratch=str(scratch), processes=True, memory_bytes=COMPILER_MEMORY_BYTES, cpu_seconds=max(1, int(limit_s * 4)), unsafe=unsafe
    )
    environment = {**clean_environment(threads=1), "HOME": str(scratch), "TMPDIR": str(scratch)}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    arguments = [sys.executable, "-m", "ksearch.judge.sandbox.confine", plan.model_dump_json(), "--", *command]
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            arguments, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
        try:
            status: int | None = process.wait(limit_s)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        output.seek(0)
        return status, output.read(MAX_LOG).decode("utf-8", "replace")


def _report(seconds: float, log: str) -> CompileReport:
    """ptxas tells registers, spills and shared memory for each kernel; the largest of each count."""
    spills = [int(a) + int(b) for a, b in re.findall(r"(\d+) bytes spill stores, (\d+) bytes spill loads", log)]
    return CompileReport(
        seconds=seconds,
        cached=False,
        registers=_most(re.findall(r"Used (\d+) registers", log)),
        spill_bytes=max(spills, default=None),
        shared_bytes=_most(re.findall(r"(\d+) bytes smem", log)),
        log=log,
    )


def _most(numbers: list[str]) -> int | None:
    return max((int(number) for number in numbers), default=None)
