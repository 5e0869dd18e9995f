"""The least time in which a call can be over: what its outputs take to write, and one launch. Less is an accusation, not a record."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ksearch.judge.device import Device

MARGIN = 1.5
"""How much faster than the fill measured here a write may be: the floor must hold for every honest kernel."""
LAUNCH_US = 0.5
"""Under any kernel's span on a GPU (an empty one takes about 1 us by activity records)."""
CACHED_BYTES = 2**17
DEVICE_BYTES = (2**24, 2**29)
"""One that stays in a GPU's cache, one that doesn't: the faster of the two counts."""
TRIES = 50


@dataclass(frozen=True, slots=True)
class Floor:
    """`bytes_per_us` is what this device was seen to write at best."""

    bytes_per_us: float
    launch_us: float

    def us(self, output_bytes: int) -> float:
        return max(self.launch_us, output_bytes / (self.bytes_per_us * MARGIN))

    def forbids(self, most_us: float, output_bytes: int) -> bool:
        """`most_us`: the latency with all that its clock may be wrong by. An accusation has to be sure: where calls are shorter than
        what their clock leaves in doubt, none can be made."""
        return most_us < self.us(output_bytes)


def measure_floor(device: Device) -> Floor:
    return Floor(max(map(_device_rate, DEVICE_BYTES)), LAUNCH_US) if device.cuda else Floor(_cached_rate(), 0.0)


def _cached_rate() -> float:
    """Bytes per microsecond of fills that stay in the cache."""
    import torch

    buffer = torch.empty(CACHED_BYTES, dtype=torch.uint8)
    best = float("inf")
    for _ in range(TRIES):
        begin = time.perf_counter()
        buffer.fill_(1)
        best = min(best, time.perf_counter() - begin)
    return CACHED_BYTES / (best * 1e6)


def _device_rate(size: int) -> float:
    import torch

    buffer = torch.empty(size // 4, dtype=torch.int32, device="cuda")
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    best = float("inf")
    for _ in range(TRIES // 5):
        begin.record()
        for _ in range(4):
            buffer.fill_(1)
        end.record()
        end.synchronize()
        best = min(best, begin.elapsed_time(end) / 4)
    return size / (best * 1e3)
