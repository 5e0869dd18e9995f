"""Making probabilities honest: what a forecaster calls 80 % is compared with how often it happened.

With few outcomes a two-parameter logistic map shrunk to the identity (Platt scaling with a prior); from `MANY` outcomes an
isotonic map (pool adjacent violators), which needs no shape but a lot of data.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

MANY = 100
"""Outcomes from which maps without a shape are used: isotonic for probabilities, conformal for intervals."""

EXTREME = 1e-3
"""Probabilities are kept this far from 0 and 1: certainty can't be weighed, nor corrected."""

INTERCEPT_SD, SLOPE_SD = 1.0, 0.5
"""Prior spread of the logistic map around the identity, in log-odds: one wrong forecast must not turn the scale over."""

NEWTON_STEPS = 25

Outcome: TypeAlias = tuple[float, bool]
"""A forecast probability and whether it happened."""

Point: TypeAlias = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Logistic:
    """log-odds' = intercept + slope log-odds."""

    intercept: float = 0.0
    slope: float = 1.0

    def __call__(self, p: float) -> float:
        return _sigmoid(self.intercept + self.slope * log_odds(p))


@dataclass(frozen=True, slots=True)
class Isotonic:
    """A rising step function, interpolated between the middles of its steps; `xs` ascends."""

    xs: tuple[float, ...]
    ys: tuple[float, ...]

    def __call__(self, p: float) -> float:
        right = bisect.bisect_left(self.xs, p)
        if right == 0:
            return self.ys[0]
        if right == len(self.xs):
            return self.ys[-1]
        x0, x1, y0, y1 = self.xs[right - 1], self.xs[right], self.ys[right - 1], self.ys[right]
        return y0 + (y1 - y0) * (p - x0) / (x1 - x0)


Map: TypeAlias = Logistic | Isotonic


def log_odds(p: float) -> float:
    inside = min(1.0 - EXTREME, max(EXTREME, p))
    return math.log(inside / (1.0 - inside))


def fit(outcomes: Sequence[Outcome]) -> Map:
    """The map that the number of outcomes allows; the identity without any."""
    return fit_isotonic(outcomes) if len(outcomes) >= MANY else fit_logistic(outcomes)


def fit_logistic(outcomes: Sequence[Outcome]) -> Logistic:
    """Most probable intercept and slope under normal priors around 0 and 1.

    A slope below 0 would say that the forecaster means the opposite: it is taken for 0, "knows nothing".
    """
    points = [(log_odds(p), float(happened)) for p, happened in outcomes]
    found = _newton(points, sloped=True)
    return found if found.slope >= 0.0 else _newton([(0.0, y) for _, y in points], sloped=False)


def _newton(points: Sequence[Point], *, sloped: bool) -> Logistic:
    """Newton's method with halved steps: the objective is concave, but a full step may overshoot."""
    at = Logistic(0.0, 1.0 if sloped else 0.0)
    value = _log_posterior(points, at)
    for _ in range(NEWTON_STEPS):
        step_a, step_b = _newton_step(points, at)
        size = 1.0
        while size > 1e-6:
            ahead = Logistic(at.intercept + size * step_a, at.slope + size * step_b * sloped)
            ahead_value = _log_posterior(points, ahead)
            if ahead_value >= value:
                break
            size /= 2.0
        else:
            return at
        gain, at, value = ahead_value - value, ahead, ahead_value
        if gain < 1e-10:
            return at
    return at


def _log_posterior(points: Sequence[Point], at: Logistic) -> float:
    value = -0.5 * (at.intercept / INTERCEPT_SD) ** 2 - 0.5 * ((at.slope - 1.0) / SLOPE_SD) ** 2
    for x, y in points:
        margin = (at.intercept + at.slope * x) * (1.0 if y else -1.0)
        value -= math.log1p(math.exp(-abs(margin))) + max(0.0, -margin)
    return value


def _newton_step(points: Sequence[Point], at: Logistic) -> Point:
    grad_a, grad_b = -at.intercept / INTERCEPT_SD**2, -(at.slope - 1.0) / SLOPE_SD**2
    haa, hab, hbb = 1.0 / INTERCEPT_SD**2, 0.0, 1.0 / SLOPE_SD**2
    for x, y in points:
        p = _sigmoid(at.intercept + at.slope * x)
        weight = p * (1.0 - p)
        grad_a, grad_b = grad_a + y - p, grad_b + (y - p) * x
        haa, hab, hbb = haa + weight, hab + weight * x, hbb + weight * x * x
    determinant = haa * hbb - hab * hab
    return (hbb * grad_a - hab * grad_b) / determinant, (haa * grad_b - hab * grad_a) / determinant


def fit_isotonic(outcomes: Sequence[Outcome]) -> Isotonic:
    """Pool adjacent violators. Each block keeps one pseudo-outcome at the overall rate, so that none says 0 or 1."""
    rate = (sum(happened for _, happened in outcomes) + 1.0) / (len(outcomes) + 2.0)
    blocks: list[list[float]] = []  # sum of x, sum of y, count
    for p, happened in sorted(outcomes):
        blocks.append([p, float(happened), 1.0])
        while len(blocks) > 1 and blocks[-2][1] / blocks[-2][2] >= blocks[-1][1] / blocks[-1][2]:
            last = blocks.pop()
            blocks[-1] = [one + other for one, other in zip(blocks[-1], last, strict=True)]
    xs = [block[0] / block[2] for block in blocks]
    ys = _rising([(block[1] + rate) / (block[2] + 1.0) for block in blocks])
    kept = [index for index in range(len(xs)) if index == 0 or xs[index] > xs[index - 1]]
    return Isotonic(tuple(xs[index] for index in kept), tuple(ys[index] for index in kept))


def _rising(values: Sequence[float]) -> list[float]:
    """The pseudo-outcomes may bend the steps by a little; a running maximum keeps the order of candidates."""
    rising: list[float] = []
    for value in values:
        rising.append(max(value, rising[-1]) if rising else value)
    return rising


def _sigmoid(x: float) -> float:
    if x >= 0.0:
        return 1.0 / (1.0 + math.exp(-x))
    return math.exp(x) / (1.0 + math.exp(x))
