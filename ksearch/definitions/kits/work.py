"""What a call can't do without, whatever the kernel: bytes to read, bytes to write, operations. Counts, no times.

Each kit declares its own count (`OperatorKit.work`); an operator that nobody declared counts what its JSON promises.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ksearch.definitions.schema import Definition, RandomInput, Workload

Unit: TypeAlias = Literal["tensor_fp8", "tensor_half", "tensor_tf32", "vector_fp32"]
"""Where an operation may run at the fastest: matrix units by element type (float16 and bfloat16 are `half`), or the ordinary float32
lanes. A product counts under the fastest unit that its inputs' type fits, so that a cleverer kernel can't beat the count."""

Basis: TypeAlias = Literal["declared", "all inputs", "outputs alone"]
"""`declared`: the operator's kit says what must be read. `all inputs`: no kit knows it; every input is taken to be read once.
`outputs alone`: no kit knows it and integer inputs may choose what is read, so that no input can be counted."""

BITS: Mapping[str, int] = {"float32": 32, "int32": 32, "int64": 64, "float16": 16, "bfloat16": 16, "int16": 16, "float4_e2m1": 4}
"""Bits of an element; 8 for the rest."""

INDEX_TYPES = frozenset({"int16", "int32", "int64"})
"""Element types that mostly mean indices, offsets or lengths, through which a kernel finds what to read."""


@dataclass(frozen=True, slots=True)
class Work:
    """Least bytes to move and least operations of one call. A multiplication with its addition counts as two operations."""

    read_bytes: float
    written_bytes: float
    operations: tuple[tuple[Unit, float], ...] = ()
    basis: Basis = "declared"

    @property
    def moved_bytes(self) -> float:
        return self.read_bytes + self.written_bytes

    @property
    def total_operations(self) -> float:
        return sum(count for _, count in self.operations)


def tensor_bytes(definition: Definition, workload: Workload, names: Iterable[str]) -> float:
    """Bytes of whole tensors of a call; scalars count nothing."""
    specs = {**definition.inputs, **definition.outputs}
    shapes = ((name, definition.shape_of(name, workload.axes)) for name in names)
    return sum(math.prod(shape) * BITS.get(specs[name].dtype, 8) / 8 for name, shape in shapes if shape is not None)


def element_bytes(definition: Definition, tensor: str) -> float:
    return BITS.get(definition.inputs[tensor].dtype, 8) / 8


def written(definition: Definition, workload: Workload) -> float:
    """Every output is written whole: the judge fills outputs with noise before each call and compares all of them."""
    return tensor_bytes(definition, workload, definition.outputs)


def streamed(definition: Definition, workload: Workload, *operations: tuple[Unit, float]) -> Work:
    """The work of an operator that reads every input once and writes every output once."""
    return Work(tensor_bytes(definition, workload, definition.inputs), written(definition, workload), operations)


def undeclared_work(definition: Definition, workload: Workload) -> Work:
    """What can be said of an operator that nobody described: its outputs, and its inputs where none of them could be an index."""
    outputs = written(definition, workload)
    if any(spec.shape is not None and spec.dtype in INDEX_TYPES for spec in definition.inputs.values()):
        return Work(0.0, outputs, basis="outputs alone")
    return Work(tensor_bytes(definition, workload, definition.inputs), outputs, basis="all inputs")


def drawn_lengths(workload: Workload, count: int, least: int, most: int) -> list[int]:
    """Lengths of requests that the recipe leaves open, from the workload's uuid: every call on a workload does the same work."""
    source = random.Random(workload.uuid)
    return [source.randint(least, most) for _ in range(count)]


def is_generated(workload: Workload, tensor: str) -> bool:
    """Whether ksearch draws the tensor, so that its recipe says what is in it; a recorded one lies in a file."""
    return isinstance(workload.inputs.get(tensor, RandomInput()), RandomInput)


def distinct(parts: Iterable[float], of: float, *, shared: bool = False) -> float:
    """How many different ones of `of` things (pages, tokens) several requests use together, each drawing its own at random.

    `parts` is how many each request uses. The expectation of of * (1 - prod(1 - n_i / of)), from which a draw strays little; with
    `shared` all requests use the same ones, so that the largest request uses all of them.
    """
    counts = [min(part, of) for part in parts if part > 0]
    if not counts or of <= 0:
        return 0.0
    if shared or len(counts) == 1 or max(counts) == of:
        return max(counts)
    return -of * math.expm1(sum(math.log1p(-count / of) for count in counts))
