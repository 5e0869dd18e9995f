"""`python -m ksearch.profiling.triton_worker JOB`: what Triton makes of a candidate's launches, where there may be no GPU.

The entry point is called on CPU tensors under a driver that names the target and can do nothing else; every launch is compiled for it
and none is made. Autotuned kernels are compiled in their first configuration. Runs behind the judge's wall: the candidate's code
runs in this process. Prints a JSON list of KernelReport.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from ksearch.definitions.generate import make_inputs
from ksearch.definitions.schema import Definition, Frozen, Workload
from ksearch.judge.verdict import KernelReport
from ksearch.profiling.binaries import disassembler, ptx_code, sass_code, triton_resources, with_code

SOURCES = "src"
"""Folder of the candidate's sources, below the working folder."""
SEED = 1
DISASSEMBLY_S = 30


class WorkerJob(Frozen):
    """What to call. `capability` is 90 for sm_90."""

    module: str
    symbol: str
    destination_passing_style: bool
    capability: int
    definition: Definition
    workload: Workload


class NowhereDriver:
    """A driver of a GPU that isn't there: it knows what to compile for."""

    def __init__(self, capability: int) -> None:
        from triton.backends.compiler import GPUTarget

        self._target = GPUTarget("cuda", capability, 32)

    def get_current_target(self) -> Any:
        return self._target

    def get_current_device(self) -> int:
        return 0

    def set_current_device(self, device: int) -> None:
        pass

    def get_current_stream(self, device: int | None = None) -> int:
        return 0

    def get_active_torch_device(self) -> Any:
        import torch

        return torch.device("cpu")


def main(arguments: list[str]) -> int:
    job = WorkerJob.model_validate_json(Path(arguments[0]).read_text("utf-8"))
    compiled = compiled_launches(job)
    answer = [report.model_dump() for report in reports(compiled)]
    sys.stdout.write("\n" + json.dumps(answer) + "\n")
    return 0


def compiled_launches(job: WorkerJob) -> dict[str, Any]:
    """Triton's compiled kernels by hash, of every launch that one call makes."""
    from triton.runtime.autotuner import Autotuner
    from triton.runtime.driver import driver
    from triton.runtime.jit import JITFunction

    driver.set_active(NowhereDriver(job.capability))
    found: dict[str, Any] = {}
    compile_launch = JITFunction.run

    def only_compile(kernel: Any, *args: Any, grid: Any, warmup: bool, **options: Any) -> Any:
        made = compile_launch(kernel, *args, grid=grid, warmup=True, **options)
        found[made.hash] = made
        return made

    def first_configuration(tuner: Any, *args: Any, **options: Any) -> Any:
        return tuner.fn.run(*args, **{**options, **tuner.configs[0].all_kwargs()})

    JITFunction.run, Autotuner.run = only_compile, first_configuration
    sys.path.insert(0, str(Path(SOURCES).resolve()))
    function = getattr(importlib.import_module(job.module), job.symbol)
    function(*_arguments(job))
    return found


def _arguments(job: WorkerJob) -> tuple[Any, ...]:
    import torch

    inputs = make_inputs(job.definition, job.workload, SEED, "cpu", None)
    if not job.destination_passing_style:
        return tuple(inputs)
    outputs = [
        torch.zeros(job.definition.shape_of(name, job.workload.axes) or (), dtype=getattr(torch, spec.dtype))
        for name, spec in job.definition.outputs.items()
    ]
    return (*inputs, *outputs)


def reports(compiled: dict[str, Any]) -> tuple[KernelReport, ...]:
    found: list[KernelReport] = []
    for made in compiled.values():
        found += _report(made)
    return tuple(sorted(found, key=lambda kernel: (-(kernel.instructions or 0), kernel.name)))


def _report(made: Any) -> tuple[KernelReport, ...]:
    """Triton's metadata tells the shared memory of a launch, cuobjdump the rest; without one, PTX tells the instructions."""
    name, tool = made.metadata.name, disassembler()
    bare = KernelReport(name=name, dynamic_shared_bytes=int(made.metadata.shared))
    if tool is None:
        return with_code({name: bare}, ptx_code(made.asm["ptx"]))
    with tempfile.NamedTemporaryFile(suffix=".cubin", dir=".") as file:
        file.write(made.asm["cubin"])
        file.flush()
        usage, sass = (_dump(tool, option, file.name) for option in ("--dump-resource-usage", "--dump-sass"))
    found = triton_resources(usage).get(name, bare).model_copy(update={"dynamic_shared_bytes": bare.dynamic_shared_bytes})
    return with_code({name: found}, sass_code(sass))


def _dump(tool: str, option: str, path: str) -> str:
    return subprocess.run([tool, option, path], capture_output=True, text=True, timeout=DISASSEMBLY_S, check=False).stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
