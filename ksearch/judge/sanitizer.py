"""compute-sanitizer's memcheck on one small workload, before a kernel is promoted: accesses out of bounds that happened to do no harm.

Where the tool is missing, or can't work behind the wall, the verdict says so, and the kernel is not held responsible: only errors
that the tool reports of its own accord count against it.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ksearch.definitions.schema import Workload
from ksearch.judge.confined import run_confined, write_sources
from ksearch.judge.verdict import Job

LIMIT_S = 40.0
"""A promotion is to take a minute."""
FOUND = 86
"""Exit status that the tool is asked for when it found errors."""
SUMMARY = re.compile(r"ERROR SUMMARY: (\d+) errors?")
FIRST = re.compile(r"^=+ (Invalid [^\n]+|[^\n]*[Oo]ut-of-bounds[^\n]*|Misaligned [^\n]+)$", re.MULTILINE)
NOT_AVAILABLE = "not available"


@dataclass(frozen=True, slots=True)
class Sanitized:
    """`standing` is for the verdict; `error` what the candidate did, None unless the tool found something."""

    standing: str
    error: str | None = None
    log: str = ""


def find_sanitizer() -> str | None:
    """Path of compute-sanitizer."""
    homes = [os.environ.get(name) for name in ("CUDA_HOME", "CUDA_PATH")] + ["/usr/local/cuda"]
    places = [str(Path(home) / "bin" / "compute-sanitizer") for home in homes if home]
    return shutil.which("compute-sanitizer") or next((place for place in places if os.access(place, os.X_OK)), None)


def sanitize(tool: str | None, job: Job, workload: Workload, artefact: Path | None, limit_s: float = LIMIT_S) -> Sanitized:
    """Two calls on one workload under the tool, behind the wall."""
    if tool is None:
        return Sanitized(f"{NOT_AVAILABLE}: compute-sanitizer is not installed")
    scratch = Path(tempfile.mkdtemp(prefix="ksearch-sanitizer-"))
    try:
        task = _task(job, workload, artefact, scratch)
        options = ["--tool", "memcheck", "--report-api-errors", "no", "--error-exitcode", str(FOUND)]
        command = [tool, *options, sys.executable, "-m", "ksearch.judge.runner.checked_call", str(task)]
        readable = (str(Path(__file__).resolve().parents[2]), str(Path(tool).resolve().parent))
        cuda = job.device != "cpu"
        status, log = run_confined(command, scratch, limit_s, unsafe=job.unsafe_runner, readable=readable, cuda=cuda, watched=True)
        return _read(status, log)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _task(job: Job, workload: Workload, artefact: Path | None, scratch: Path) -> Path:
    write_sources(job.solution, scratch / "src")
    spec = job.solution.spec
    if artefact is not None:
        shutil.copyfile(artefact, scratch / "kernel.so")
    load = {
        "artefact": None if artefact is None else str(scratch / "kernel.so"), "folder": str(scratch / "src"),
        "module": spec.entry_file.removesuffix(".py").replace("/", "."), "symbol": spec.entry_symbol,
        "destination_passing": spec.destination_passing_style,
    }  # fmt: skip
    task = {
        "definition": job.definition.model_dump(mode="json"), "workload": workload.model_dump(mode="json"), "device": job.device,
        "dataset_root": job.dataset_root, "seed": secrets.randbits(48), "load": load,
    }  # fmt: skip
    path = scratch / "task.json"
    path.write_text(json.dumps(task), encoding="utf-8")
    return path


def _read(status: int | None, log: str) -> Sanitized:
    """Errors count only when both the status and the tool's own summary tell of them."""
    found = SUMMARY.findall(log)
    if status == FOUND and found and int(found[-1]) > 0:
        first = FIRST.search(log)
        return Sanitized("errors", f"memcheck found {found[-1]} errors: {first[1] if first else 'see the log'}", log)
    if status == 0 and found and int(found[-1]) == 0:
        return Sanitized("memcheck: no errors")
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    why = "out of time" if status is None else f"status {status}: {lines[-1][:200] if lines else 'nothing printed'}"
    return Sanitized(f"{NOT_AVAILABLE}: {why}")
