"""Tensors over shared memory, from the offsets that the judge names."""

from __future__ import annotations

import math
from typing import Any


def view(memory: Any, base: int, spec: dict[str, Any]) -> Any:
    """The tensor at `base` + the spec's offset in `memory` (a uint8 tensor), or the scalar itself."""
    import torch

    if "value" in spec:
        return spec["value"]
    dtype = getattr(torch, spec["dtype"])
    shape = spec["shape"]
    size = math.prod(shape) * dtype.itemsize
    start = base + spec["offset"]
    if size == 0:
        return torch.empty(shape, dtype=dtype)
    return memory[start : start + size].view(dtype).view(shape)


def store(outputs: list[Any], returned: Any, names: list[str]) -> None:
    """Copy what a value-returning candidate gave into the output buffers; arity, names, shape and dtype are strict.

    As in FlashInfer-Bench: one tensor, a tuple in the definition's order, or a dict by name.
    """
    import torch

    values = _in_order(returned, names)
    if len(values) != len(outputs):
        raise TypeError(f"{len(values)} outputs returned where the definition has {len(outputs)}")
    for place, (target, value) in enumerate(zip(outputs, values, strict=True)):
        if not isinstance(value, torch.Tensor):
            raise TypeError(f"output {place} is a {type(value).__name__}, not a tensor")
        if value.dtype != target.dtype:
            raise TypeError(f"INCORRECT_DTYPE output {place} is {value.dtype}, not {target.dtype}")
        if value.shape != target.shape:
            raise TypeError(f"INCORRECT_SHAPE output {place} has shape {tuple(value.shape)}, not {tuple(target.shape)}")
        target.copy_(value)


def _in_order(returned: Any, names: list[str]) -> list[Any]:
    if not isinstance(returned, dict):
        return list(returned) if isinstance(returned, tuple | list) else [returned]
    if set(returned) != set(names):
        raise TypeError(f"outputs {sorted(map(str, returned))} returned where the definition has {sorted(names)}")
    return [returned[name] for name in names]
