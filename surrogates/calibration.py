"""Online calibration: a forecaster's record against what was measured, and the correction that follows from it.

    s^2 = sigma^2 + sigma_noise^2,  w = 1 / s^2
    bias = sum(w (y - mu)) / sum(w) * n / (n + nu0)
    z = (y - mu - bias) / s,  scale^2 = (nu0 + sum z^2) / (nu0 + n)
    mu' = mu + bias,  sigma' = scale s

over the n forecasts whose candidates passed with reward y. nu0 pseudo-outcomes hold both corrections near "none" until
there is evidence. Errors count by their precision: a search begins with forecasts that claim to know nothing, and their large
errors would otherwise shift the sharp ones that follow by many times what those err. Noise is in y, so that a scale found from y
holds it already. sum z^2 expands into running sums, so an outcome costs the same however long the run is.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from ksearch.surrogates.quantities import HIGH, LOW, NORMAL_REACH, Estimate
from ksearch.surrogates.recalibration import MANY, Logistic, Map, Outcome, fit

PSEUDO_OUTCOMES = 8.0
"""nu0."""

KEPT = 400
"""Latest outcomes from which maps of probabilities and intervals are fitted: older ones come from another part of the space."""

REFIT_GROWTH = 1.05
"""The map of P(passes) is fitted again when its outcomes have grown by 5 % (at least by one)."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One forecast with what became of it, all in the tree's units. `reward` is None when it failed.

    `raw` is what the forecaster said, `said` the same after the calibration known at that moment: what a decision used.
    `low` and `high` are the ends of the calibrated 80 % interval at that moment.
    """

    raw: Estimate
    said: Estimate
    low: float
    high: float
    parent_reward: float
    passed: bool
    reward: float | None
    inclusion: float = 1.0
    """Probability with which this candidate was sure to be measured whatever its forecast; 0: measured for its forecast."""

    @property
    def gain(self) -> float | None:
        return None if self.reward is None else self.reward - self.parent_reward

    @property
    def said_gain(self) -> float:
        return self.said.mu - self.parent_reward


@dataclass
class Calibration:
    """The corrections of one forecaster on one task and device, revised with every outcome."""

    sigma_noise: float
    count: int = 0
    _weights: float = 0.0
    _weighted: float = 0.0
    _squares: float = 0.0
    _outcomes: deque[Outcome] = field(default_factory=lambda: deque(maxlen=KEPT))
    _residuals: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT))
    _seen: int = 0
    _map: Map = field(default_factory=Logistic)
    _fitted_at: int = 0

    @property
    def bias(self) -> float:
        return self._weighted / self._weights * self.count / (self.count + PSEUDO_OUTCOMES) if self.count else 0.0

    @property
    def scale(self) -> float:
        bias = self.bias
        squares = self._squares - 2.0 * bias * self._weighted + bias * bias * self._weights
        return math.sqrt((PSEUDO_OUTCOMES + max(0.0, squares)) / (PSEUDO_OUTCOMES + self.count))

    def apply(self, raw: Estimate) -> Estimate:
        return Estimate(self._map(raw.pi), raw.mu + self.bias, self.scale * math.hypot(raw.sigma, self.sigma_noise))

    def interval(self, said: Estimate) -> tuple[float, float]:
        """80 % interval of the reward given that it passes; conformal once there are enough residuals.

        Split conformal prediction (Vovk, Gammerman and Shafer, 2005) on both tails: order statistics of the standardised
        residuals of earlier forecasts, so that coverage holds whatever the errors' distribution.
        """
        if self.count < MANY:
            return said.mu - NORMAL_REACH * said.sigma, said.mu + NORMAL_REACH * said.sigma
        low, high = _tails(sorted(self._residuals))
        return said.mu + low * said.sigma, said.mu + high * said.sigma

    def learn(self, raw: Estimate, passed: bool, reward: float | None) -> None:
        """One outcome: `reward` None when the candidate failed."""
        said = self.apply(raw)
        self._outcomes.append((raw.pi, passed))
        self._seen += 1
        if self._seen >= max(self._fitted_at + 1, math.ceil(self._fitted_at * REFIT_GROWTH)):
            self._map, self._fitted_at = fit(tuple(self._outcomes)), self._seen
        if reward is None:
            return
        error, weight = reward - raw.mu, 1.0 / (raw.sigma * raw.sigma + self.sigma_noise * self.sigma_noise)
        self.count += 1
        self._weights += weight
        self._weighted += error * weight
        self._squares += error * error * weight
        self._residuals.append((reward - said.mu) / said.sigma)


def _tails(residuals: Sequence[float]) -> tuple[float, float]:
    """The order statistics at ranks floor((n + 1) LOW) and ceil((n + 1) HIGH)."""
    n = len(residuals)
    low, high = math.floor((n + 1) * LOW), math.ceil((n + 1) * HIGH)
    return residuals[max(low, 1) - 1], residuals[min(high, n) - 1]
