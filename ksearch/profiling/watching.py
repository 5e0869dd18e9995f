"""A passed solution run once more outside the judge's wall, to be looked into: its launches by CUPTI, its counters by Nsight Compute.

A profiler needs what the wall takes away (sockets between its processes, other processes' memory), so that this is done only when the
user asks for it, and only with solutions that the judge has passed.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib import util
from pathlib import Path

from ksearch.judge.cache import ArtefactStore, cache_root
from ksearch.judge.compile import compile_solution
from ksearch.judge.confined import write_sources
from ksearch.judge.host import clean_environment
from ksearch.judge.toolchain import target_of
from ksearch.judge.verdict import Job, JudgedWorkload
from ksearch.profiling.digest import Digest, KernelCounters, Launch
from ksearch.profiling.ncu import NoCounters, command_of, complaint, counters_of, find_ncu
from ksearch.profiling.target import TargetJob

LIMIT_S = 180.0


def watch(job: Job, workloads: Mapping[str, JudgedWorkload]) -> tuple[tuple[Digest, ...], str | None]:
    """A digest for each of the given workloads (by regime), and in one line what of it is missing, None when nothing is."""
    if not job.device.startswith("cuda"):
        return (), "no counters: Nsight Compute profiles NVIDIA GPUs, and this was measured on cpu"
    scratch = Path(tempfile.mkdtemp(prefix="ksearch-profile-"))
    try:
        found = [_watch_one(job, judged, scratch) for judged in workloads.values()]
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    missing = dict.fromkeys(reason for _, reasons in found for reason in reasons)
    return tuple(digest for digest, _ in found), "; ".join(missing) or None


def _watch_one(job: Job, judged: JudgedWorkload, scratch: Path) -> tuple[Digest, tuple[str, ...]]:
    path = _target(job, judged, scratch)
    launches, kernels, reasons = tuple[Launch, ...](), tuple[KernelCounters, ...](), list[str]()
    try:
        launches = _launches(path, scratch)
    except NoCounters as error:
        reasons.append(str(error))
    try:
        kernels = counters_of(_run(command_of(find_ncu(), _command(path, "ncu")), scratch))
    except NoCounters as error:
        reasons.append(str(error))
    return Digest(workload=judged.workload.uuid, regime=judged.regime, launches=launches, kernels=kernels), tuple(reasons)


def _target(job: Job, judged: JudgedWorkload, scratch: Path) -> Path:
    spec = job.solution.spec
    sources = scratch / "src"
    if not sources.exists():
        write_sources(job.solution, sources)
    built = compile_solution(job.solution, target_of(job.device), ArtefactStore(cache_root()), unsafe=job.unsafe_runner)
    target = TargetJob(
        folder=str(sources),
        artefact=None if built.artefact is None else str(built.artefact),
        module=spec.entry_file.removesuffix(".py").replace("/", "."),
        symbol=spec.entry_symbol,
        destination_passing_style=spec.destination_passing_style,
        device=job.device,
        dataset_root=job.dataset_root,
        definition=job.definition,
        workload=judged.workload,
    )
    path = scratch / "target.json"
    path.write_text(target.model_dump_json(), "utf-8")
    return path


def _launches(path: Path, scratch: Path) -> tuple[Launch, ...]:
    if util.find_spec("cupti") is None:
        raise NoCounters("no list of launches: the package cupti-python is not installed")
    lines = [line for line in _run(_command(path, "trace"), scratch).splitlines() if line.startswith("[[")]
    if not lines:
        raise NoCounters("no list of launches: the call did nothing on the device that CUPTI saw")
    return tuple(Launch(kind=kind, name=name, start_us=start, duration_us=took) for kind, name, start, took in json.loads(lines[-1]))


def _command(path: Path, mode: str) -> list[str]:
    return [sys.executable, "-m", "ksearch.profiling.target", str(path), mode]


def _run(command: list[str], scratch: Path) -> str:
    """What it printed, on both streams. Raises NoCounters. No secret of the user's environment goes along."""
    # LC_ALL: ncu writes numbers as the locale has them.
    environment = {**clean_environment(threads=1), "HOME": str(scratch), "TMPDIR": str(scratch), "LC_ALL": "C"}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    name = Path(command[0]).name
    try:
        process = subprocess.Popen(
            command, env=environment, text=True, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
    except OSError as error:
        raise NoCounters(f"no counters: {name}: {error.strerror}") from error
    try:
        output = "".join(process.communicate(timeout=LIMIT_S))
    except subprocess.TimeoutExpired as error:
        raise NoCounters(f"no counters: {name} took over {LIMIT_S:g} s") from error
    finally:
        _end(process)
    if process.returncode != 0 and '"ID"' not in output:
        raise NoCounters(complaint(output))
    return output


def _end(process: subprocess.Popen[str]) -> None:
    """The profiler and whatever it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
