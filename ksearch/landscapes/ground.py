"""What a replayed search meets: for each configuration, the code it stands for and what judging that code would say.

A ground answers without noise; measuring it adds noise that is a pure function of the seed, the code and the kind of
evaluation, so that every policy meets the same world.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

from ksearch.landscapes.landscape import Landscape, Point
from ksearch.worldmodel.catalogue import Catalogue, Config, Value

WITHIN_LN = math.log(1.05)
"""A kernel this close to the best counts as having reached it: 5 % of its latency."""

TYPICAL_SECONDS = 20.0
"""Median length of an evaluation whose own was not recorded: compile, checks and timing of one kernel on a GPU."""


@dataclass(frozen=True, slots=True)
class Spot:
    """The truth about one configuration. `reward` is ln(baseline time / its time), None when it fails at `stage`.

    `sigma` is the standard deviation of a measured reward (nats), `seconds` how long an evaluation takes.
    """

    code: str
    reward: float | None
    stage: str | None = None
    sigma: float = 0.0
    seconds: float = TYPICAL_SECONDS

    def measured(self, seed: int, kind: str) -> float:
        """The reward an evaluation of this `kind` finds. Raises ValueError for code that fails."""
        if self.reward is None:
            raise ValueError(f"{self.code} fails at {self.stage}")
        return self.reward + self.noises(seed, kind, 1)[0]

    def noises(self, seed: int, kind: str, count: int) -> list[float]:
        chance = random.Random(f"{seed} {kind} {self.code}")
        return [chance.gauss(0.0, self.sigma) for _ in range(count)]


class Ground(Protocol):
    """A search space whose every answer is known."""

    @property
    def name(self) -> str: ...

    @property
    def family(self) -> str:
        """What results are grouped by: a template family, or a synthetic family."""
        ...

    @property
    def catalogue(self) -> Catalogue: ...

    @property
    def sigma(self) -> float:
        """Standard deviation of a repeated measurement, nats: what the tree is told."""
        ...

    @property
    def best(self) -> float:
        """The greatest true reward of any configuration that legal steps lead to."""
        ...

    def at(self, config: Config) -> Spot: ...


def regret(ground: Ground, reward: float) -> float:
    """How far a true reward lies below the best, nats; never negative."""
    return max(0.0, ground.best - reward)


def reaches(ground: Ground, reward: float) -> bool:
    """Whether a true reward is within 5 % of the best."""
    return regret(ground, reward) <= WITHIN_LN


@dataclass(frozen=True)
class RecordedGround:
    """A recorded landscape as a ground. Rewards are the run's default objective: ratio of weighted mean latencies."""

    landscape: Landscape
    spots: dict[str, Spot] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def name(self) -> str:
        return self.landscape.name

    @property
    def family(self) -> str:
        return self.landscape.family

    @property
    def sigma(self) -> float:
        return self.landscape.sigma_noise

    @cached_property
    def catalogue(self) -> Catalogue:
        return self.landscape.catalogue

    @cached_property
    def best(self) -> float:
        return max(spot.reward for spot in map(self._spot, self.landscape.points) if spot.reward is not None)

    def at(self, config: Config) -> Spot:
        """Raises LandscapeError when the configuration was not recorded."""
        return self._spot(self.landscape.at(config))

    def _spot(self, point: Point) -> Spot:
        found = self.spots.get(point.code)
        if found is None:
            found = self.spots[point.code] = self._read(point)
        return found

    def _read(self, point: Point) -> Spot:
        seconds = point.wall_seconds or TYPICAL_SECONDS
        if not point.passed:
            return Spot(point.code, None, point.stage or point.status, seconds=seconds)
        weights = [workload.weight for workload in self.landscape.workloads]
        baseline = sum(w.weight * w.baseline_us for w in self.landscape.workloads)
        latency = sum(weight * time for weight, time in zip(weights, point.latencies_us, strict=True))
        # Not the point's own `noise_ln`: that is the spread of single calls, of which a reward is a median over several workloads.
        return Spot(point.code, math.log(baseline / latency), sigma=self.landscape.sigma_noise, seconds=seconds)


def reachable(catalogue: Catalogue) -> Iterable[Mapping[str, Value]]:
    """Every configuration that legal steps lead to, the defaults first."""
    names = tuple(catalogue.defaults)
    start = tuple(catalogue.defaults.values())
    seen, frontier = {start}, [start]
    while frontier:
        values = frontier.pop()
        config = dict(zip(names, values, strict=True))
        yield config
        for technique in catalogue.legal_from(config):
            after = tuple({**config, **technique.sets}.values())
            if after not in seen:
                seen.add(after)
                frontier.append(after)
