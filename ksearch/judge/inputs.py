"""Fresh inputs for a workload: on the judge's device, from seeds that nobody else knows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ksearch.definitions.generate import fresh_values, make_inputs
from ksearch.definitions.schema import Definition, Workload
from ksearch.errors import BadInput
from ksearch.judge.host import HostFailure


class InputSource:
    """Inputs of one workload. `new` makes everything anew; `next` keeps what real use keeps (weights), and is cheaper."""

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
        """As `new`."""
        with _told_apart(self.workload):
            return fresh_values(self.definition, self.workload, inputs, seed, self.dataset_root)


@contextmanager
def _told_apart(workload: Workload) -> Iterator[None]:
    """Sizes that no tensor can have are the workload's fault, all else that torch raises (memory, the driver) is the machine's."""
    try:
        yield
    except (RuntimeError, MemoryError, OverflowError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        message = f"workload {workload.uuid}: its inputs can't be made here: {reason}"
        raise BadInput(message) if "overflow" in reason else HostFailure(message) from error


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


def same_scalars(old: Sequence[Any], new: Sequence[Any]) -> tuple[Any, ...]:
    """`new` with the Python numbers of `old`: those have no address at which they could change."""
    return tuple(b if hasattr(b, "data_ptr") else a for a, b in zip(old, new, strict=True))
