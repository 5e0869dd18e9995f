"""What to measure next, what to skip, what to audit: decisions from calibrated forecasts alone.

Expected improvement is Jones, Schonlau and Welch's ("Efficient global optimization", 1998) times P(passes). It is compared
as a logarithm, because far below the incumbent the plain value underflows to zero and would tie what isn't equal.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from dataclasses import dataclass

from ksearch.surrogates.quantities import Estimate

ROOT_2, ROOT_2_PI = math.sqrt(2.0), math.sqrt(2.0 * math.pi)

LONG_SHOT = -5.0
"""Standard deviations below the incumbent from which EI is computed through its logarithm: phi + z Phi cancels there."""

FRACTION_TERMS = 80
"""Terms of the continued fraction below LONG_SHOT; at z = -5 forty reach double precision already."""

SURE_SIGMA = 0.35
"""Nats. Only a forecast at least this sharp may have a candidate dropped unseen."""

NO_HOPE = 0.02
"""P(better than the parent) below which a sharp forecast drops a candidate at once."""

AUDIT_SHARE = 0.1
"""Of the measurements, about. Audits are drawn whatever the forecast says: the only unbiased sample of what is skipped."""

LOST = 0.5
"""Nats. A plan whose last candidate is hopeless *and* forecast this far below its parent closes unmeasured; a smaller loss may
be the price of steps that only become possible after it, and is measured."""

LINES = 2.0
"""Length of the line, in candidates that come for the measurements of one round."""

MOST_CANDIDATES = 6.0
"""Largest m: beyond six candidates for a measurement the best of them is mostly the luckiest forecast."""


def chance_of_better(estimate: Estimate, than: float) -> float:
    """P(passes and has a greater reward than `than`)."""
    if estimate.sigma <= 0.0:
        return estimate.pi if estimate.mu > than else 0.0
    return estimate.pi * cdf((estimate.mu - than) / estimate.sigma)


def cdf(z: float) -> float:
    """Of the standard normal distribution. `statistics.NormalDist` says the same and takes five times as long, and a replay for
    tuning asks a million times."""
    return 0.5 * math.erfc(-z / ROOT_2)


def expected_improvement(estimate: Estimate, best: float) -> float:
    """EI over the incumbent's reward `best`, nats."""
    log_value = log_expected_improvement(estimate, best)
    return math.exp(log_value) if log_value > -math.inf else 0.0


def log_expected_improvement(estimate: Estimate, best: float) -> float:
    """ln EI; -inf where there is none. Increases strictly with mu at equal pi and sigma > 0."""
    if estimate.pi <= 0.0:
        return -math.inf
    if estimate.sigma <= 0.0:
        gain = estimate.mu - best
        return math.log(estimate.pi) + math.log(gain) if gain > 0.0 else -math.inf
    z = (estimate.mu - best) / estimate.sigma
    return math.log(estimate.pi) + math.log(estimate.sigma) + _log_unit_improvement(z)


def _log_unit_improvement(z: float) -> float:
    """ln(phi(z) + z Phi(z)).

    Below LONG_SHOT by repeated integrals of the normal tail at x = -z: I(-1) = phi, I(0) = its tail, I(1) = what is asked,
    n I(n) = I(n-2) - x I(n-1). Ratios run backwards through I(n-1)/I(n-2) = 1 / (x + n I(n)/I(n-1)), all terms positive.
    """
    if z > LONG_SHOT:
        return math.log(math.exp(-0.5 * z * z) / ROOT_2_PI + z * cdf(z))
    x, ratio, upper = -z, 0.0, 0.0
    for n in range(FRACTION_TERMS, 0, -1):
        upper, ratio = ratio, 1.0 / (x + n * ratio)
    return -0.5 * z * z - 0.5 * math.log(2.0 * math.pi) + math.log(ratio) + math.log(upper)


def candidates_for_each(budget: float) -> float:
    """m, the candidates written for each measurement, from the share that may go unmeasured. 0 is 1, 0.75 is 4."""
    if not 0.0 <= budget < 1.0:
        raise ValueError(f"a surrogate budget is a share of at least 0 and below 1, not {budget}")
    return min(MOST_CANDIDATES, 1.0 / (1.0 - budget))


def audit_probability(m: float) -> float:
    return AUDIT_SHARE / m


def drawn_as_audit(seed: int, candidate: int | str, m: float) -> bool:
    """From a random stream of their own, so that drawing audits alters no other choice of the search."""
    return random.Random(f"{seed}/audit/{candidate}").random() < audit_probability(m)


def room_in_line(m: float, workers: int) -> int:
    """Candidates in flight: those under judgement and those in line. With a choice, LINES times as many as come for each
    measurement, so that the best of those that were passed over are not thrown away with the rest."""
    return math.ceil((LINES if m > 1.0 else 1.0) * m * workers - 1e-9)


def kept_in_line(m: float, workers: int) -> int:
    """How many of those passed over stay in line: what is left of its room once the next have come."""
    return room_in_line(m, workers) - math.ceil(m * workers - 1e-9)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A candidate in line. `estimate` None: nothing was forecast, so nothing may be concluded. `seconds` is what measuring it
    is expected to take; `last_chance`: skipping it would close its plan without a verdict."""

    candidate: int
    estimate: Estimate | None
    parent_reward: float
    audit: bool
    passed_over: int
    seconds: float
    last_chance: bool = False

    @property
    def must_be_measured(self) -> bool:
        return self.audit or self.estimate is None


def choose(waiting: Iterable[Waiting], best: float) -> Waiting | None:
    """The candidate to measure on a free device: who must be measured first (oldest first), else most EI for each second."""
    return min(waiting, key=lambda one: _order(one, best), default=None)


def _order(one: Waiting, best: float) -> tuple[bool, float, float, int]:
    if one.estimate is None or one.must_be_measured:
        return False, 0.0, 0.0, one.candidate
    rate = log_expected_improvement(one.estimate, best) - math.log(max(one.seconds, 1e-9))
    return True, -rate, -one.estimate.mu, one.candidate


def hopeless(one: Waiting) -> bool:
    """Whether a sharp forecast says that it won't even beat its parent; on a plan's last attempt, not by far."""
    if one.estimate is None or one.must_be_measured:
        return False
    if one.last_chance and one.estimate.mu > one.parent_reward - LOST:
        return False
    return one.estimate.sigma <= SURE_SIGMA and chance_of_better(one.estimate, one.parent_reward) < NO_HOPE


def expired(waiting: Iterable[Waiting], best: float, m: float, workers: int) -> list[Waiting]:
    """Of those that others were preferred to, the ones with least to hope for, as many as there are too many.

    A plan's last candidate doesn't expire, which would close the plan: it stays, and takes no room, until nothing better is
    left. (Measuring it when its time was up cost a third of all measurements, the worst third.)
    """
    over = [one for one in waiting if one.passed_over > 0 and not one.must_be_measured and not one.last_chance]
    ranked = sorted(over, key=lambda one: _order(one, best))
    return ranked[kept_in_line(m, workers) :][::-1]
