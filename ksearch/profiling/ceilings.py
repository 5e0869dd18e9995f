"""What a device can do at most: bandwidth, operations a second, and what one launch costs. Measured, or from a datasheet.

All values are upper limits of speed, so that the times derived from them are lower limits of time.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ksearch.definitions.kits.work import Unit
from ksearch.definitions.schema import Frozen

Positive = Annotated[float, Field(gt=0)]

CUPTI, EVENTS, CPU_TIME = "cupti", "cuda-events", "cpu-time"
"""Names of the judge's timers."""


class Level(Frozen):
    """Bandwidth for calls that move at least `from_bytes`: small ones may find their data in a cache."""

    from_bytes: float
    bytes_per_s: Positive


class Peak(Frozen):
    unit: Unit
    operations_per_s: Positive


class Ceilings(Frozen):
    """Of one device. `launch_us` is what a kernel that does nothing takes, as the judge's timer `timer` sees it; 0 on cpu, where
    there is no launch. `source` says how the values are known; `details` what was measured with, or the datasheet's address.
    """

    device: str
    source: Literal["measured", "datasheet"]
    levels: Annotated[tuple[Level, ...], Field(min_length=1)]
    """Ascending in `from_bytes`, descending in bandwidth; the first starts at 0."""
    peaks: Annotated[tuple[Peak, ...], Field(min_length=1)]
    launch_us: Annotated[float, Field(ge=0)]
    timer: str
    details: str

    @property
    def bandwidth(self) -> float:
        """Of the memory itself, bytes a second: the level of the largest calls."""
        return self.levels[-1].bytes_per_s

    def bandwidth_for(self, moved_bytes: float) -> float:
        """Bytes a second for a call that moves this much."""
        return next(level.bytes_per_s for level in reversed(self.levels) if moved_bytes >= level.from_bytes)

    def peak(self, unit: Unit) -> float:
        """Operations a second; of a unit that was not measured, the fastest that was, which can't be too slow a limit."""
        known = {peak.unit: peak.operations_per_s for peak in self.peaks}
        return known.get(unit, max(known.values()))


def staircase(measured: list[tuple[float, float]]) -> tuple[Level, ...]:
    """Levels from (working set in bytes, bytes a second). A call gets the bandwidth of the next smaller working set, which is the faster.

    A measurement that a busy machine made slower than that of a larger set is raised to it: more data never moves faster.
    """
    levels: list[Level] = []
    best = 0.0
    for size, speed in sorted(measured, reverse=True):
        best = max(best, speed)
        if levels and levels[0].bytes_per_s == best:
            levels.pop(0)
        levels.insert(0, Level(from_bytes=size, bytes_per_s=best))
    return (levels[0].model_copy(update={"from_bytes": 0.0}), *levels[1:])
