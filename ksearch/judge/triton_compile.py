"""A compile report for Triton candidates, which are compiled when they are called: each launch of one call, compiled for the target.

Like every compilation this runs behind the wall and without a device. It decides nothing: where it fails, there is no report.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from ksearch.definitions.kits.work import tensor_bytes
from ksearch.definitions.schema import Definition, Solution, Workload
from ksearch.judge.cache import ArtefactStore
from ksearch.judge.confined import REPORT_FORMAT, run_confined, write_sources
from ksearch.judge.toolchain import CompileTarget
from ksearch.judge.verdict import CompileReport, KernelReport
from ksearch.profiling.binaries import disassembler, report_of
from ksearch.profiling.triton_worker import SOURCES, WorkerJob

MAX_INPUT_BYTES = 2**29
"""Inputs are made on the host for this: operators with a gigabyte of weights go without a report."""
LIMIT_S = 120.0

_KERNELS: TypeAdapter[tuple[KernelReport, ...]] = TypeAdapter(tuple[KernelReport, ...])


@dataclass(frozen=True, slots=True)
class Example:
    """What a candidate is called with to see its launches: the smallest workload shows them as well as any."""

    definition: Definition
    workload: Workload


def known_report(solution: Solution, target: CompileTarget, cache: ArtefactStore) -> CompileReport | None:
    """The report that was made before; None when there is none."""
    found = None if not _reportable(solution, target) else cache.find(_key(solution, target, cache))
    return None if found is None else CompileReport.model_validate({**found[1], "cached": True})


def make_report(solution: Solution, target: CompileTarget, example: Example, cache: ArtefactStore, *, unsafe: bool) -> None:
    """Compile the launches and keep the report, unless it is kept already or none can be made."""
    large = tensor_bytes(example.definition, example.workload, example.definition.inputs) > MAX_INPUT_BYTES
    if large or not _reportable(solution, target) or known_report(solution, target, cache) is not None:
        return
    scratch, begin = Path(tempfile.mkdtemp(prefix="ksearch-compile-")), time.monotonic()
    try:
        package = Path(__file__).resolve().parents[1]
        (scratch / "ksearch").symlink_to(package)  # of a checkout only the package is shown, not the folder it lies in
        write_sources(solution, scratch / SOURCES)
        (scratch / "job.json").write_text(_job(solution, target, example).model_dump_json())
        command = [sys.executable, "-m", "ksearch.profiling.triton_worker", "job.json"]
        status, output = run_confined(command, scratch, LIMIT_S, unsafe=unsafe, readable=(str(package),))
        if status == 0 and (kernels := _kernels(output)):
            made = report_of(kernels, seconds=time.monotonic() - begin, read_from="ptx" if disassembler() is None else "sass")
            cache.keep(_key(solution, target, cache), None, made.model_dump())
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _reportable(solution: Solution, target: CompileTarget) -> bool:
    return solution.spec.language == "triton" and target.arch is not None and _triton() is not None


def _key(solution: Solution, target: CompileTarget, cache: ArtefactStore) -> str:
    return cache.key("triton report", solution.digest, target.model_dump(), _triton(), disassembler() is None, REPORT_FORMAT)


@lru_cache
def _triton() -> str | None:
    try:
        return metadata.version("triton")
    except metadata.PackageNotFoundError:
        return None


def _job(solution: Solution, target: CompileTarget, example: Example) -> WorkerJob:
    assert target.arch is not None
    return WorkerJob(
        module=solution.spec.entry_file.removesuffix(".py").replace("/", "."),
        symbol=solution.spec.entry_symbol,
        destination_passing_style=solution.spec.destination_passing_style,
        capability=int(target.arch.removeprefix("sm_")),
        definition=example.definition,
        workload=example.workload,
    )


def _kernels(output: str) -> tuple[KernelReport, ...]:
    """From the worker's last line; what the candidate printed stands before it."""
    lines = [line for line in output.splitlines() if line.startswith("[")]
    try:
        return _KERNELS.validate_python(json.loads(lines[-1])) if lines else ()
    except (ValueError, ValidationError):
        return ()
