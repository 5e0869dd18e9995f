"""What the tree itself learns of a step: how it came out wherever it was taken.

A claim is made once, before anything was measured; the same step (technique, target, parameter) is then tried below
several plans, and each result says something about the next. Gains of one step are taken as draws of a normal with unknown
mean and variance, under a normal-inverse-gamma prior at the claim (Murphy, "Conjugate Bayesian analysis of the Gaussian
distribution", 2007, equations 85 to 89 and 100). Sharing results between branches is what makes a tree of a few dozen
evaluations more than a few dozen separate trials; the idea is that of RAVE (Gelly and Silver, "Monte-Carlo tree search
and rapid action value estimation in computer Go", 2011).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from ksearch.tree.constants import Constants
from ksearch.tree.statistics import UNIT
from ksearch.tree.types import Action, Part


class Credit:
    """Settled and flying attempts at one step over the whole tree. Gains are over the parent's plan, in fixed-point units."""

    __slots__ = ("failed", "flying", "passed", "square_units", "total_units")

    def __init__(self) -> None:
        self.passed = 0
        self.failed = 0
        self.flying = 0
        self.total_units = 0
        self.square_units = 0

    def add(self, gained_units: int) -> None:
        self.passed += 1
        self.total_units += gained_units
        self.square_units += gained_units * gained_units


class Prospect(NamedTuple):
    """What the next attempt at a step is expected to bring: P(passes), and mean and standard deviation of its gain, nats."""

    success: float
    gain: float
    sd: float


def prospect(action: Action | Part, credit: Credit | None, honesty: float, c: Constants, kin: Credit | None = None) -> Prospect:
    """A claim, believed as far as claims came true, and moved by what was measured of the step.

    `kin` is what was measured of its technique's other parameters as well: a different block size is a different step, but not
    an unrelated one, so its results move the prior by a share of their number.
    """
    claimed = honesty * action.gain_mean
    if kin is not None and kin.passed:
        own = (0, 0) if credit is None else (credit.passed, credit.total_units)
        others, total = kin.passed - own[0], (kin.total_units - own[1]) * UNIT
        claimed = (c.claim_weight * claimed + c.kin_weight * total) / (c.claim_weight + c.kin_weight * others)
    return revised(Prospect(action.p_success, claimed, action.gain_sd), credit, c)


def merged(parts: Sequence[Prospect]) -> Prospect:
    """Several steps at once, as if they neither helped nor hindered each other."""
    return Prospect(
        math.prod(part.success for part in parts), sum(part.gain for part in parts), math.sqrt(sum(part.sd**2 for part in parts))
    )


def narrowed(expected: Prospect, flying: int) -> Prospect:
    """Attempts in flight will tell of the step too: until they do, another is worth as much less as they will leave to be learnt."""
    return expected._replace(sd=expected.sd / math.sqrt(1.0 + flying)) if flying else expected


def revised(prior: Prospect, credit: Credit | None, c: Constants) -> Prospect:
    """What was measured of a step, on top of what was expected of it."""
    if credit is None:
        return prior
    n, k = credit.passed, c.claim_weight
    success = (c.success_weight * prior.success + n) / (c.success_weight + n + credit.failed)
    mean = (k * prior.gain + credit.total_units * UNIT) / (k + n)
    variance = prior.sd**2
    if n:
        measured = credit.total_units * UNIT / n
        # Rounding may push the deviations of equal gains just below 0.
        deviations = max(0.0, credit.square_units * UNIT * UNIT - n * measured**2)
        prior_scale = variance * k / (k + 1.0)
        scale = prior_scale + 0.5 * deviations + 0.5 * k * n / (k + n) * (measured - prior.gain) ** 2
        variance = scale / (1.0 + 0.5 * n) * (k + n + 1.0) / (k + n)
    return Prospect(success, mean, math.sqrt(variance))


def log_expected_improvement(mean: float, sd: float, best: float) -> float:
    """ln E[max(0, X - best)] for X normal; -inf when it is impossible.

    Jones, Schonlau and Welch, "Efficient global optimization of expensive black-box functions", 1998, equation 15. In
    logarithms, because far below the best the value itself is 0 in floating point, and 0 can't be ranked.
    """
    ahead = mean - best
    if sd <= 0.0:
        return math.log(ahead) if ahead > 0.0 else -math.inf
    z = ahead / sd
    if z > -5.0:
        return math.log(sd * (z * 0.5 * math.erfc(-z / _ROOT_2) + math.exp(-0.5 * z * z) / _ROOT_2_PI))
    # Mills' ratio to three terms: within 0.2 % at z = -5, and better below.
    inverse = 1.0 / (z * z)
    return math.log(sd * inverse * (1.0 - 3.0 * inverse + 15.0 * inverse * inverse) / _ROOT_2_PI) - 0.5 * z * z


_ROOT_2 = math.sqrt(2.0)
_ROOT_2_PI = math.sqrt(2.0 * math.pi)
