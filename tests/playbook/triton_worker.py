"""Runs Triton candidates where there is no GPU: `interpret` checks numerics, `compile` compiles every launch for a GPU.

A process of its own, because TRITON_INTERPRET is read when triton is imported. Reads jobs as a JSON list on standard
input (source, operator, case, archs) and prints one JSON object for each: {"fault": ...} or {"launches": [...]}.
"""

from __future__ import annotations

import importlib.util
import inspect
import json
import os
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

MODE = sys.argv[1]
if MODE == "interpret":
    os.environ["TRITON_INTERPRET"] = "1"
sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks" / "playbook"))

import torch  # noqa: E402
import triton  # noqa: E402
from operators import OPERATORS, Operator  # noqa: E402
from triton.runtime.jit import JITFunction  # noqa: E402

CPU = torch.device("cpu")
TOWARDS_ZERO = 2**-7
"""The interpreter truncates to bfloat16, where a GPU rounds to nearest."""
OPTIONS = ("num_warps", "num_stages", "num_ctas")


def load(source: str, folder: Path, number: int) -> ModuleType:
    """From a file: Triton reads a kernel's source through inspect."""
    path = folder / f"candidate_{number}.py"
    path.write_text(source)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def interpret(module: ModuleType, operator: Operator, case: dict[str, Any]) -> dict[str, Any]:
    arguments = operator.arguments(case, CPU, 1)
    pristine = [argument.clone() if isinstance(argument, torch.Tensor) else argument for argument in arguments]
    module.run(*arguments)
    for name, before, after in zip(operator.definition().inputs, pristine, arguments, strict=False):
        if isinstance(before, torch.Tensor) and not torch.equal(before.view(torch.uint8), after.view(torch.uint8)):
            return {"fault": f"input {name} was changed"}
    return {"fault": operator.fault(arguments, TOWARDS_ZERO)}


def launches(module: ModuleType, operator: Operator, case: dict[str, Any]) -> list[tuple[JITFunction, dict[str, Any], dict[str, Any]]]:
    """(kernel, arguments by name, options) of every launch that `run` makes on these inputs; nothing is launched."""
    found: list[tuple[JITFunction, dict[str, Any], dict[str, Any]]] = []

    def record(kernel: JITFunction, *args: Any, grid: Any, warmup: bool, **kwargs: Any) -> None:
        assert all(isinstance(size, int) and size > 0 for size in grid), f"grid {grid}"
        options = {name: kwargs.pop(name) for name in OPTIONS if name in kwargs}
        bound = inspect.signature(kernel.fn).bind(*args, **kwargs)
        found.append((kernel, dict(bound.arguments), options))

    original = JITFunction.run
    JITFunction.run = record
    try:
        module.run(*operator.arguments(case, CPU, 1))
    finally:
        JITFunction.run = original
    return found


def kind(value: Any) -> str:
    from triton._utils import canonicalize_dtype

    if isinstance(value, torch.Tensor):
        return "*" + canonicalize_dtype(value.dtype)
    return {int: "i32", float: "fp32"}[type(value)]


def compile_launch(kernel: JITFunction, arguments: dict[str, Any], options: dict[str, Any], arch: int) -> dict[str, Any]:
    """As the launcher would: pointers and multiples of 16 are marked as such, ones become constants."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    fixed = {parameter.name for parameter in kernel.params if parameter.is_constexpr}
    constants = {name: value for name, value in arguments.items() if name in fixed or (isinstance(value, int) and value == 1)}
    signature = {name: "constexpr" if name in constants else kind(value) for name, value in arguments.items()}
    names = list(arguments)
    aligned = {
        (names.index(name),): [["tt.divisibility", 16]] for name, value in arguments.items()
        if name not in constants and (isinstance(value, torch.Tensor) or (isinstance(value, int) and value % 16 == 0))
    }
    made = triton.compile(ASTSource(kernel, signature, constants, aligned), target=GPUTarget("cuda", arch, 32), options=options)
    return {"kernel": kernel.fn.__name__, "arch": arch, "shared": made.metadata.shared, "cubin": len(made.asm["cubin"])}


def answer(job: dict[str, Any], folder: Path, number: int) -> dict[str, Any]:
    module, operator = load(job["source"], folder, number), OPERATORS[job["operator"]]
    if MODE == "interpret":
        return interpret(module, operator, job["case"])
    made = [
        compile_launch(kernel, arguments, options, arch)
        for kernel, arguments, options in launches(module, operator, job["case"]) for arch in job["archs"]
    ]
    return {"launches": made}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for number, job in enumerate(json.load(sys.stdin)):
            try:
                result = answer(job, Path(folder), number)
            except Exception as error:  # noqa: BLE001 - a candidate may fail in any way; its answer says how
                result = {"fault": f"{type(error).__name__}: {error}"[-2000:]}
            print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
