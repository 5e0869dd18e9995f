"""What questions brought: how much the ideas of an answer claim, by how good the plan was that they were for.

Near what the hardware allows a planner's ideas claim little, far from it much. Asking a plan for ideas is worth what such questions
brought at plans about as good, and until any were answered what a constant says.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Iterable
from typing import NamedTuple

from ksearch.tree.constants import Constants
from ksearch.tree.types import Action

NEAREST = 8
"""Answers on either side of a plan's reward that count: enough to tell, and a bound on what a choice costs."""


class Brought(NamedTuple):
    """One answer: the plan's reward relative to the root's (nats) and id, and the means of squared claims and of their variances."""

    own: float
    node: int
    gain_squared: float
    variance: float


class Answers:
    """Those that brought single steps, by their plan's reward. What a merge claims was measured, and is no word of the planner's."""

    __slots__ = ("brought",)

    def __init__(self) -> None:
        self.brought: list[Brought] = []

    def add(self, own: float, node: int, actions: Iterable[Action]) -> None:
        ideas = [action for action in actions if not action.parts]
        if ideas:
            squares, variances = (sum(values) / len(ideas) for values in zip(*((a.gain_mean**2, a.gain_sd**2) for a in ideas), strict=True))
            insort(self.brought, Brought(own, node, squares, variances))

    def spread(self, own: float, honesty: float, c: Constants) -> float:
        """Root mean square of what an idea may bring at a plan of this reward, nats. The constant counts as one answer; others
        by how far their plan's reward is, under a normal kernel of the constant's width."""
        at = bisect_left(self.brought, (own,))
        weight, total = 1.0, c.unknown_gain**2
        for answer in self.brought[max(0, at - NEAREST) : at + NEAREST]:
            share = math.exp(-0.5 * ((answer.own - own) / c.unknown_gain) ** 2)
            weight += share
            total += share * (honesty**2 * answer.gain_squared + answer.variance)
        return math.sqrt(total / weight)
