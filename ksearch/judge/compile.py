"""The compile stage: sources to an artefact, behind the wall and without a device.

A callable of its own: evaluators run several at once beside the one process that measures, which then finds the artefact
in the cache. Failed builds are kept too (their log is the answer), so that no source is compiled twice.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from ksearch.definitions.schema import Solution
from ksearch.judge.cache import ArtefactStore, cache_root
from ksearch.judge.confined import REPORT_FORMAT, run_confined
from ksearch.judge.confined import write_sources as write_sources  # the sessions' too
from ksearch.judge.sandbox.confine import REFUSED
from ksearch.judge.toolchain import CompileTarget, ToolMissing, command_of, versions_of
from ksearch.judge.triton_compile import known_report
from ksearch.judge.verdict import CompileReport, Status
from ksearch.profiling.binaries import disassembler, ptx_code, ptxas_kernels, report_of, sass_code, with_code

MAX_LOG = 16_384
DISASSEMBLY_S = 30.0
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
    cache = cache or ArtefactStore(cache_root())
    if solution.spec.language not in ("cpp", "cuda"):
        outcome = _check_python(solution)
        known = None if outcome.failure is not None else known_report(solution, target, cache)
        return outcome if known is None else replace(outcome, report=known)
    try:
        command = command_of(solution.spec.language, target, [source.path for source in solution.sources], "kernel.so")
        command += [] if solution.spec.language == "cpp" or disassembler() is not None else ["--keep"]  # PTX, to count instructions in
        key = cache.key(solution.digest, command, target.model_dump(), versions_of(solution.spec.language), REPORT_FORMAT)
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


def _build(solution: Solution, command: list[str], key: str, cache: ArtefactStore, limit_s: float, *, unsafe: bool) -> CompileOutcome:
    scratch = Path(tempfile.mkdtemp(prefix="ksearch-compile-"))
    try:
        write_sources(solution, scratch)
        begin = time.monotonic()
        status, log = run_confined(command, scratch, limit_s, unsafe=unsafe)
        report = CompileReport(seconds=time.monotonic() - begin, cached=False, log=log[:MAX_LOG])
        if status is None:
            return CompileOutcome(None, report, Status.TIMEOUT)
        if status in (REFUSED, 127):
            raise CompilerUnavailable(log)
        built = scratch / "kernel.so"
        if status == 0 and built.is_file() and not built.is_symlink():
            if solution.spec.language == "cuda":
                report = _cuda_report(report, log, solution, scratch, unsafe=unsafe)
            return CompileOutcome(cache.keep(key, built, report.model_dump()), report)
        if status in (1, 2) and PYTHON_BROKE not in log:  # the compiler's own verdict; anything else may be the machine's
            cache.keep(key, None, report.model_dump())
        return CompileOutcome(None, report, Status.COMPILE_ERROR)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _cuda_report(bare: CompileReport, log: str, solution: Solution, scratch: Path, *, unsafe: bool) -> CompileReport:
    """ptxas tells registers, spills, stack and static shared memory of each kernel; instructions are counted in the machine code, which a
    disassembler reads behind the wall, since the binary is the candidate's; without one in the PTX that nvcc left."""
    kernels, tool = ptxas_kernels(log), disassembler()
    if tool is not None:
        status, text = run_confined([tool, "--dump-sass", "kernel.so"], scratch, DISASSEMBLY_S, unsafe=unsafe)
        code = sass_code(text) if status == 0 else {}
    else:
        own = {scratch / source.path for source in solution.sources}
        code = ptx_code("\n".join(path.read_text("utf-8", "replace") for path in sorted(scratch.glob("*.ptx")) if path not in own))
    read_from: Literal["sass", "ptx"] = "ptx" if tool is None else "sass"
    return report_of(with_code(kernels, code), seconds=bare.seconds, log=bare.log, read_from=read_from)
