"""The second measurement, which alone promotes: candidate against incumbent, taking turns on the same inputs.

A block goes A B B A over all workloads (on cpu with a fresh process of either), so that a drift of the machine cancels to first
order; one log-ratio for each block. A fixed piece of work of the judge's own, timed between turns, says whether the machine held
still: a block in which it did not is measured again.

Five blocks at most count, and fewer when three or four already tell. Each look is a chance to be wrong: the early ones ask for
99.5 %, the last for 96 %, so that all of them together hold 95 %. A candidate that three blocks show to gain less than a per cent
is let go.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Protocol

from ksearch.judge.statistics import t_interval
from ksearch.judge.verdict import Objective, PairedResult

LEAST_BLOCKS, BLOCKS = 3, 5
TRIED_BLOCKS = 8
"""Blocks measured at most, those in which the machine did not hold still included."""
T_EARLY = {3: 14.089, 4: 7.453}
"""By blocks: 99.75 % points of Student's t, for a look before the last."""
T_LAST = {5: 2.999}
"""98 % point of Student's t for 4 degrees of freedom."""
LEAST_GAIN = 0.01
"""A gain under one per cent is not worth a new incumbent, however sure."""
SENTINEL_LIMIT = 0.03

Times = dict[str, float]
"""Microseconds by workload."""
Watch = Callable[[], None]
"""Reads the sentinel: to be called between turns."""


class Closes(Protocol):
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Contest:
    """A block's two contestants, live. `fight` gives the times of candidate and opponent."""

    fight: Callable[[Watch], tuple[Times, Times]]
    sessions: Sequence[Closes]

    def close(self) -> None:
        for session in self.sessions:
            session.close()


@dataclass(frozen=True, slots=True)
class Block:
    """ln(opponent / candidate), and the sentinel's largest move meanwhile."""

    ratio: float
    shift: float


def pair(
    open_block: Callable[[int], Contest], weights: dict[str, float], objective: Objective, sentinel: Callable[[], float]
) -> PairedResult:
    """Blocks until those in which the machine held still decide. If they never do, all are told, and nothing is promoted."""
    tried: list[Block] = []
    still: list[Block] = []
    while len(tried) < TRIED_BLOCKS:
        block = _block(open_block(len(tried)), weights, objective, sentinel)
        tried.append(block)
        if block.shift <= tolerated_shift([*(found.ratio for found in still), block.ratio]):
            still.append(block)
            if decided([found.ratio for found in still]):
                return _concluded(still)
    return _concluded(tried)


def _concluded(blocks: Sequence[Block]) -> PairedResult:
    return conclude([block.ratio for block in blocks], max(block.shift for block in blocks))


def decided(ratios: Sequence[float]) -> bool:
    """Whether further blocks are no use."""
    if not LEAST_BLOCKS <= len(ratios) < BLOCKS:
        return len(ratios) >= BLOCKS
    mean, low, _ = t_interval(ratios, T_EARLY[len(ratios)])
    hopeless = t_interval(ratios)[2] < math.log1p(LEAST_GAIN)
    return hopeless or (low > 0 and math.expm1(mean) >= LEAST_GAIN)


def shift_of(watch: Sequence[float]) -> float:
    """How far the sentinel moved for good: of the medians of the first and the second half of its readings, the larger relative
    distance from the median of all. What comes and goes within a turn hits both sides alike, and widens the interval over blocks."""
    middle, half = median(watch), (len(watch) + 1) // 2
    return max(abs(median(part) / middle - 1) for part in (watch[:half], watch[-half:]))


def tolerated_shift(ratios: Sequence[float]) -> float:
    """3 %, or half the gain where that is more: a machine that moves by a tenth can still tell a factor of two."""
    return max(SENTINEL_LIMIT, abs(math.expm1(fmean(ratios))) / 2)


def conclude(ratios: Sequence[float], shift: float) -> PairedResult:
    """Promoted only if the machine held still, the interval excludes zero and the gain is at least one per cent."""
    mean, low, high = t_interval(ratios, T_EARLY.get(len(ratios)) or T_LAST.get(len(ratios)))
    better = low > 0 and math.expm1(mean) >= LEAST_GAIN and shift <= tolerated_shift(ratios)
    return PairedResult(log_ratios=tuple(ratios), mean=mean, low=low, high=high, sentinel_shift=shift, promoted=better)


def _block(contest: Contest, weights: dict[str, float], objective: Objective, sentinel: Callable[[], float]) -> Block:
    watch = [sentinel()]
    try:
        candidate, opponent = contest.fight(lambda: watch.append(sentinel()))
    finally:
        contest.close()
    return Block(log_ratio(opponent, candidate, weights, objective), shift_of(watch))


def log_ratio(slow: dict[str, float], fast: dict[str, float], weights: dict[str, float], objective: Objective) -> float:
    """ln of how many times faster `fast` is than `slow`, by the run's objective."""
    if objective == "geomean":
        return sum(weight * math.log(slow[uuid] / fast[uuid]) for uuid, weight in weights.items())
    return math.log(
        sum(weight * slow[uuid] for uuid, weight in weights.items()) / sum(weight * fast[uuid] for uuid, weight in weights.items())
    )


def cpu_sentinel() -> Callable[[], float]:
    """Processor seconds of a fixed computation: the least of several tries, since interruptions only add.

    Of the processor, as candidates are timed: that others want it, too, moves neither.
    """
    import torch

    left = torch.ones(160, 160)

    def measure() -> float:
        times = []
        for _ in range(8):
            begin = time.process_time()
            for _ in range(4):
                left @ left
            times.append(time.process_time() - begin)
        return min(times)

    return measure


def cuda_sentinel(index: int) -> Callable[[], float]:
    """The same on the device, in the judge's own context, synchronised."""
    import torch

    left = torch.ones(2048, 2048, device=f"cuda:{index}")

    def measure() -> float:
        times = []
        for _ in range(8):
            torch.cuda.synchronize(index)
            begin = time.perf_counter()
            left @ left
            torch.cuda.synchronize(index)
            times.append(time.perf_counter() - begin)
        return min(times)

    return measure
