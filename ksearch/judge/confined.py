"""Compilers and disassemblers behind the wall: a candidate's sources in a folder of their own, one command over them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from ksearch.definitions.schema import Solution
from ksearch.judge.host import clean_environment
from ksearch.judge.sandbox.wall import WallPlan

COMPILER_MEMORY_BYTES = 8 * 2**30
MAX_OUTPUT = 64 * 2**20
"""Read of what a command prints: code that is longer is reported in part."""
REPORT_FORMAT = 2
"""Raised when more is read out of a build: what was built before is then built again."""


def write_sources(solution: Solution, folder: Path) -> None:
    """The solution's files below `folder`; their paths were checked to stay inside when the solution was read."""
    for source in solution.sources:
        path = folder / source.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source.content, encoding="utf-8", errors="surrogatepass")


def run_confined(
    command: list[str],
    scratch: Path,
    limit_s: float,
    *,
    unsafe: bool,
    readable: tuple[str, ...] = (),
    cuda: bool = False,
    watched: bool = False,
) -> tuple[int | None, str]:
    """(exit status, or None when the time was up; output). `readable`: what the command may read beside the toolchain. `cuda`: it may
    use the device, whose driver works with no limit on addresses. `watched`: it attaches to a program that it starts."""
    plan = WallPlan(
        scratch=str(scratch), processes=True, cuda=cuda, memory_bytes=None if cuda else COMPILER_MEMORY_BYTES,
        cpu_seconds=max(1, int(limit_s * 4)), unsafe=unsafe, extra_readable=readable, watched=watched,
    )  # fmt: skip
    environment = {**clean_environment(threads=1), "HOME": str(scratch), "TMPDIR": str(scratch)}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    arguments = [sys.executable, "-m", "ksearch.judge.sandbox.confine", plan.model_dump_json(), str(os.getpid()), "--", *command]
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
        return status, output.read(MAX_OUTPUT).decode("utf-8", "replace")
