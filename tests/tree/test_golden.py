"""A tree small enough to work out by hand, number by number, with the policy that goes by means.

Root reward 1.0. Two proposals: A claims 0.8, B claims 0.4, both with P(success) one half. A measures 1.4, then B fails.
"""

from __future__ import annotations

import math

import pytest

from ksearch.tree import Explanation, MeanPuct, NodeStatus
from ksearch.tree.types import ROOT, Cancelled, Failed, Measured, NodeId, Proposed, Write, WriteMode
from tests.tree.worlds import Logged, action, actions, new_tree

A, B = NodeId(1), NodeId(2)
HONESTY = (0.8 * 0.4 + 0.3) / (0.8**2 + 1.0)  # 0.378049: claimed 0.8, came out at 0.4, prior 0.3 with weight 1


@pytest.fixture
def two_arms() -> Logged:
    """A measured, B open and in flight."""
    logged = new_tree(MeanPuct(), root=1.0)
    logged.propose(*actions([0.8, 0.4]), node=ROOT)
    logged.write(Measured(1.4), node=A)
    logged.propose(node=A)
    logged.propose(node=A)
    logged.propose(node=A)
    return logged


def test_the_measured_arm(two_arms: Logged) -> None:
    view = two_arms.tree.node(A)
    assert two_arms.tree.honesty == pytest.approx(HONESTY)
    assert two_arms.tree.scale == pytest.approx((1.0, 0.4))
    assert view.prior_value == pytest.approx(1.302439024)
    assert view.mean == pytest.approx((1.302439024 + 1.4) / 2)
    assert view.value == pytest.approx(0.6 * 1.4 + 0.4 * 1.351219512)
    assert view.q == pytest.approx((1.380487805 - 1.0) / 0.4)
    assert view.status is NodeStatus.EXHAUSTED
    assert two_arms.tree.node(B).status is NodeStatus.UNPROVEN
    assert two_arms.tree.incumbent_reward == 1.4


def test_scores_of_both_arms(two_arms: Logged) -> None:
    first, second = two_arms.tree.explain(A), two_arms.tree.explain(B)
    odds = math.exp(HONESTY * 0.4 / 0.25)
    share = 0.9 * odds / (odds + 1.0) + 0.05
    factor = 0.5 * math.sqrt(2) * math.sqrt(1)
    _check(first, q=0.951219512, prior=share, exploration=factor * share / 2)
    _check(second, q=0.378048780, prior=1 - share, exploration=factor * (1 - share) / 1)
    assert (first.rank, second.rank) == (1, 2)
    assert (first.arms, first.visits_beside) == (2, 1)


def test_an_attempt_in_flight_and_its_failure(two_arms: Logged) -> None:
    (ticket,) = two_arms.ask()
    assert ticket == Write(ticket.ticket, B, two_arms.tree.node(B).plan, WriteMode.FIRST, 1)
    flying = two_arms.tree.explain(B)
    assert flying.q_tilde == pytest.approx(0.378048780 * 1 / 2)
    assert flying.exploration == pytest.approx(0.5 * math.sqrt(2) * math.sqrt(2) * flying.prior / 2)
    two_arms.tell(ticket, Failed("compile"))
    failed = two_arms.tree.node(B)
    assert failed.mean == failed.value == pytest.approx((1.151219512 + 1.0 - 0.1) / 2)
    root = two_arms.tree.node(ROOT)
    assert root.mean == pytest.approx((1.0 + (1.0 + 1.4) + (1.0 - 0.1)) / (1 + 3))
    assert (root.subtree.visits, root.subtree.failed) == (3, 1)
    assert root.subtree.total == pytest.approx(2.4)


def test_a_gain_is_measured_over_the_parent_not_over_the_root() -> None:
    logged = new_tree(MeanPuct(), root=1.0)
    logged.propose(*actions([0.8]), node=ROOT)
    logged.write(Measured(1.4), node=A)
    while not logged.tree.node(A).queued:
        for ticket in logged.ask():
            logged.tell(ticket, Proposed(actions([0.5], technique="fuse") if ticket.node == A else ()))
    logged.write(Measured(1.3), node=B)
    assert logged.tree.honesty == pytest.approx((0.8 * 0.4 + 0.5 * -0.1 + 0.3) / (0.8**2 + 0.5**2 + 1.0))
    assert logged.tree.node(B).prior_value == pytest.approx(1.4 + logged.tree.honesty * 0.5)


def test_equal_scores_break_by_key() -> None:
    """Opened in the order of P(success) g, chosen among equals in the order of their keys."""
    logged = new_tree(MeanPuct())
    logged.propose(action("b", p=0.9), action("a", p=0.1))
    flying = logged.ask(2)
    assert [ticket.plan[0].technique for ticket in flying if isinstance(ticket, Write)] == ["b", "a"]
    for ticket in flying:
        logged.tell(ticket, Cancelled("both legal again"))
    (chosen,) = logged.ask(1)
    assert chosen.plan[0].technique == "a"


def test_widening_follows_the_square_root_of_visits() -> None:
    logged = new_tree(MeanPuct())
    logged.propose(*actions([0.1] * 8))
    opened = []
    for _ in range(10):
        logged.write(Failed("compile"))
        opened.append(len(logged.tree.node(ROOT).children))
    assert opened == [1, 2, 2, 2, 3, 3, 3, 3, 3, 4]


def _check(explained: Explanation, q: float, prior: float, exploration: float) -> None:
    assert explained.q == explained.q_tilde == pytest.approx(q)
    assert explained.prior == pytest.approx(prior)
    assert explained.exploration == pytest.approx(exploration)
    assert explained.total == pytest.approx(q + exploration)
