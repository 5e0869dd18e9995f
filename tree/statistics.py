"""The formulas of the tree, each a small pure function. Rewards and gains are in nats (natural-log speed-up).

They follow the PUCT rule of AlphaZero (Silver et al., 2018) with progressive widening (Coulom, 2007), a prior value
worth one visit, and a mix of best and mean as the value.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ksearch.tree import constants as c
from ksearch.tree.node import UNIT, Node, Rewards


@dataclass(frozen=True, slots=True)
class Scale:
    """Where a value lies among the rewards of the run: q = clip((Q - lo) / span, 0, 1)."""

    lo: float
    span: float

    def q(self, value: float) -> float:
        return min(1.0, max(0.0, (value - self.lo) / self.span))


def scale(rewards: Rewards, root_reward: float, sigma_noise: float) -> Scale:
    """lo = max(min(r_root, 10th percentile), best - 1.5); span = max(best - lo, max(0.1, 4 sigma))."""
    best = rewards.best()
    lo = max(min(root_reward, rewards.low_decile()), best - c.RANGE_FLOOR)
    return Scale(lo, max(best - lo, c.SPAN_FLOOR, c.NOISE_SPANS * sigma_noise))


def honesty(sum_gy: float, sum_gg: float) -> float:
    """b: regression of measured gains y on claimed gains g through the origin, shrunk to the prior, within [0, 1]."""
    value = (sum_gy + c.HONESTY_KAPPA * c.HONESTY_PRIOR) / (sum_gg + c.HONESTY_KAPPA)
    return min(1.0, max(0.0, value))


def own_best(node: Node) -> float:
    """M_own of a proven node. Raises ValueError for an unproven one."""
    if node.own.M is None:
        raise ValueError(f"node {node.id} is not proven")
    return node.own.M


def prior_value(node: Node, b: float, root_reward: float) -> float:
    """V0 = M_own(parent) + b g; the root's is its reward."""
    if node.parent is None or node.action is None:
        return root_reward
    return own_best(node.parent) + b * node.action.gain_mean


def mean_value(node: Node, b: float, root_reward: float) -> float:
    """[kappa V0 + S + F (M_own(parent) - delta)] / (kappa + N)."""
    failed_as = (own_best(node.parent) if node.parent is not None else root_reward) - c.FAILURE_COST
    total = c.KAPPA * prior_value(node, b, root_reward) + node.subtree.S * UNIT + node.subtree.F * failed_as
    return total / (c.KAPPA + node.subtree.N)


def value(node: Node, b: float, root_reward: float) -> float:
    """Q = lambda M + (1 - lambda) mean for a proven plan, the mean alone before."""
    mean = mean_value(node, b, root_reward)
    return mean if node.subtree.M is None else c.MIX * node.subtree.M + (1 - c.MIX) * mean


def priors(arms: Sequence[Node], b: float) -> list[float]:
    """P = (1 - eps) softmax(b g / tau) + eps / |arms|."""
    if not arms:
        return []
    logits = [b * arm.action.gain_mean / c.TEMPERATURE if arm.action is not None else 0.0 for arm in arms]
    top = max(logits)
    weights = [math.exp(logit - top) for logit in logits]
    total = math.fsum(weights)
    return [(1 - c.UNIFORM_SHARE) * weight / total + c.UNIFORM_SHARE / len(arms) for weight in weights]


def virtual_q(node: Node, q: float) -> float:
    """Visits in flight count as zeros: q (N + kappa) / (N + kappa + O)."""
    settled = node.subtree.N + c.KAPPA
    return q * settled / (settled + node.subtree.O)


def exploration(node: Node, prior: float, arms: int, visits: int) -> float:
    """c P sqrt(|A|) sqrt(max(1, visits)) / (1 + N + O + K); `visits` is the sum of N + O over the arms."""
    own = node.subtree.N + node.subtree.O + node.subtree.K
    return c.EXPLORATION * prior * math.sqrt(arms) * math.sqrt(max(1, visits)) / (1 + own)


def wanted_children(node: Node) -> int:
    """Progressive widening: ceil(k0 max(1, N + O)^alpha)."""
    visits = max(1, node.subtree.N + node.subtree.O)
    return math.ceil(c.WIDENING_FACTOR * math.pow(visits, c.WIDENING_POWER))
