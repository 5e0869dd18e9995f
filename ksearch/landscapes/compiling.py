"""Compiling candidates ahead of measuring them, several at once and without a device.

C++ and CUDA go through the judge's compile stage into its store of artefacts. Triton compiles when a kernel is first launched,
so `run` is called on empty tensors with every launch replaced by its compilation: the measuring process then finds the
binaries in Triton's own cache.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ksearch.definitions.schema import Definition, ScalarInput, Solution, Workload
from ksearch.judge.cache import ArtefactStore, cache_root
from ksearch.judge.compile import compile_solution, write_sources
from ksearch.judge.toolchain import CompileTarget

LIMIT_S = 150.0


@dataclass(frozen=True)
class CompilePlan:
    """`workloads`: all that candidates will be called on, since Triton's binaries depend on shapes."""

    definition: Definition
    workloads: tuple[Workload, ...]
    target: CompileTarget
    triton_cache: str
    unsafe: bool


@dataclass(frozen=True, slots=True)
class Compiled:
    """`failure` is the compile stage's (None for what is compiled by running it); `log` its reason."""

    code: str
    artefact: str | None = None
    failure: str | None = None
    log: str = ""
    registers: int | None = None
    spill_bytes: int | None = None
    shared_bytes: int | None = None
    seconds: float = 0.0


def prepare(number: int, plan: CompilePlan) -> tuple[None, Callable[[Solution], tuple[Compiled, bool]]]:
    os.environ["TRITON_CACHE_DIR"] = plan.triton_cache
    os.environ["OMP_NUM_THREADS"] = "1"
    os.nice(10)  # a device's measuring goes on beside
    return None, lambda solution: (_compile(solution, plan), True)


def _compile(solution: Solution, plan: CompilePlan) -> Compiled:
    begin = time.monotonic()
    if solution.spec.language == "triton":
        shared = _compile_triton(solution, plan)
        return Compiled(solution.digest, shared_bytes=shared, seconds=time.monotonic() - begin)
    outcome = compile_solution(solution, plan.target, ArtefactStore(cache_root()), limit_s=LIMIT_S - 10, unsafe=plan.unsafe)
    report = outcome.report
    return Compiled(
        solution.digest,
        artefact=None if outcome.artefact is None else str(outcome.artefact),
        failure=None if outcome.failure is None else outcome.failure.value,
        log=report.log[-4000:] if outcome.failure else "",
        registers=report.registers,
        spill_bytes=report.spill_bytes,
        shared_bytes=report.shared_bytes,
        seconds=report.seconds,
    )


def _compile_triton(solution: Solution, plan: CompilePlan) -> int | None:
    """Bytes of shared memory of the launch that takes most. What doesn't compile fails again, and is told, where it is run."""
    assert plan.target.arch is not None
    launches: list[Any] = []
    with tempfile.TemporaryDirectory() as folder, _compiling_launches(plan.target.arch, launches):
        for workload in plan.workloads:
            with contextlib.suppress(Exception):  # whatever a candidate raises
                run = load_python(solution, Path(folder))
                run(*_empty(plan.definition, workload))
    return max((launch.metadata.shared for launch in launches if launch is not None), default=None)


def load_python(solution: Solution, folder: Path) -> Callable[..., Any]:
    """The entry point, from files in `folder`; modules of the same name that were loaded before are forgotten."""
    import importlib

    write_sources(solution, folder)
    modules = [source.path.removesuffix(".py").replace("/", ".") for source in solution.sources if source.path.endswith(".py")]
    for module in modules:
        sys.modules.pop(module, None)
    importlib.invalidate_caches()
    sys.path.insert(0, str(folder))
    try:
        loaded = importlib.import_module(solution.spec.entry_file.removesuffix(".py").replace("/", "."))
        return getattr(loaded, solution.spec.entry_symbol)  # type: ignore[no-any-return]
    finally:
        sys.path.remove(str(folder))


def _empty(definition: Definition, workload: Workload) -> list[Any]:
    """Arguments of a call without values: memory that nobody touches costs nothing."""
    import torch

    arguments: list[Any] = []
    for name, spec in (*definition.inputs.items(), *definition.outputs.items()):
        shape = definition.shape_of(name, workload.axes)
        given = workload.inputs.get(name)
        if shape is None:
            arguments.append(given.value if isinstance(given, ScalarInput) else 0.75)
        else:
            arguments.append(torch.empty(shape, dtype=getattr(torch, spec.dtype)))
    return arguments


@contextlib.contextmanager
def _compiling_launches(arch: str, launches: list[Any]) -> Iterator[None]:
    from triton.backends.compiler import GPUTarget
    from triton.runtime.driver import driver
    from triton.runtime.jit import JITFunction

    original = JITFunction.run

    def compile_only(kernel: Any, *args: Any, grid: Any, warmup: bool, **kwargs: Any) -> None:
        launches.append(original(kernel, *args, grid=grid, warmup=True, **kwargs))

    driver.set_active(_NoDevice(GPUTarget("cuda", int(arch.removeprefix("sm_")), 32)))
    JITFunction.run = compile_only
    try:
        yield
    finally:
        JITFunction.run = original


class _NoDevice:
    """As much of Triton's driver as compiling asks for."""

    def __init__(self, target: Any) -> None:
        self.target = target

    def get_current_target(self) -> Any:
        return self.target

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: int) -> int:
        return 0
