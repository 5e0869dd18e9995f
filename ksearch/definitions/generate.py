"""Inputs of a workload from a seed: valid for the operator, new for every seed, the same for the same seed and device."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ksearch.definitions.kits import kit_for
from ksearch.definitions.kits.base import Draw
from ksearch.definitions.recorded import load_recorded
from ksearch.definitions.schema import Definition, SafetensorsInput, ScalarInput, TensorSpec, Workload
from ksearch.errors import BadInput

if TYPE_CHECKING:
    import torch

Inputs = tuple[Any, ...]
"""Tensors, and Python numbers for scalars, in the definition's order."""


def torch_dtype(name: str) -> torch.dtype:
    """The element type a definition's dtype name stands for; float4 is packed, two to a byte."""
    import torch

    return torch.float4_e2m1fn_x2 if name == "float4_e2m1" else getattr(torch, name)


def make_inputs(
    definition: Definition, workload: Workload, seed: int, device: str = "cpu", dataset_root: str | Path | None = None
) -> Inputs:
    """All inputs of one call, contiguous on `device`.

    Recorded inputs come from the dataset's safetensors (below `dataset_root`), scalars from the workload, the rest from
    `seed`. Raises BadInput for axes that don't fit and for an input that can't be drawn.
    """
    check_axes(definition, workload)
    draw = Draw(definition, workload, seed, device)
    tensors = [name for name, spec in definition.inputs.items() if spec.shape is not None]
    recorded = [name for name in tensors if isinstance(workload.inputs.get(name), SafetensorsInput)]
    made = kit_for(definition).generate(draw) if len(recorded) < len(tensors) else {}
    return tuple(_input(draw, name, spec, made.get(name), dataset_root) for name, spec in definition.inputs.items())


def renewed_inputs(definition: Definition) -> tuple[str, ...]:
    """Names of the tensors that `fresh_values` makes anew: all but weights, which real use keeps from call to call."""
    invariant = kit_for(definition).invariant
    return tuple(name for name, spec in definition.inputs.items() if spec.shape is not None and name not in invariant)


def fresh_values(
    definition: Definition, workload: Workload, inputs: Sequence[Any], seed: int, dataset_root: str | Path | None = None
) -> Inputs:
    """The inputs of the next call: new tensors for what `renewed_inputs` names, the given objects for the rest.

    Recorded inputs come back with their recorded values, in new storage. The given tensors are read, never written.
    """
    kit = kit_for(definition)
    before = dict(zip(definition.inputs, inputs, strict=True))
    device = next((str(value.device) for value in inputs if hasattr(value, "device")), "cpu")
    draw = Draw(definition, workload, seed, device)
    recorded = any(isinstance(spec, SafetensorsInput) for spec in workload.inputs.values())
    made = kit.refresh(draw, before) if kit.refresh and not recorded else kit.generate(draw)
    return tuple(
        before[name] if name in kit.invariant else _input(draw, name, spec, made.get(name), dataset_root)
        for name, spec in definition.inputs.items()
    )


def check_axes(definition: Definition, workload: Workload) -> None:
    """Refuses a workload that leaves a var axis open."""
    if missing := [axis for axis in definition.var_axes if axis not in workload.axes]:
        raise BadInput(f"workload {workload.uuid} of {definition.name} gives no value for the axes {', '.join(missing)}")


def _input(draw: Draw, name: str, spec: TensorSpec, made: Any, dataset_root: str | Path | None) -> Any:
    given = draw.workload.inputs.get(name)
    if spec.shape is None:
        return _scalar(draw, name, spec, given)
    if isinstance(given, SafetensorsInput):
        return load_recorded(draw.definition, draw.workload, name, given, dataset_root).to(draw.device)
    value = by_dtype(draw, name, spec) if made is None else made() if callable(made) else made
    if tuple(value.shape) != draw.shape(name):
        raise BadInput(f"{draw.definition.name}: made {name!r} of shape {tuple(value.shape)} where {draw.shape(name)} is declared")
    return value.to(torch_dtype(spec.dtype)).contiguous()


def _scalar(draw: Draw, name: str, spec: TensorSpec, given: object) -> int | float | bool:
    """The workload's value; a float scalar without one is drawn from [0.5, 1.5], an integer one is refused."""
    if isinstance(given, ScalarInput):
        return given.value
    if spec.dtype.startswith(("float", "bfloat")):
        return float(draw.uniform(0.5, 1.5, 1).item())
    raise BadInput(f"workload {draw.workload.uuid}: scalar {name!r} is {spec.dtype}; give it a value ({{'type': 'scalar', 'value': ...}})")


def by_dtype(draw: Draw, name: str, spec: TensorSpec) -> torch.Tensor:
    """Values where only the dtype is known: normals for floats (within +-2 for fp8), all of int8, fair bits for bool.

    Wider integers are indices, offsets or lengths as often as not, and a wrong one reads out of bounds: refused.
    """
    shape = draw.shape(name)
    match spec.dtype:
        case "float32" | "float16" | "bfloat16":
            return draw.activations(name)
        case "float8_e4m3fn" | "float8_e5m2":
            return draw.normal(*shape).clamp(-2, 2)
        case "int8":
            return draw.integers(-128, 128, *shape)
        case "bool":
            return draw.integers(0, 2, *shape)
        case _:
            raise BadInput(
                f"{draw.definition.name}: input {name!r} is {spec.dtype} and random, and what its values mean can't be known. "
                f"Give recorded values (a workload input of type 'safetensors', with --dataset)"
            )
