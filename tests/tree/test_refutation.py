"""A plan that passed an evaluation and failed the full judgement: forgotten as a result, kept as an attempt, open to repair."""

from __future__ import annotations

import pytest

from ksearch.tree import IllegalChange, NodeStatus, Tree, policy_named
from ksearch.tree.types import ROOT, Failed, Measured, NodeId, Write, WriteMode
from tests.tree.worlds import Logged, action


@pytest.fixture
def chain() -> Logged:
    """Root, a plan above it and one above that, each measured faster than the one before; more is queued at both."""
    logged = Logged(Tree(0.0, 0.01, policy_named("puct")))
    logged.propose(action("a", gain=0.5))
    write(logged, Measured(0.5))
    logged.propose(action("b", gain=0.5), action("c", gain=0.1), node=NodeId(1))
    write(logged, Measured(1.0))
    return logged


def write(logged: Logged, outcome: Measured | Failed) -> Write:
    ticket = next(ticket for _ in range(10) for ticket in logged.ask() if isinstance(ticket, Write))
    logged.tell(ticket, outcome)
    return ticket


def test_its_reward_counts_no_more_and_its_attempt_does(chain: Logged) -> None:
    assert chain.tree.incumbent_reward == 1.0
    chain.refute(NodeId(2))
    view = chain.tree.node(NodeId(2))
    assert (view.status, view.own.visits, view.own.failed, view.own.best, view.failed_stage) == (NodeStatus.UNPROVEN, 1, 1, None, "hidden")
    assert (chain.tree.incumbent_reward, chain.tree.node(ROOT).subtree.total) == (0.5, 0.5)


def test_it_is_repaired_with_the_stage_that_failed(chain: Logged) -> None:
    chain.refute(NodeId(2))
    ticket = write(chain, Measured(0.9))
    assert (ticket.node, ticket.mode, ticket.failed_stage, ticket.attempt) == (NodeId(2), WriteMode.REPAIR, "hidden", 2)
    assert chain.tree.incumbent_reward == 0.9


def test_what_was_built_on_it_waits_until_it_passes_again(chain: Logged) -> None:
    chain.refute(NodeId(1))
    assert chain.tree.incumbent_reward == 1.0, "the plan above stood the full judgement itself"
    assert not chain.tree.explain(NodeId(2)).legal
    assert write(chain, Measured(0.4)).node == NodeId(1)
    assert chain.tree.explain(NodeId(2)).legal
    assert {write(chain, Failed("smoke")).node for _ in range(2)} == {NodeId(3)}, "its queued steps are on offer again"


def test_the_root_and_unproven_plans_have_nothing_to_refute(chain: Logged) -> None:
    chain.refute(NodeId(2))
    before = chain.tree.snapshot()
    for nodes in ((ROOT,), (NodeId(2),), (), (NodeId(1), NodeId(1))):
        with pytest.raises(IllegalChange):
            chain.tree.refute(nodes, "hidden")
    assert chain.tree.snapshot() == before
