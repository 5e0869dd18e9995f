"""What is read off a tree agrees with what the tree does."""

from __future__ import annotations

import networkx
import pytest

from ksearch.tree import MeanPuct, NodeStatus, UnknownNode
from ksearch.tree.export import to_networkx
from ksearch.tree.types import ROOT, ArmOpened, Failed, Issued, Measured, NodeId, Write
from tests.tree.worlds import Landscape, Logged, action, drive, new_tree


@pytest.fixture
def grown() -> Logged:
    logged = new_tree(MeanPuct(), root=0.5)
    for _ in drive(logged, Landscape(2).answer, writes=60, width=3):
        pass
    return logged


def test_the_chosen_arm_ranks_first_among_the_legal(grown: Logged) -> None:
    """Replays a search: at each Write, every arm on the way down had the best score of its legal siblings."""
    replayed = new_tree(MeanPuct(), root=0.5).tree
    checked = 0
    for change in grown.log:
        if isinstance(change, Issued) and isinstance(change.ticket, Write):
            node = replayed.node(change.ticket.node)
            while node.parent is not None:
                mine = replayed.explain(node.id)
                beside = [replayed.explain(arm.node) for arm in replayed.siblings(node.id)]
                assert mine.legal
                assert all(mine.total >= other.total for other in beside if other.legal)
                checked += len(beside)
                node = replayed.node(node.parent)
        replayed.apply(change)
    assert checked > 100


def test_why_shows_the_numbers_that_decided(grown: Logged) -> None:
    replayed = new_tree(MeanPuct(), root=0.5).tree
    for change in grown.log:
        if isinstance(change, Issued) and isinstance(change.ticket, Write):
            explained = replayed.explain(change.ticket.node)
            assert f"score {explained.total:.3f} = value {explained.q_tilde:.3f}" in change.why
            assert "\n" not in change.why
        replayed.apply(change)


def test_terms_of_an_explanation_add_up(grown: Logged) -> None:
    for view in grown.tree.nodes():
        explained = grown.tree.explain(view.id)
        flying = view.subtree.in_flight
        assert explained.total == explained.q_tilde + explained.exploration
        assert explained.q_tilde == pytest.approx(view.q * (view.subtree.visits + 1) / (view.subtree.visits + 1 + flying))
        shown = 0.5 * view.prior * explained.arms**0.5 * max(1, explained.visits_beside) ** 0.5
        assert explained.exploration == pytest.approx(shown / (1 + view.subtree.visits + flying + view.subtree.skipped))
        assert (explained.value, explained.prior_value, explained.mean) == (view.value, view.prior_value, view.mean)
        assert 1 <= explained.rank <= explained.arms


def test_best_node_is_the_first_with_the_incumbents_reward() -> None:
    logged = new_tree()
    assert logged.tree.best_node().id == ROOT
    logged.propose(action("a", gain=0.9), action("b", gain=0.8), action("c", gain=0.7))
    flying = [ticket for ticket in logged.ask(4) if isinstance(ticket, Write)]
    for ticket, reward in zip(reversed(flying), (0.7, 0.7, 0.1), strict=True):
        logged.tell(ticket, Measured(reward))
    assert logged.tree.best_node().id == NodeId(2)
    assert logged.tree.incumbent_reward == 0.7


def test_the_told_reward_is_read_back_to_the_last_bit() -> None:
    logged = new_tree(root=0.1)
    logged.propose(action())
    logged.write(Measured(0.1 + 0.2))
    assert logged.tree.incumbent_reward == logged.tree.node(NodeId(1)).subtree.best == 0.1 + 0.2


def test_planners_see_the_outcomes_of_siblings() -> None:
    logged = new_tree(root=1.0)
    logged.propose(action("a", gain=0.9), action("b", gain=0.8))
    flying = [ticket for ticket in logged.ask(3) if isinstance(ticket, Write)]
    logged.tell(flying[0], Measured(1.5))
    logged.tell(flying[1], Failed("numerics"))
    (beside,) = logged.tree.siblings(NodeId(1))
    assert (beside.status, beside.attempts, beside.gain, beside.failed_stage) == (NodeStatus.UNPROVEN, 1, None, "numerics")
    first = logged.tree.arms(ROOT)[0]
    assert (first.status, first.gain, first.failed_stage) == (NodeStatus.PROVEN, 0.5, None)
    assert logged.tree.siblings(ROOT) == ()


def test_exhausted_is_never_said_too_early(grown: Logged) -> None:
    """No node that was called exhausted or closed is ever the place of a later change."""
    replayed = new_tree(MeanPuct(), root=0.5).tree
    final: set[NodeId] = set()
    for change in grown.log:
        if isinstance(change, ArmOpened):
            assert change.parent not in final
        elif isinstance(change, Issued):
            assert change.ticket.node not in final
        replayed.apply(change)
        final |= {view.id for view in replayed.nodes() if view.status in (NodeStatus.CLOSED, NodeStatus.EXHAUSTED)}
    assert final


def test_cheap_readings_agree_with_the_views(grown: Logged) -> None:
    tree = grown.tree
    for view in tree.nodes():
        assert tree.plan(view.id) == view.plan
        assert tree.parent(view.id) == (ROOT if view.parent is None else view.parent)
        assert tree.children(view.id) == view.children
        assert (tree.own_best(view.id), tree.best(view.id)) == (view.own.best, view.subtree.best)
    chosen = [NodeId(5), ROOT, NodeId(2)]
    assert list(tree.nodes(chosen)) == [tree.node(id) for id in chosen]


def test_unknown_nodes_are_named(grown: Logged) -> None:
    with pytest.raises(UnknownNode, match=f"no node {len(grown.tree)}: this tree has nodes 0 to {len(grown.tree) - 1}"):
        grown.tree.node(NodeId(len(grown.tree)))


def test_networkx_export(grown: Logged) -> None:
    graph = to_networkx(grown.tree)
    assert networkx.is_arborescence(graph)
    assert graph.number_of_nodes() == len(grown.tree)
    rewards = [attributes["own"] for _, attributes in graph.nodes(data=True)]
    assert max(reward for reward in rewards if reward is not None) == grown.tree.incumbent_reward


def test_a_merge_is_an_edge_of_its_own_kind() -> None:
    logged = new_tree()
    logged.propose(action("a", gain=0.9), action("b", gain=0.8))
    for ticket in logged.ask(3):
        if isinstance(ticket, Write):
            logged.tell(ticket, Measured(0.5))
    flying = [ticket for ticket in logged.ask(2) if ticket.node == NodeId(1)]
    logged.propose(node=ROOT)
    assert flying
    logged.propose(action("merge", gain=0.4, second_parent=NodeId(2)), node=NodeId(1))
    while len(logged.tree) < 4:
        logged.ask()
    graph = to_networkx(logged.tree)
    assert graph.edges[NodeId(1), NodeId(3)]["kind"] == "step"
    assert graph.edges[NodeId(2), NodeId(3)]["kind"] == "merge"
