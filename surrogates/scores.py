"""How good forecasts were, from what was said before each outcome and the outcome itself.

Outcomes count in proportion to what they stand for (1 / their probability of being measured whatever was said of them), so
that a filtered run, through its audits, is scored like an unfiltered one. Differences inside the noise band are ties and
count for nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ksearch.surrogates.acquisition import log_expected_improvement
from ksearch.surrogates.calibration import Judged
from ksearch.surrogates.quantities import PAIR_BANDS, noise_band
from ksearch.surrogates.trust import crps
from ksearch.surrogates.tuning import LEAST_OUTCOMES, TooFewOutcomes, usable

SHARES = (0.05, 0.1, 0.25, 0.5, 0.75)
"""Shares of the candidates that are measured, for regret, recall and risk."""

TOP = 0.1
"""Recall asks for the fastest tenth."""

BINS = 10
"""Of P(passes), for the expected calibration error."""


@dataclass(frozen=True, slots=True)
class Share:
    """Measuring this share of the candidates, the best-forecast first. `regret`: how much slower the best of them is than the
    best of all (0.05: 5 %); `recall`: share of the fastest tenth among them; `risk`: mean |error| of the reward over the same
    share of the *surest* forecasts, nats."""

    share: float
    regret: float | None
    recall: float | None
    risk: float | None


@dataclass(frozen=True, slots=True)
class Scores:
    """None where the outcomes can't tell: no failure for an AUROC, no pair far enough apart for an accuracy."""

    outcomes: int
    passing: int
    pairwise: float | None
    pairs: int
    by_distance: tuple[tuple[str, float | None, int], ...]
    spearman: float | None
    gain_spearman: float | None
    auroc: float | None
    brier: float
    crps: float | None
    coverage: float | None
    calibration_error: float
    shares: tuple[Share, ...]


@dataclass(frozen=True, slots=True)
class _Row:
    said: float
    true: float
    weight: float


def score(judged: Sequence[Judged], sigma_noise: float, least: int = LEAST_OUTCOMES) -> Scores:
    """Raises TooFewOutcomes below `least` outcomes."""
    known = usable(judged)
    if len(known) < least:
        raise TooFewOutcomes(f"{len(known)} outcomes that stand for all candidates, scores need {least}")
    passing = [one for one in known if one.reward is not None]
    rows = [_Row(one.said.mu, one.reward, _weight(one)) for one in passing if one.reward is not None]
    gains = [_Row(one.said_gain, one.gain, _weight(one)) for one in passing if one.gain is not None]
    band = noise_band(sigma_noise)
    right, pairs = pairwise(rows, band, math.inf)
    return Scores(
        outcomes=len(known),
        passing=len(passing),
        pairwise=right,
        pairs=pairs,
        by_distance=tuple((name, *pairwise(rows, max(band, low), high)) for name, low, high in PAIR_BANDS),
        spearman=weighted_spearman(rows),
        gain_spearman=weighted_spearman(gains),
        auroc=auroc(known),
        brier=_mean(((one.said.pi - one.passed) ** 2, _weight(one)) for one in known) or 0.0,
        crps=_mean((crps(one.said.mu, one.said.sigma, one.reward), _weight(one)) for one in passing if one.reward is not None),
        coverage=_mean((float(one.low <= one.reward <= one.high), _weight(one)) for one in passing if one.reward is not None),
        calibration_error=calibration_error(known),
        shares=tuple(_share(known, share) for share in SHARES),
    )


def _weight(one: Judged) -> float:
    return 1.0 / one.inclusion


def _mean(pairs: Iterable[tuple[float, float]]) -> float | None:
    total = weighted = 0.0
    for value, weight in pairs:
        total, weighted = total + weight, weighted + weight * value
    return weighted / total if total > 0.0 else None


def pairwise(rows: Sequence[_Row], least: float, below: float) -> tuple[float | None, int]:
    """Share of pairs in the right order, of those that are between `least` and `below` apart (nats), and their number."""
    right = total = 0.0
    count = 0
    for index, a in enumerate(rows):
        for b in rows[:index]:
            if least < abs(a.true - b.true) <= below:
                weight = a.weight * b.weight
                agree = (a.said - b.said) * (a.true - b.true)
                right += weight * (1.0 if agree > 0.0 else 0.5 if agree == 0.0 else 0.0)
                total, count = total + weight, count + 1
    return (right / total if count else None), count


def weighted_spearman(rows: Sequence[_Row]) -> float | None:
    """Correlation of mid-ranks, each row standing for `weight` rows; None when one side is constant."""
    a, b = (_ranks(rows, side) for side in (lambda row: row.said, lambda row: row.true))
    weights = [row.weight for row in rows]
    total = sum(weights)
    if total <= 0.0:
        return None
    mean_a, mean_b = (sum(w * x for w, x in zip(weights, side, strict=True)) / total for side in (a, b))
    top = sum(w * (x - mean_a) * (y - mean_b) for w, x, y in zip(weights, a, b, strict=True))
    spread_a = sum(w * (x - mean_a) ** 2 for w, x in zip(weights, a, strict=True))
    spread_b = sum(w * (y - mean_b) ** 2 for w, y in zip(weights, b, strict=True))
    return top / math.sqrt(spread_a * spread_b) if spread_a > 0.0 and spread_b > 0.0 else None


def _ranks(rows: Sequence[_Row], side: Callable[[_Row], float]) -> list[float]:
    order = sorted(range(len(rows)), key=lambda index: side(rows[index]))
    ranks, below, start = [0.0] * len(rows), 0.0, 0
    while start < len(order):
        end = start
        while end < len(order) and side(rows[order[end]]) == side(rows[order[start]]):
            end += 1
        here = sum(rows[index].weight for index in order[start:end])
        for index in order[start:end]:
            ranks[index] = below + here / 2.0
        below, start = below + here, end
    return ranks


def auroc(known: Sequence[Judged]) -> float | None:
    """Probability that a failing candidate was given a smaller P(passes) than a passing one; ties count half."""
    passing = [one for one in known if one.passed]
    failing = [one for one in known if not one.passed]
    right = total = 0.0
    for good in passing:
        for bad in failing:
            weight = _weight(good) * _weight(bad)
            right += weight * (1.0 if bad.said.pi < good.said.pi else 0.5 if bad.said.pi == good.said.pi else 0.0)
            total += weight
    return right / total if total > 0.0 else None


def calibration_error(known: Sequence[Judged]) -> float:
    """Expected calibration error of P(passes): |share passing - mean forecast| over equally filled bins, by their weight."""
    ordered = sorted(known, key=lambda one: one.said.pi)
    size = math.ceil(len(ordered) / BINS)
    total = sum(_weight(one) for one in ordered)
    error = 0.0
    for start in range(0, len(ordered), size):
        group = ordered[start : start + size]
        weight = sum(_weight(one) for one in group)
        error += abs(sum(_weight(one) * (one.said.pi - one.passed) for one in group)) / total if weight > 0.0 else 0.0
    return error


def _share(known: Sequence[Judged], share: float) -> Share:
    passing = [one for one in known if one.reward is not None]
    if not passing:
        return Share(share, None, None, None)
    taken = _first(known, share, _promise(known))
    rewards = [one.reward for one in taken if one.reward is not None]
    best = max(one.reward for one in passing if one.reward is not None)
    regret = math.expm1(best - max(rewards)) if rewards else None
    top = _first(passing, TOP, lambda one: one.reward or -math.inf)
    found = {id(one) for one in taken}
    recall = _mean((float(id(one) in found), _weight(one)) for one in top)
    surest = _first(passing, share, lambda one: -one.said.sigma)
    risk = _mean((abs(one.reward - one.said.mu), _weight(one)) for one in surest if one.reward is not None)
    return Share(share, regret, recall, risk)


def _promise(known: Sequence[Judged]) -> Callable[[Judged], float]:
    """What candidates are ranked by: expected improvement over the best decile of the forecasts."""
    means = sorted(one.said.mu for one in known)
    best = means[math.floor(0.9 * (len(means) - 1))]
    return lambda one: log_expected_improvement(one.said, best)


def _first(ones: Sequence[Judged], share: float, worth: Callable[[Judged], float]) -> list[Judged]:
    """The best `share` of the population that `ones` stand for; at least one."""
    total = 0.0
    taken: list[Judged] = []
    limit = share * sum(_weight(one) for one in ones)
    for one in sorted(ones, key=worth, reverse=True):
        if taken and total + _weight(one) > limit + 1e-9:
            break
        taken.append(one)
        total += _weight(one)
    return taken
