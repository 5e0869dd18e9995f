"""Shared memory between judge and runner: where each input and output of a call lies, and what the judge put there.

A call set is one region: inputs, then outputs, every tensor at a multiple of 256 bytes and followed by a guard of random
bytes. The judge keeps its own copy of all but the outputs, and compares after a call.
"""

from __future__ import annotations

import mmap
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ksearch.definitions.schema import Definition, Workload

if TYPE_CHECKING:
    import torch

ALIGNMENT = 256
GUARD = 256
FAST_FILL_BYTES = 2**16
FEW = 4096


def _aligned(size: int) -> int:
    return (size + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT


@dataclass(frozen=True, slots=True)
class Slot:
    """One tensor of a call set; a scalar has no bytes."""

    name: str
    dtype: str
    shape: tuple[int, ...] | None
    offset: int
    size: int

    def describe(self) -> dict[str, Any]:
        return {"name": self.name, "offset": self.offset, "shape": list(self.shape or ()), "dtype": self.dtype}


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the tensors of one call lie within its region of `stride` bytes."""

    inputs: tuple[Slot, ...]
    outputs: tuple[Slot, ...]
    outputs_start: int
    stride: int

    @property
    def output_bytes(self) -> int:
        return sum(slot.size for slot in self.outputs)

    @classmethod
    def of(cls, definition: Definition, workload: Workload) -> Layout:
        offset = 0

        def place(name: str, *, scalar: bool) -> Slot:
            nonlocal offset
            spec = definition.inputs.get(name) or definition.outputs[name]
            shape = definition.shape_of(name, workload.axes)
            if shape is None and scalar:
                return Slot(name, spec.dtype, None, 0, 0)
            size = _bytes(spec.dtype, shape or ())
            slot = Slot(name, spec.dtype, shape or (), offset, size)
            offset += _aligned(size) + GUARD
            return slot

        inputs = tuple(place(name, scalar=True) for name in definition.inputs)
        start = offset
        outputs = tuple(place(name, scalar=False) for name in definition.outputs)
        return cls(inputs, outputs, start, offset)


def _bytes(dtype: str, shape: Sequence[int]) -> int:
    import math

    import torch

    return math.prod(shape) * int(getattr(torch, dtype).itemsize)


class Arena:
    """A block of shared memory, the judge's mapping of it, and what the judge wrote there."""

    def __init__(self, size: int) -> None:
        import torch

        self.size = max(ALIGNMENT, size)
        self.descriptor = os.memfd_create("calls", os.MFD_CLOEXEC)
        os.ftruncate(self.descriptor, self.size)
        self._map = mmap.mmap(self.descriptor, self.size)
        self.memory = torch.frombuffer(self._map, dtype=torch.uint8)

    def close(self) -> None:
        """Give the memory back; views of it must be gone (copies are what checks work on)."""
        del self.memory
        self._map.close()
        os.close(self.descriptor)


@dataclass
class CallSet:
    """One staged call: pristine inputs on the judge's device, its image on the host, its place in the arena."""

    inputs: tuple[Any, ...]
    layout: Layout
    base: int
    image: torch.Tensor
    """Bytes of the region up to the first output, as written."""
    fill: torch.Tensor
    """Bytes of the rest, outputs and guards: random, from a secret source."""
    seed: int


def staged(layout: Layout, base: int, inputs: tuple[Any, ...], seed: int) -> CallSet:
    """A call at `base`, not yet written anywhere."""
    image = _guarded(layout)
    for slot, value in zip(layout.inputs, inputs, strict=False):  # on a device inputs are made in the runner: none is given
        if slot.shape is not None and slot.size:
            image[slot.offset : slot.offset + slot.size] = as_bytes(value)
    return CallSet(inputs, layout, base, image, random_bytes(layout.stride - layout.outputs_start), seed)


def write(arena: Arena, call: CallSet) -> None:
    """Inputs, and random bytes over outputs and guards."""
    start = call.base + call.layout.outputs_start
    arena.memory[call.base : start] = call.image
    arena.memory[start : start + call.fill.numel()] = call.fill


def _guarded(layout: Layout) -> torch.Tensor:
    """Room for the inputs, with random bytes between and behind them."""
    import torch

    image = torch.empty(layout.outputs_start, dtype=torch.uint8)
    for slot in layout.inputs:
        if slot.shape is not None:
            behind = _aligned(slot.size) - slot.size + GUARD
            image[slot.offset + slot.size : slot.offset + slot.size + behind] = random_bytes(behind)
    return image


def random_bytes(count: int) -> torch.Tensor:
    """From the system's source when few; from a fast generator with a new secret seed each time when many.

    A runner sees its fills, but no fill tells of another.
    """
    import numpy as np
    import torch

    if count < FAST_FILL_BYTES:
        return torch.frombuffer(bytearray(secrets.token_bytes(count)), dtype=torch.uint8) if count else torch.empty(0, dtype=torch.uint8)
    words = np.random.Generator(np.random.SFC64(secrets.randbits(128))).integers(0, 2**64, (count + 7) // 8, dtype=np.uint64)
    return torch.from_numpy(words.view(np.uint8))[:count]


def as_bytes(value: torch.Tensor) -> torch.Tensor:
    import torch

    return value.detach().cpu().contiguous().reshape(-1).view(torch.uint8)


def read_outputs(taken: torch.Tensor, call: CallSet) -> list[torch.Tensor]:
    """Copies of the outputs, from a copy of the call's region from its first output on."""
    import torch

    found = []
    for slot in call.layout.outputs:
        start = slot.offset - call.layout.outputs_start
        raw = taken[start : start + slot.size].clone()
        found.append(raw.view(getattr(torch, slot.dtype)).view(slot.shape or ()))
    return found


def fill_of(call: CallSet, place: int) -> torch.Tensor:
    """The random bytes that output `place` held before the call."""
    slot = call.layout.outputs[place]
    start = slot.offset - call.layout.outputs_start
    return call.fill[start : start + slot.size]


def untouched(taken: torch.Tensor, call: CallSet, place: int) -> bool:
    """Whether not one byte of output `place` differs from its fill; the first few settle it nearly always."""
    import torch

    fill = fill_of(call, place)
    start = call.layout.outputs[place].offset - call.layout.outputs_start
    found = taken[start : start + fill.numel()]
    return fill.numel() > 0 and bool(torch.equal(found[:FEW], fill[:FEW]) and torch.equal(found, fill))


def changed_input(arena: Arena, call: CallSet) -> str | None:
    """Name of an input (or 'memory beside ...') whose bytes changed in the call; None when all are as written."""
    import torch

    region = arena.memory[call.base : call.base + call.layout.outputs_start]
    if torch.equal(region, call.image):
        return None
    where = int((region != call.image).nonzero()[0])
    for slot in call.layout.inputs:
        if slot.shape is not None and slot.offset <= where < slot.offset + slot.size:
            return f"input {slot.name}[{(where - slot.offset) // (slot.size // max(1, _elements(slot)))}]"
    return f"memory beside the inputs (byte {where})"


def _elements(slot: Slot) -> int:
    import math

    return math.prod(slot.shape or ())


def overrun(taken: torch.Tensor, call: CallSet) -> str | None:
    """Name of an output with changed bytes behind its end; None when all guards are as written."""
    import torch

    for slot in call.layout.outputs:
        end = slot.offset + slot.size
        behind = _aligned(slot.size) - slot.size + GUARD
        start = end - call.layout.outputs_start
        if not torch.equal(taken[start : start + behind], call.fill[start : start + behind]):
            return slot.name
    return None
