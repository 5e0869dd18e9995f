"""What a claimed gain means, in one place for the prompt and for the score, and how well claims came true.

A planner claims the speed-up over the parent, given that the step works, by its 10, 50 and 90 % quantiles. It is kept as
a normal distribution of the natural logarithm and scored against the measured gain.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ksearch.tree import Tree

TENTH_TO_NINETIETH = 2.5631031310892007
"""Standard deviations between the 10 and 90 % quantiles of a normal distribution."""

LEAST_SD = 0.02
"""Nats: no claim is sharper than a quiet machine repeats a measurement."""

MOST_SPEEDUP = 1000.0

CLAIM_TEXT = (
    "Speed-ups are factors over the parent's measured latency, given that the code passes: 1.0 is no change, 2.0 halves the latency, 0.9 "
    "is slower. Give `speedup_low`, `speedup_likely` and `speedup_high`, the values that the truth falls below with probability 10, 50 "
    "and 90 %; your claims are compared with what is measured, and claims that don't come true are believed less."
)
"""The wording of the prompt: change it together with `claim`."""


class BadClaim(ValueError):
    """The message is written for the model that claimed it."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Mean and standard deviation of ln(speed-up over the parent), given that the step works."""

    mean: float
    sd: float


def claim(low: float, likely: float, high: float) -> Claim:
    """From 10, 50 and 90 % quantiles of the speed-up factor. Raises BadClaim unless 0 < low <= likely <= high, within reason."""
    if not all(math.isfinite(value) and 1 / MOST_SPEEDUP <= value <= MOST_SPEEDUP for value in (low, likely, high)):
        raise BadClaim(f"speed-ups must lie between {1 / MOST_SPEEDUP:g} and {MOST_SPEEDUP:g}")
    if not low <= likely <= high:
        raise BadClaim(f"speedup_low {low:g}, speedup_likely {likely:g}, speedup_high {high:g} must not fall")
    return Claim(math.log(likely), max(LEAST_SD, (math.log(high) - math.log(low)) / TENTH_TO_NINETIETH))


@dataclass(frozen=True, slots=True)
class Scored:
    """A claim and the gain that was measured, both in nats."""

    mean: float
    sd: float
    measured: float


@dataclass(frozen=True, slots=True)
class ClaimScores:
    """How claims did. `constant_crps` is what always claiming the mean and spread of the measured gains would have scored (looking
    back: a planner can't know them beforehand), `rank` is Spearman's correlation, None for fewer than three claims or all equal."""

    count: int
    crps: float
    constant_crps: float
    bias: float
    """Mean of measured less claimed, nats: negative is a planner that promises too much."""
    rank: float | None


def crps(mean: float, sd: float, observed: float) -> float:
    """Continuous ranked probability score of a normal forecast, smaller is better, in the units of the observation.

    Gneiting, Raftery, "Strictly proper scoring rules, prediction, and estimation", 2007, equation 21.
    """
    z = (observed - mean) / sd
    density = math.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
    return sd * (z * math.erf(z / math.sqrt(2)) + 2 * density - 1 / math.sqrt(math.pi))


def claims_of(tree: Tree) -> list[Scored]:
    """Claimed and measured gain of every plan that passed."""
    return [
        Scored(claim.action.gain_mean, claim.action.gain_sd, claim.gain)
        for claim in tree.claims()
        if claim.gain is not None and claim.action.gain_sd > 0
    ]


def score(claims: Sequence[Scored]) -> ClaimScores | None:
    """None when nothing was measured yet."""
    if not claims:
        return None
    n, measured = len(claims), [item.measured for item in claims]
    centre = sum(measured) / n
    spread = max(LEAST_SD, math.sqrt(sum((value - centre) ** 2 for value in measured) / n))
    return ClaimScores(
        count=n,
        crps=sum(crps(item.mean, item.sd, item.measured) for item in claims) / n,
        constant_crps=sum(crps(centre, spread, value) for value in measured) / n,
        bias=sum(item.measured - item.mean for item in claims) / n,
        rank=spearman([item.mean for item in claims], measured),
    )


def spearman(xs: Sequence[float], ys: Sequence[float]) -> float | None:
    """Spearman's rank correlation, ties at their mean rank; None when there is nothing to correlate."""
    if len(xs) < 3:
        return None
    a, b = _ranks(xs), _ranks(ys)
    mean = (len(xs) - 1) / 2
    covariance = sum((x - mean) * (y - mean) for x, y in zip(a, b, strict=True))
    variances = sum((x - mean) ** 2 for x in a) * sum((y - mean) ** 2 for y in b)
    return covariance / math.sqrt(variances) if variances > 0 else None


def _ranks(values: Sequence[float]) -> list[float]:
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks = [0.0] * len(values)
    start = 0
    while start < len(order):
        end = start
        while end + 1 < len(order) and values[order[end + 1]] == values[order[start]]:
            end += 1
        for place in order[start : end + 1]:
            ranks[place] = (start + end) / 2
        start = end + 1
    return ranks
