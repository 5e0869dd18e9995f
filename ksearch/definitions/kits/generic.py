"""A definition no kit recognises: values by dtype, regimes by size, hidden workloads where that is safe."""

from __future__ import annotations

from collections.abc import Sequence

from ksearch.definitions.kits.base import Draw, HiddenCases, OperatorKit, Tensors
from ksearch.definitions.kits.work import tensor_bytes
from ksearch.definitions.schema import Definition, Recipe, ValueKind, Workload

DRAWN = frozenset({"float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "int8", "bool"})
"""Element types that mean numbers. int16, int32 and int64 are mostly indices, offsets or lengths, float4 is packed."""

_KINDS: tuple[ValueKind, ...] = ("normal", "scaled", "offset", "heavy")


def input_bytes(definition: Definition, workload: Workload) -> float:
    return tensor_bytes(definition, workload, definition.inputs)


def size_regime(definition: Definition, workload: Workload) -> str:
    """small below 1 MiB of inputs (latency-bound), medium below 64 MiB (fits in a cache), large above."""
    size = input_bytes(definition, workload)
    return "small" if size < 2**20 else "medium" if size < 2**26 else "large"


def no_opinion(draw: Draw) -> Tensors:
    return {}


def hidden(cases: HiddenCases) -> Sequence[Workload]:
    """Known shapes under unlike values; new sizes only when one var axis is free. None when an input can't be drawn."""
    specs = cases.definition.inputs.values()
    if any(spec.shape is not None and spec.dtype not in DRAWN for spec in specs):
        return ()
    axes = cases.definition.var_axes
    if len(axes) == 1 and not cases.definition.constraints:
        return cases.each(axes[0], _KINDS)
    return [cases.workload(cases.rng.choice(list(cases.base)).axes, Recipe(values=kind)) for kind in _KINDS]


GENERIC = OperatorKit(
    name="generic",
    op_type="",
    axes=frozenset(),
    inputs=frozenset(),
    generate=no_opinion,
    regime=size_regime,
    size=input_bytes,
    hidden=hidden,
)
