"""`python -m ksearch.profiling.target JOB trace|ncu`: one solution on one workload, to be looked at from outside.

`trace` records the launches of one call and prints them as JSON. `ncu` makes the same call once between cudaProfilerStart and Stop, for
Nsight Compute (`--profile-from-start off`). Both make calls before, so that Triton's compilation and first allocations are over, and
flush the L2 cache, as the judge does. The candidate runs in this process, with no wall around it: whoever starts this has decided so.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from ksearch.definitions.generate import make_inputs
from ksearch.definitions.schema import Definition, Frozen, Workload

SEED = 20
WARM_CALLS = 3
TRACED_CALLS = 7
FLUSH_BYTES = 2**28
"""Twice and more the L2 cache of any GPU there is."""
FLUSHES = 3


class TargetJob(Frozen):
    """`folder` holds the sources, `artefact` the built library of a C++ or CUDA solution (None: Python or Triton)."""

    folder: str
    artefact: str | None
    module: str
    symbol: str
    destination_passing_style: bool
    device: str
    dataset_root: str | None
    definition: Definition
    workload: Workload


class Prepared:
    """A call ready to be made again and again on the same tensors."""

    def __init__(self, job: TargetJob) -> None:
        import torch

        from ksearch.judge.runner.stub import load

        torch.cuda.set_device(job.device)
        self._flush = torch.empty(FLUSH_BYTES // 4, dtype=torch.int32, device=job.device)
        self._inputs = make_inputs(job.definition, job.workload, SEED, job.device, job.dataset_root)
        self._outputs = _outputs(job) if job.destination_passing_style else ()
        self._function = load({"artefact": job.artefact, "symbol": job.symbol, "folder": job.folder, "module": job.module})
        for _ in range(WARM_CALLS):
            self.call()
        torch.cuda.synchronize()

    def call(self) -> None:
        self._function(*self._inputs, *self._outputs)

    def flush(self) -> None:
        for _ in range(FLUSHES):
            self._flush.fill_(1)


def _outputs(job: TargetJob) -> tuple[Any, ...]:
    import torch

    shapes = {name: job.definition.shape_of(name, job.workload.axes) or () for name in job.definition.outputs}
    return tuple(
        torch.empty(shapes[name], dtype=getattr(torch, spec.dtype), device=job.device) for name, spec in job.definition.outputs.items()
    )


def trace(prepared: Prepared) -> list[tuple[str, str, float, float]]:
    """(kind, name, start, duration) in microseconds of what one call does on the device: of several calls the shortest one."""
    import torch

    from ksearch.judge.runner.cuda_calls import Recorder

    recorder, best = Recorder(), list[tuple[str, str, float, float]]()
    for _ in range(TRACED_CALLS):
        prepared.flush()
        torch.cuda.synchronize()
        recorder.on()
        prepared.flush()
        prepared.call()
        torch.cuda.synchronize()
        recorder.keep()
        records = recorder.take()[FLUSHES:]
        found = [(kind, name, (start - records[0][2]) / 1e3, (end - start) / 1e3) for kind, name, start, end, _ in records]
        if found and (not best or _span(found) < _span(best)):
            best = found
    return best


def _span(records: list[tuple[str, str, float, float]]) -> float:
    return max(start + duration for _, _, start, duration in records)


def profiled(prepared: Prepared) -> None:
    """One call that Nsight Compute sees; it flushes the caches itself before each pass."""
    import torch

    torch.cuda.synchronize()
    torch.cuda.profiler.start()
    prepared.call()
    torch.cuda.synchronize()
    torch.cuda.profiler.stop()


def main(arguments: list[str]) -> int:
    job, mode = TargetJob.model_validate_json(Path(arguments[0]).read_text("utf-8")), arguments[1]
    prepared = Prepared(job)
    if mode == "ncu":
        profiled(prepared)
    else:
        sys.stdout.write("\n" + json.dumps(trace(prepared)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
