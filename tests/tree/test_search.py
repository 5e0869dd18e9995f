"""End to end on a synthetic landscape: techniques that compose, interact and fail. Every number comes from fixed seeds."""

from __future__ import annotations

import statistics

import pytest

from ksearch.tree import policy_named
from ksearch.tree.types import plan_key
from tests.tree.worlds import Landscape, drive, new_tree

SEEDS = range(16)
WRITES = 64


def share_of_optimum(policy: str, seed: int, width: int) -> float:
    """The incumbent's reward, noise aside, over the best that any plan has."""
    landscape, logged = Landscape(seed), new_tree(policy_named(policy))
    for _ in drive(logged, landscape.answer, WRITES, width):
        pass
    steps = frozenset(key.split("|")[0] for key in plan_key(logged.tree.best_node().plan))
    return landscape.reward(steps) / landscape.optimum()


@pytest.mark.parametrize("width", [1, 8])
def test_puct_beats_random_and_independent_attempts(width: int) -> None:
    reached = {
        policy: statistics.mean(share_of_optimum(policy, seed, width) for seed in SEEDS) for policy in ("puct", "random", "best-of-n")
    }
    assert reached["puct"] > reached["random"] + 0.05
    assert reached["puct"] > reached["best-of-n"] + 0.05
