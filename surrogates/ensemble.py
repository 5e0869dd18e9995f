"""Several forecasters as one: each corrected by its own record here, then pooled by how well it did."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean

from ksearch.surrogates.calibration import Calibration
from ksearch.surrogates.quantities import LEAST_SIGMA, NORMAL_REACH, Estimate, estimate
from ksearch.surrogates.types import Forecast, Forecaster, Sample, forecast_many

PRIOR_ERROR = 0.35**2
"""Nats^2: mean squared error that a member is given before it has a record."""

PRIOR_WEIGHT = 4.0
"""Outcomes that it counts for."""

REMEMBERED = 4096
"""Latest forecasts kept until their outcomes come."""


@dataclass
class Member:
    """A forecaster with its record: what it said of candidates still open, and its squared errors."""

    forecaster: Forecaster
    calibration: Calibration = field(default_factory=lambda: Calibration(0.0))
    open: dict[str, Forecast] = field(default_factory=dict)
    squares: float = 0.0
    count: int = 0

    @property
    def weight(self) -> float:
        return (self.count + PRIOR_WEIGHT) / (self.squares + PRIOR_WEIGHT * PRIOR_ERROR)

    def remember(self, sample: Sample, forecast: Forecast | None) -> None:
        if forecast is not None:
            self.open[sample.candidate] = forecast
            if len(self.open) > REMEMBERED:
                del self.open[next(iter(self.open))]

    def learn(self, sample: Sample) -> None:
        said = self.open.pop(sample.candidate, None)
        if said is not None and sample.parent_reward is not None:
            raw = estimate(said, sample.parent_reward)
            if sample.reward is not None:
                self.squares += (sample.reward - self.calibration.apply(raw).mu) ** 2
                self.count += 1
            self.calibration.learn(raw, bool(sample.passed), sample.reward)
        self.forecaster.learn(sample)


@dataclass
class Ensemble:
    """Weighted by the inverse of each member's mean squared error; the pool's spread holds theirs and their disagreement."""

    members: tuple[Member, ...]
    name: str = "ensemble"

    @classmethod
    def of(cls, *forecasters: Forecaster) -> Ensemble:
        return cls(tuple(Member(forecaster) for forecaster in forecasters))

    def learn(self, sample: Sample) -> None:
        for member in self.members:
            member.learn(sample)

    def forecast(self, sample: Sample) -> Forecast | None:
        return self.forecast_many((sample,))[0]

    def forecast_many(self, samples: Sequence[Sample]) -> tuple[Forecast | None, ...]:
        answers = [forecast_many(member.forecaster, samples) for member in self.members]
        for member, said in zip(self.members, answers, strict=True):
            for sample, forecast in zip(samples, said, strict=True):
                member.remember(sample, forecast)
        return tuple(self._pooled(sample, [said[index] for said in answers]) for index, sample in enumerate(samples))

    def _pooled(self, sample: Sample, said: Sequence[Forecast | None]) -> Forecast | None:
        pairs = [(member, forecast) for member, forecast in zip(self.members, said, strict=True) if forecast is not None]
        if not pairs or sample.parent_reward is None:
            return None
        parent = sample.parent_reward
        rows = [(member.weight, member.calibration.apply(estimate(forecast, parent))) for member, forecast in pairs]
        pool = _mixture(rows)
        d50, reach = parent - pool.mu, NORMAL_REACH * max(LEAST_SIGMA, pool.sigma)
        tokens, usd = sum(forecast.tokens for _, forecast in pairs), math.fsum(forecast.usd for _, forecast in pairs)
        malformed = sum(forecast.malformed for _, forecast in pairs)
        return Forecast(self.name, pool.pi, d50 - reach, d50, d50 + reach, tokens, usd, malformed)


def _mixture(rows: Sequence[tuple[float, Estimate]]) -> Estimate:
    """Mean and standard deviation of the weighted mixture; P(passes) is the plain mean (errors of gains don't rank it)."""
    total = sum(weight for weight, _ in rows)
    mu = sum(weight * one.mu for weight, one in rows) / total
    variance = sum(weight * (one.sigma**2 + (one.mu - mu) ** 2) for weight, one in rows) / total
    return Estimate(fmean(one.pi for _, one in rows), mu, math.sqrt(variance))
