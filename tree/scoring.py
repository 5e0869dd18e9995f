"""What an arm is worth now, against its siblings: the terms that the PUCT policy compares and `explain` shows.

score(a) = q~(a) + c P(a) sqrt(|A|) sqrt(max(1, sum of (N + O))) / (1 + N(a) + O(a) + K(a))

This is PUCT (Silver et al., "Mastering the game of Go without human knowledge", 2017) with the prior term scaled by
sqrt(|A|). A is every arm opened at the node, legal now or not: an arm's prior then doesn't jump whenever a sibling has an
attempt in flight or closes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from ksearch.tree.node import Node
from ksearch.tree.state import State
from ksearch.tree.statistics import UNIT, blended_value, exploration_factor, mean_value, normalised, prior_value, priors, with_virtual_loss

if TYPE_CHECKING:
    from ksearch.tree.policy import Option


class Terms(NamedTuple):
    """One arm's score. `q` is its normalised value, `q_tilde` the same after virtual loss."""

    q: float
    q_tilde: float
    prior: float
    exploration: float
    total: float


@dataclass(frozen=True, slots=True)
class Yardstick:
    """What all nodes are measured with at one moment: the planner's honesty b and the scale's lo and span."""

    honesty: float
    low: float
    span: float

    @classmethod
    def of(cls, state: State) -> Yardstick:
        low, span = state.scale.bounds(state.sigma_noise, state.constants)
        return cls(state.honesty.value(state.constants), low, span)


def sibling_priors(state: State, parent: Node, honesty: float) -> list[float]:
    return priors([arm.gain for arm in parent.children], honesty, state.constants)


def node_prior_value(state: State, node: Node, honesty: float) -> float:
    """V0, relative to the root's reward; 0 for the root."""
    return _prior_value(state, node, node.parent_own, honesty)


def node_mean(state: State, node: Node, honesty: float) -> float:
    return _mean(state, node, node.parent_own, honesty)


def node_value(state: State, node: Node, honesty: float) -> float:
    """Q, relative to the root's reward."""
    return blended_value(node_mean(state, node, honesty), node.best, state.constants)


def arm_terms(state: State, arms: list[Node], visits_below: int, yardstick: Yardstick) -> list[Terms]:
    """Terms of every arm among `arms`, all children of one node (or the root alone). The inner loop of selection."""
    c, honesty, low, span = state.constants, yardstick.honesty, yardstick.low, yardstick.span
    factor = exploration_factor(len(arms), visits_below, c)
    parent_own = arms[0].parent_own
    rows = []
    for arm, share in zip(arms, priors([arm.gain for arm in arms], honesty, c), strict=True):
        value = blended_value(_mean(state, arm, parent_own, honesty), arm.best, c)
        q = normalised(value, low, span)
        q_tilde = with_virtual_loss(q, arm.visits, arm.in_flight, c)
        exploration = factor * share / (1 + arm.visits + arm.in_flight + arm.skipped)
        rows.append(Terms(q, q_tilde, share, exploration, q_tilde + exploration))
    return rows


def _mean(state: State, node: Node, parent_own: float, honesty: float) -> float:
    prior = _prior_value(state, node, parent_own, honesty)
    return mean_value(prior, node.total_units * UNIT, node.visits, node.failed, parent_own, state.constants)


def _prior_value(state: State, node: Node, parent_own: float, honesty: float) -> float:
    """What the claim says, and what a forecast of the written code says, each by its own precision."""
    claimed = prior_value(parent_own, honesty, node.gain)
    if node.foreseen is None:
        return claimed
    foreseen, sigma = node.foreseen
    claim_weight, forecast_weight = state.honesty.precision(state.constants), 1.0 / (sigma * sigma)
    return (claim_weight * claimed + forecast_weight * foreseen) / (claim_weight + forecast_weight)


def visits_below(node: Node) -> int:
    """Sum of N + O over the node's arms."""
    own_in_flight = node.writing is not None
    return node.visits - node.own_visits + node.in_flight - own_in_flight


class MeanScored:
    """Policies whose arms are explained by the means and bests of what was measured below them."""

    def terms(self, state: State, parent: Node) -> list[Terms]:
        return arm_terms(state, parent.children, visits_below(parent), Yardstick.of(state))

    def options(self, state: State, at: Node) -> list[Option]:
        """None: only PUCT goes by these terms."""
        return []
