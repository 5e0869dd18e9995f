"""What the workloads of a regime look like, for a forecaster: shapes and dtypes of their tensors, and how many bytes they hold."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from ksearch.definitions.schema import Definition

DTYPE_BYTES = {
    "float32": 4.0, "float16": 2.0, "bfloat16": 2.0, "float8_e4m3fn": 1.0, "float8_e5m2": 1.0, "float4_e2m1": 0.5,
    "int64": 8.0, "int32": 4.0, "int16": 2.0, "int8": 1.0, "bool": 1.0,
}  # fmt: skip


MOST_SHOWN = 6
"""Workloads of a regime whose axes are written out."""


def shapes_of(definition: Definition, workloads: Sequence[Mapping[str, int]]) -> str:
    """Tensors of the middle one of these workloads, then the axes of all."""
    axes = workloads[len(workloads) // 2]
    tensors = (*definition.inputs.items(), *definition.outputs.items())
    texts = [f"{name} {spec.dtype}{list(definition.shape_of(name, axes) or ())}" for name, spec in tensors]
    return ", ".join(texts) + (f"; its {len(workloads)} workloads: {axes_of(workloads)}" if len(workloads) > 1 else "")


def axes_of(workloads: Sequence[Mapping[str, int]]) -> str:
    shown = [" ".join(f"{axis}={value}" for axis, value in axes.items()) for axes in workloads[:MOST_SHOWN]]
    return ", ".join(shown + ["..."] * (len(workloads) > MOST_SHOWN))


def moved_bytes(definition: Definition, axes: Mapping[str, int]) -> float:
    """Bytes of all inputs and outputs. A kernel that reads a part of a cache moves less."""
    total = 0.0
    for name, spec in (*definition.inputs.items(), *definition.outputs.items()):
        shape = definition.shape_of(name, axes)
        total += math.prod(shape or ()) * DTYPE_BYTES[spec.dtype]
    return total
