"""The second measurement, which alone promotes: candidate against incumbent, taking turns on the same inputs.

Each block has a fresh process of either and goes A B B A over all workloads, so that a drift of the machine cancels to
first order; one log-ratio for each block. A fixed piece of work of the judge's own, timed before and after each turn, says
whether the machine held still.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, median
from typing import Protocol

from ksearch.judge.statistics import t_interval
from ksearch.judge.verdict import Objective, PairedResult

BLOCKS = 5
LEAST_GAIN = 0.01
"""A gain under one per cent is not worth a new incumbent, however sure."""
SENTINEL_LIMIT = 0.03
BATCHES = 2

Turn = Callable[[int], dict[str, float]]
"""Microseconds by workload, of one contestant on the inputs of the turn's number."""


class Closes(Protocol):
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Contest:
    """A block's two contestants, live."""

    candidate: Turn
    opponent: Turn
    sessions: Sequence[Closes]

    def close(self) -> None:
        for session in self.sessions:
            session.close()


def pair(
    open_block: Callable[[int], Contest], weights: dict[str, float], objective: Objective, sentinel: Callable[[], float]
) -> PairedResult:
    """Batches of blocks until the sentinel holds still enough for what they show, two at most; the last batch is told."""
    for batch in range(BATCHES):
        watch: list[float] = [sentinel()]
        ratios = [_block(open_block(batch * BLOCKS + number), weights, objective, sentinel, watch) for number in range(BLOCKS)]
        if shift_of(watch) <= tolerated_shift(ratios):
            break
    return conclude(ratios, shift_of(watch))


def shift_of(watch: Sequence[float]) -> float:
    """Relative move of the sentinel from its median, the largest over the turns.

    A turn lies between two readings, and an interruption of one reading says nothing of it: the lesser of the two counts.
    """
    middle = median(watch)
    return max(abs(min(readings) / middle - 1) for readings in pairwise(watch))


def tolerated_shift(ratios: Sequence[float]) -> float:
    """3 %, or half the gain where that is more: a machine that moves by a tenth can still tell a factor of two."""
    return max(SENTINEL_LIMIT, abs(math.expm1(fmean(ratios))) / 2)


def conclude(ratios: Sequence[float], shift: float) -> PairedResult:
    """Promoted only if the machine held still, the 95 % interval excludes zero and the gain is at least one per cent."""
    mean, low, high = t_interval(ratios)
    better = low > 0 and math.expm1(mean) >= LEAST_GAIN and shift <= tolerated_shift(ratios)
    return PairedResult(log_ratios=tuple(ratios), mean=mean, low=low, high=high, sentinel_shift=shift, promoted=better)


def _block(contest: Contest, weights: dict[str, float], objective: Objective, sentinel: Callable[[], float], watch: list[float]) -> float:
    turns: dict[str, list[dict[str, float]]] = {"candidate": [], "opponent": []}
    try:
        for number, name in enumerate(("candidate", "opponent", "opponent", "candidate")):
            turn = contest.candidate if name == "candidate" else contest.opponent
            turns[name].append(turn(number // 2))
            watch.append(sentinel())
    finally:
        contest.close()
    means = {name: {uuid: fmean(turn[uuid] for turn in found) for uuid in weights} for name, found in turns.items()}
    return log_ratio(means["opponent"], means["candidate"], weights, objective)


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
