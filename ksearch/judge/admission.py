"""The first stage: what can be refused by reading."""

from __future__ import annotations

import re

from ksearch.definitions.schema import Solution
from ksearch.judge.failures import StageFailure
from ksearch.judge.toolchain import COMPILED
from ksearch.judge.verdict import Job, Stage, Status

LANGUAGES = {"cpu": {"python", "cpp"}, "cuda": {"python", "triton", "cuda", "cpp"}}
UNSUPPORTED_DTYPES = {"float4_e2m1"}


def admit(job: Job) -> None:
    """Raises StageFailure: COMPILE_ERROR for a solution that can't be built or called, REJECTED for one that doesn't belong."""
    _suits(job.solution, job)
    for other in (job.baseline, job.opponent):
        if other is not None and other.definition != job.definition.name:
            raise _refused(f"solution {other.name!r} is for {other.definition!r}, the job for {job.definition.name!r}")
    for name, spec in (*job.definition.inputs.items(), *job.definition.outputs.items()):
        if spec.dtype in UNSUPPORTED_DTYPES:
            raise _refused(f"tensor {name!r}: {spec.dtype} can't be judged yet")


def _suits(solution: Solution, job: Job) -> None:
    spec = solution.spec
    if solution.definition != job.definition.name:
        raise _refused(f"the solution is for {solution.definition!r}, the job for {job.definition.name!r}")
    kind = job.device.partition(":")[0]
    if spec.language not in LANGUAGES.get(kind, set()):
        raise _refused(f"language {spec.language} is not judged on {kind}")
    if spec.language in ("cpp", "cuda"):
        _suits_compiled(solution)
    elif not re.fullmatch(r"([A-Za-z_]\w*/)*[A-Za-z_]\w*\.py", spec.entry_file):
        raise _refused(f"entry file {spec.entry_file!r} can't be imported: a Python module's path is needed")
    if not re.fullmatch(r"[A-Za-z_]\w*", spec.entry_symbol):
        raise _refused(f"entry point {spec.entry_symbol!r} is no identifier")


def _suits_compiled(solution: Solution) -> None:
    spec = solution.spec
    if spec.binding == "torch":
        raise _refused("binding 'torch' is not built; export the entry point by tvm-ffi (binding 'tvm-ffi')")
    if not spec.destination_passing_style:
        raise _refused("a compiled entry point is called in destination-passing style")
    wanted = {"cpp"} if spec.language == "cpp" else {"cpp", "cuda"}
    kinds = {COMPILED[suffix] for source in solution.sources if (suffix := "." + source.path.rpartition(".")[2]) in COMPILED}
    if spec.language not in kinds or not kinds <= wanted:
        raise _refused(f"language {spec.language} with sources {[source.path for source in solution.sources]}")
    if any(re.search(r"[^\w./+-]", source.path) or source.path.startswith("-") for source in solution.sources):
        raise _refused("paths of compiled sources are made of letters, digits and . _ + - /")


def _refused(message: str) -> StageFailure:
    return StageFailure(Status.REJECTED, Stage.ADMISSION, message)
