"""Formulas of the tree, as small pure functions, and the three running sums they need over the whole tree.

All rewards here are relative to the root's (r - r_root, nats) and rounded to a fixed-point grid of 2^-40 nats (1e-12,
a millionth of the best timing noise). Two promises rest on this. Sums are exact integers, so the order in which results
arrive can't matter, not even by rounding. And shifting every reward by a multiple of the grid changes no bit of any
choice.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence

from ksearch.tree.constants import Constants

UNIT = 2.0**-40
"""Nats of one fixed-point unit."""

LARGEST = 2000.0
"""Largest credible reward or claimed gain, nats: the ratio of any two times a double can hold is below e^1500."""

_DECILE = 10


def to_units(nats: float) -> int:
    """Nearest multiple of `UNIT`."""
    return round(nats * 2**40)


def credible(nats: float) -> bool:
    """Whether `nats` can be a reward or a gain at all: not NaN, not infinite, not absurd."""
    return abs(nats) <= LARGEST


def from_units(units: int) -> float:
    return units * UNIT


def prior_value(parent_own: float, honesty: float, gain: float) -> float:
    """V0 = M_own(parent) + b g: the parent's own reward plus the claimed gain, believed as far as claims came true."""
    return parent_own + honesty * gain


def mean_value(prior: float, total: float, visits: int, failed: int, parent_own: float, c: Constants) -> float:
    """mean = [kappa V0 + S + F (M_own(parent) - delta)] / (kappa + N).

    `total` is S, the sum of measured rewards; `visits` is N, settled attempts, of which `failed` is F.
    """
    return (c.prior_visits * prior + total + failed * (parent_own - c.failure_cost)) / (c.prior_visits + visits)


def blended_value(mean: float, best: float | None, c: Constants) -> float:
    """Q = lambda M + (1 - lambda) mean for a proven plan (`best` is M), else the mean alone."""
    return mean if best is None else c.best_weight * best + (1.0 - c.best_weight) * mean


def normalised(value: float, low: float, span: float) -> float:
    """q = clip((Q - lo) / span, 0, 1)."""
    q = (value - low) / span
    if q < 0.0:
        return 0.0
    return q if q < 1.0 else 1.0


def with_virtual_loss(q: float, visits: int, in_flight: int, c: Constants) -> float:
    """q~ = q (N + kappa) / (N + kappa + O): attempts in flight count as zeros until they settle."""
    known = visits + c.prior_visits
    return q * known / (known + in_flight)


def priors(gains: Sequence[float], honesty: float, c: Constants) -> list[float]:
    """P(a) = (1 - eps) softmax(b g(a) / tau) + eps / |A| over sibling arms; sums to one."""
    top = max(gains)
    rate = honesty / c.temperature
    weights = [math.exp(rate * (gain - top)) for gain in gains]
    floor = c.prior_floor / len(gains)
    share = (1.0 - c.prior_floor) / math.fsum(weights)
    return [share * weight + floor for weight in weights]


def exploration_factor(arms: int, visits_below: int, c: Constants) -> float:
    """c sqrt(|A|) sqrt(max(1, sum of (N + O))): what P(a) / (1 + N + O + K) is multiplied with.

    sqrt(|A|) keeps the term's size when an even prior is cut into more arms.
    """
    return c.exploration * math.sqrt(arms) * math.sqrt(max(1, visits_below))


def widening_limit(visits: int, in_flight: int, c: Constants) -> int:
    """ceil(k0 max(1, N + O)^alpha): how many arms a proven plan may have."""
    return math.ceil(c.widening_scale * math.pow(max(1, visits + in_flight), c.widening_power))


class Honesty:
    """How far the planner's claimed gains came true: a regression through the origin of measured on claimed gains.

    b = clip((sum g y + kappa_b b0) / (sum g^2 + kappa_b), 0, 1) over proven plans but the root, y = M_own(v) - M_own(u).
    """

    __slots__ = ("claimed_claimed", "claimed_measured", "count", "measured_measured")

    def __init__(self) -> None:
        self.claimed_measured = 0
        self.claimed_claimed = 0
        self.measured_measured = 0
        self.count = 0

    def add(self, claimed: float, measured_units: int) -> None:
        """One proven plan's claim in nats and its measured gain in fixed-point units."""
        claimed_units = to_units(claimed)
        self.claimed_measured += claimed_units * measured_units
        self.claimed_claimed += claimed_units * claimed_units
        self.measured_measured += measured_units * measured_units
        self.count += 1

    def value(self, c: Constants) -> float:
        above = self.claimed_measured * UNIT * UNIT + c.honesty_weight * c.honesty_start
        below = self.claimed_claimed * UNIT * UNIT + c.honesty_weight
        return min(1.0, max(0.0, above / below))

    def precision(self, c: Constants) -> float:
        """1 / mean (y - b g)^2, nats^-2: how sharp a believed claim is; of `claim_error` until 8 plans are known."""
        if self.count < c.claims_known:
            return 1.0 / (c.claim_error * c.claim_error)
        b = self.value(c)
        squares = self.measured_measured - 2.0 * b * self.claimed_measured + b * b * self.claimed_claimed
        return 1.0 / max(squares * UNIT * UNIT / self.count, c.claim_error**2 * 1e-4)


class Scale:
    """Where 0 and 1 of the normalised value lie, from all rewards R measured so far, the root's (0 here) included.

    lo = max(min(r_root, 10th percentile of R), max R - 1.5), span = max(max R - lo, 0.1, 4 sigma_noise). The percentile
    is the nearest rank, ceil(n / 10): the multiset of the lower heap is that many smallest rewards whatever the order of
    arrival, and an insertion costs O(log n).
    """

    __slots__ = ("_lower", "_upper", "best")

    def __init__(self) -> None:
        self._lower: list[float] = [0.0]
        self._upper: list[float] = []
        self.best = 0.0

    def add(self, reward: float) -> None:
        self.best = max(self.best, reward)
        heapq.heappush(self._upper, -heapq.heappushpop(self._lower, -reward))
        if len(self._lower) * _DECILE < len(self._lower) + len(self._upper):
            heapq.heappush(self._lower, -heapq.heappop(self._upper))

    def bounds(self, sigma_noise: float, c: Constants) -> tuple[float, float]:
        """(lo, span), nats relative to the root's reward."""
        low = max(min(0.0, -self._lower[0]), self.best - c.most_span)
        return low, max(self.best - low, c.least_span, c.noise_spans * sigma_noise)

    def rewards(self) -> list[float]:
        """All rewards, ascending."""
        return sorted([-reward for reward in self._lower] + self._upper)
