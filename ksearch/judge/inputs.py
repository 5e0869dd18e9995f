"""Fresh inputs for a workload: on the judge's device, from seeds that nobody else knows."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ksearch.definitions.generate import fresh_values, make_inputs
from ksearch.definitions.schema import Definition, Workload
from ksearch.errors import BadInput
from ksearch.judge.host import HostFailure


class InputSource:
    """Inputs of one workload. `new` makes everything anew; `next` is cheaper: of what real use keeps (weights), two rows change
    places, and in every row a few values do, so that what was kept of any part from the call before is wrong."""

    def __init__(self, definition: Definition, workload: Workload, device: str, dataset_root: str | None) -> None:
        self.definition = definition
        self.workload = workload
        self.device = device
        self.dataset_root = dataset_root

    def new(self, seed: int) -> tuple[Any, ...]:
        """Raises BadInput for a workload that can't be, HostFailure where memory is lacking."""
        with _told_apart(self.workload):
            return make_inputs(self.definition, self.workload, seed, self.device, self.dataset_root)

    def next(self, inputs: Sequence[Any], seed: int) -> tuple[Any, ...]:
        """As `new`; the given tensors stay as they are."""
        with _told_apart(self.workload):
            values = fresh_values(self.definition, self.workload, inputs, seed, self.dataset_root)
            return tuple(stirred(value, seed) if value is before else value for value, before in zip(values, inputs, strict=True))


@contextmanager
def _told_apart(workload: Workload) -> Iterator[None]:
    """Sizes that no tensor can have are the workload's fault, all else that torch raises (memory, the driver) is the machine's."""
    try:
        yield
    except (RuntimeError, MemoryError, OverflowError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        message = f"workload {workload.uuid}: its inputs can't be made here: {reason}"
        raise BadInput(message) if "overflow" in reason else HostFailure(message) from error


CHANGES = ("all values", "inner values", "two rows")
"""Ways to change a call's inputs in place, from a new draw and a seed. Judge and runner do the same on a device."""


def changed(kind: str, old: Sequence[Any], new: Sequence[Any], seed: int) -> tuple[Any, ...]:
    """`kind` is one of CHANGES. Python numbers stay: they have no address at which they could change."""
    if kind == "all values":
        return tuple(b if hasattr(b, "data_ptr") else a for a, b in zip(old, new, strict=True))
    if kind == "inner values":
        return mixed(old, new, seed)
    return tuple(swapped(value, seed) for value in old)


def swapped(value: Any, seed: int) -> Any:
    """A copy in which two rows drawn from the seed have changed places; scalars, integers and what has one row only stay.

    Whatever the tensor means, its values stay legal; nothing but a look at all of it tells that it changed.
    """
    import torch

    if not isinstance(value, torch.Tensor) or not (value.is_floating_point() or value.dtype == torch.int8):
        return value
    rows = _rows(value)
    if rows < 2:
        return value
    first, second = random.Random(seed).sample(range(rows), 2)
    out = value.clone()
    flat, source = out.view(torch.uint8).reshape(rows, -1), value.contiguous().view(torch.uint8).reshape(rows, -1)
    flat[first], flat[second] = source[second], source[first]
    return out


STIRRED = 3
"""Values exchanged between the two rows of a pair: enough to make a product with either wrong by more than rounding."""


def stirred(value: Any, seed: int) -> Any:
    """`swapped`; and rows pair up at random, each pair exchanging a few values at places drawn for it.

    Work kept from the call before then has to be done again for every row, and nothing less than reading all of a row shows
    whether it was among those that changed where one looked. Legal values stay legal: they keep their column.
    """
    import torch

    out = swapped(value, seed)
    if out is value or not value.is_floating_point() or value.dim() < 2:
        return out
    rows, width = _rows(value), value.shape[-1]
    generator = torch.Generator().manual_seed(seed % 2**63)
    order = torch.randperm(rows, generator=generator)[: rows // 2 * 2].reshape(2, -1, 1).expand(-1, -1, STIRRED)
    columns = torch.randint(0, width, (rows // 2, STIRRED), generator=generator)
    first, second = ((order[side] * width + columns).reshape(-1).to(value.device) for side in (0, 1))
    raw = out.view(torch.uint8).reshape(-1, value.element_size())
    raw[first], raw[second] = raw[second], raw[first]
    return out


def _rows(value: Any) -> int:
    """Vectors along the last axis; along the first of bytes, which may be packed records that only make sense whole."""
    if not value.is_floating_point():
        return int(value.shape[0]) if value.numel() else 0
    return int(value.numel() // value.shape[-1]) if value.dim() > 1 and value.numel() else int(value.numel())


MAX_MIXED = 2**24
"""Elements above which a tensor stays as it is: mixing is done on the host, and weights of a gigabyte would take minutes."""


def mixed(old: Sequence[Any], new: Sequence[Any], seed: int) -> tuple[Any, ...]:
    """`old` with a random half of each float tensor's inner values from `new`; first, middle and last stay.

    A cache that keys on a few sampled values takes these inputs for the old ones.
    """
    import torch

    generator = torch.Generator().manual_seed(seed)
    return tuple(_mix(a, b, generator) for a, b in zip(old, new, strict=True))


def _mix(old: Any, new: Any, generator: Any) -> Any:
    import torch

    if not isinstance(old, torch.Tensor) or not old.is_floating_point() or not 4 <= old.numel() <= MAX_MIXED or old.shape != new.shape:
        return old
    taken = torch.rand(old.numel(), generator=generator) < 0.5
    taken[[0, old.numel() // 2, old.numel() // 2 - 1, -1]] = False
    kept, fresh = (x.detach().cpu().contiguous().reshape(-1) for x in (old, new))
    width = kept.element_size()
    out = kept.clone().view(torch.uint8).reshape(-1, width)
    out[taken] = fresh.view(torch.uint8).reshape(-1, width)[taken]
    return out.reshape(-1).view(old.dtype).reshape(old.shape).to(old.device)
