"""When a forecaster may decide anything: it earns that on measured candidates, and loses it within a score of verdicts.

Everything here looks at what was said before an outcome was known, with the calibration of that moment. The order of
candidates is judged by gains over their parents: a forecast that repeats the parent's reward ranks rewards well and knows
nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import NormalDist, fmean

from ksearch.surrogates.calibration import Calibration, Judged
from ksearch.surrogates.quantities import Estimate, estimate
from ksearch.surrogates.types import Forecast

NORMAL = NormalDist()

LEAST_MEASURED = 20
"""Passing outcomes before a forecaster is listened to."""

COVERAGE = (0.65, 0.95)
"""Where the share of outcomes inside the 80 % intervals must lie. With 20 outcomes its standard error is 0.09."""

WINDOW = 40
"""Latest passing outcomes over which coverage and order are counted: what it said before it had learnt fades."""

LEAST_RANK = 0.2
"""Rank correlation of said and measured gains."""

MOST_SCALE = 3.0
"""Errors beyond three times what the forecaster itself expects are not a matter of calibration."""

RECENT = 20
"""Verdicts that the watch for a change looks at: a forecaster that turns is off before so many more are spent."""

LEAST_RECENT_COVERAGE = 0.5
"""Under honest 80 % intervals fewer than 10 of 20 inside has a probability below 0.001."""

SLACK = 0.05
"""By how much the recent Brier score of P(passes) may be worse than that of a constant at the base rate."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether a forecaster is trusted, and the figures that say so. `reason` names the first test that failed."""

    trusted: bool
    reason: str
    measured: int
    coverage: float | None = None
    rank: float | None = None
    skill: float | None = None


@dataclass
class Record:
    """What one forecaster said on one task and device, and what became of it, in the order of the verdicts."""

    sigma_noise: float
    calibration: Calibration = field(init=False)
    judged: list[Judged] = field(default_factory=list)
    _standing: tuple[int, Standing] | None = None

    def __post_init__(self) -> None:
        self.calibration = Calibration(self.sigma_noise)

    def said(self, forecast: Forecast, parent_reward: float) -> Estimate:
        """The forecast as decisions use it now."""
        return self.calibration.apply(estimate(forecast, parent_reward))

    def learn(self, forecast: Forecast, parent_reward: float, passed: bool, reward: float | None, inclusion: float = 1.0) -> None:
        raw = estimate(forecast, parent_reward)
        said = self.calibration.apply(raw)
        low, high = self.calibration.interval(said)
        self.judged.append(Judged(raw, said, low, high, parent_reward, passed, reward, inclusion))
        self.calibration.learn(raw, passed, reward)

    @property
    def standing(self) -> Standing:
        if self._standing is None or self._standing[0] != len(self.judged):
            self._standing = len(self.judged), standing(self.judged, self.calibration.scale)
        return self._standing[1]


def standing(judged: Sequence[Judged], scale: float) -> Standing:
    passing = [one for one in judged if one.reward is not None]
    if len(passing) < LEAST_MEASURED:
        return Standing(False, f"{len(passing)} of {LEAST_MEASURED} outcomes known", len(passing))
    # The first outcomes were forecast before there was anything to learn from or calibrate with, and fade from the window.
    later = passing[LEAST_MEASURED // 2 :][-WINDOW:]
    coverage, rank = covered(later), gain_rank(passing[-WINDOW:])
    recent = judged[-RECENT:]
    skill = crps_skill(passing, since=len(passing) - sum(one.reward is not None for one in recent))
    reason = _objection(coverage, rank, skill, scale) or _recent_objection(recent)
    return Standing(reason is None, reason or "calibrated", len(passing), coverage, rank, skill)


def _objection(coverage: float, rank: float, skill: float, scale: float) -> str | None:
    if not COVERAGE[0] <= coverage <= COVERAGE[1]:
        return f"its 80 % intervals held {coverage:.0%}"
    if rank <= LEAST_RANK:
        return f"rank correlation of gains {rank:.2f}, needs more than {LEAST_RANK}"
    if scale > MOST_SCALE:
        return f"errors {scale:.1f} times as large as it expects"
    if skill <= 0.0:
        return "over its last verdicts no better than the average gain"
    return None


def _recent_objection(recent: Sequence[Judged]) -> str | None:
    passing = [one for one in recent if one.reward is not None]
    if len(passing) >= RECENT // 2:
        inside, rank = covered(passing), gain_rank(passing)
        if inside < LEAST_RECENT_COVERAGE:
            return f"its last 80 % intervals held {inside:.0%}"
        if rank <= 0.0:
            return f"its last forecasts are ordered against the outcomes ({rank:.2f})"
    rate = sum(one.passed for one in recent) / len(recent)
    brier = fmean((one.said.pi - one.passed) ** 2 for one in recent)
    if brier > rate * (1.0 - rate) + SLACK:
        return f"its last P(passes) have a Brier score of {brier:.2f}, a constant {rate * (1 - rate):.2f}"
    return None


def covered(passing: Sequence[Judged]) -> float:
    return fmean(one.low <= one.reward <= one.high for one in passing if one.reward is not None)


def gain_rank(passing: Sequence[Judged]) -> float:
    """Spearman's correlation of forecast and measured gains; 0 when either says nothing.

    Of the forecasts before calibration: the bias drifts with the outcomes, which would give a constant an order of its own.
    """
    pairs = [(one.raw.mu - one.parent_reward, one.gain) for one in passing if one.gain is not None]
    return spearman([said for said, _ in pairs], [gain for _, gain in pairs])


def crps_skill(passing: Sequence[Judged], since: int) -> float:
    """1 - CRPS / CRPS of the plainest honest forecast (mean and spread of the gains measured before), from `since` on."""
    mine = plain = 0.0
    for index in range(max(since, 2), len(passing)):
        one = passing[index]
        earlier = [other.gain for other in passing[:index] if other.gain is not None]
        centre = fmean(earlier)
        spread = math.sqrt(fmean((gain - centre) ** 2 for gain in earlier)) or one.said.sigma
        assert one.reward is not None
        mine += crps(one.said.mu, one.said.sigma, one.reward)
        plain += crps(one.parent_reward + centre, spread, one.reward)
    return 1.0 - mine / plain if plain > 0.0 else 0.0


def crps(mu: float, sigma: float, y: float) -> float:
    """Continuous ranked probability score of a normal forecast, in the unit of y (Gneiting and Raftery, 2007)."""
    if sigma <= 0.0:
        return abs(y - mu)
    z = (y - mu) / sigma
    return sigma * (z * (2.0 * NORMAL.cdf(z) - 1.0) + 2.0 * NORMAL.pdf(z) - 1.0 / math.sqrt(math.pi))


def spearman(xs: Sequence[float], ys: Sequence[float]) -> float:
    """Pearson's correlation of mid-ranks; 0 when one side is constant."""
    a, b = _ranks(xs), _ranks(ys)
    mean_a, mean_b = fmean(a) if a else 0.0, fmean(b) if b else 0.0
    top = sum((x - mean_a) * (y - mean_b) for x, y in zip(a, b, strict=True))
    below = sum((x - mean_a) ** 2 for x in a) * sum((y - mean_b) ** 2 for y in b)
    return top / math.sqrt(below) if below > 0.0 else 0.0


def _ranks(values: Sequence[float]) -> list[float]:
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks = [0.0] * len(values)
    start = 0
    while start < len(order):
        end = start
        while end + 1 < len(order) and values[order[end + 1]] == values[order[start]]:
            end += 1
        for place in range(start, end + 1):
            ranks[order[place]] = (start + end) / 2.0
        start = end + 1
    return ranks
