"""The plain forecaster: what became of the most similar candidates already measured. Standard library alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from ksearch.surrogates.features import plan_similarity, similarity
from ksearch.surrogates.prior import claimed_p
from ksearch.surrogates.quantities import LEAST_SIGMA, NORMAL_REACH
from ksearch.surrogates.types import Forecast, Sample

NEIGHBOURS = 5

SHORTLIST = 50
"""Of the most similar plans; only their code is compared, so that a long run doesn't slow down."""

SHARPNESS = 8.0
"""Weight of a neighbour is exp(SHARPNESS similarity): one that shares 0.1 more counts 2.2 times as much."""

PRIOR_SPREAD = 0.35
"""Nats: standard deviation of a step's gain before anything is measured (over the playbook's claims, about)."""

PRIOR_WEIGHT = 1.0
"""Neighbours that "no gain, with the claimed P(success)" is worth."""

DISTANCE_SPREAD = 1.0
"""Nats of standard deviation added for no similarity at all."""


@dataclass
class Neighbours:
    """Weighted mean over the nearest measured candidates of the same definition and device, else of the same device."""

    known: list[Sample] = field(default_factory=list)
    name: str = "neighbours"

    def learn(self, sample: Sample) -> None:
        self.known.append(sample)

    def forecast(self, sample: Sample) -> Forecast | None:
        if sample.parent_reward is None:
            return None
        here = [other for other in self.known if (other.definition, other.device) == (sample.definition, sample.device)]
        close = sorted(here, key=lambda other: -plan_similarity(sample, other))[:SHORTLIST]
        ranked = sorted(((similarity(sample, other), other) for other in close), key=lambda row: -row[0])
        near = [(math.exp(SHARPNESS * (alike - 1.0)), alike, other) for alike, other in ranked[:NEIGHBOURS]]
        passing = [(weight, other.reward) for weight, _, other in near if other.reward is not None]
        mean, sigma = _location(passing, sample.parent_reward, max((alike for _, alike, _ in near), default=0.0))
        d50, reach = sample.parent_reward - mean, NORMAL_REACH * sigma
        return Forecast(self.name, _p_passes(near, sample), d50 - reach, d50, d50 + reach)


def _location(passing: Sequence[tuple[float, float]], parent_reward: float, nearest: float) -> tuple[float, float]:
    """Mean and standard deviation of the reward: the neighbours', drawn towards the parent's by one pseudo-neighbour."""
    prior = PRIOR_WEIGHT * math.exp(-SHARPNESS / 2.0)
    total = prior + sum(weight for weight, _ in passing)
    mean = (prior * parent_reward + sum(weight * reward for weight, reward in passing)) / total
    spread = prior * PRIOR_SPREAD**2 + sum(weight * (reward - mean) ** 2 for weight, reward in passing)
    return mean, max(LEAST_SIGMA, math.hypot(math.sqrt(spread / total), DISTANCE_SPREAD * (1.0 - nearest) / 2.0))


def _p_passes(near: Sequence[tuple[float, float, Sample]], sample: Sample) -> float:
    claimed = claimed_p(sample)
    prior = PRIOR_WEIGHT * math.exp(-SHARPNESS / 2.0)
    total = prior + sum(weight for weight, _, _ in near)
    return (prior * claimed + sum(weight for weight, _, other in near if other.passed)) / total
