"""What a user may wish of a living tree: pins go first, bans go away, and both can be taken back."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from ksearch.tree import POLICIES, IllegalChange, NodeStatus, Tree, UnknownNode, policy_named
from ksearch.tree.types import ROOT, Banned, Failed, Issued, Measured, NodeId, Outcome, Pinned, Proposed, Ticket, Unbanned, Unpinned, Write
from tests.tree.worlds import Landscape, Logged, action, actions, drive, new_tree


def fruitless(ticket: Ticket) -> Outcome:
    """Ideas without end, none of which works."""
    return Failed("smoke") if isinstance(ticket, Write) else Proposed(actions([0.1] * 4, f"t{ticket.ticket}"))


def with_two_arms() -> Logged:
    """Arms 1 (promising) and 2 (poor), both proven: opened side by side by the policy that widens by visits."""
    logged = Logged(Tree(0.0, 0.01, policy_named("puct-mean")))
    logged.propose(action("good", gain=2.0), action("poor", gain=0.1))
    rewards = {1: 0.3, 2: 0.2}
    while len(logged.tree) < 3 or logged.tree.own_best(NodeId(2)) is None:
        ticket = logged.ask()[0]
        proven = isinstance(ticket, Write) and ticket.node in rewards
        logged.tell(ticket, Measured(rewards[ticket.node]) if proven else fruitless(ticket))
    return logged


def test_a_pinned_node_goes_first_and_says_so() -> None:
    chosen = with_two_arms().ask()[0].plan[0].technique
    other, logged = NodeId(2 if chosen == "good" else 1), with_two_arms()
    logged.guide(Pinned(other))
    issued = [change for change in logged.tree.ask(1, random.Random(0)).changes if isinstance(change, Issued)]
    assert issued[0].ticket.plan[0].technique != chosen
    assert issued[0].why.startswith(f"node {other} is pinned; ")


def test_a_pin_taken_back_leaves_no_trace() -> None:
    for node in (NodeId(1), NodeId(2)):
        logged = with_two_arms()
        logged.guide(Pinned(node))
        logged.guide(Unpinned(node))
        assert logged.tree.snapshot() == with_two_arms().tree.snapshot()


def test_a_pin_with_nothing_legal_leaves_the_rest_of_the_search_alone() -> None:
    logged = with_two_arms()
    logged.guide(Pinned(NodeId(2)))
    first, second = (ticket.plan[0].technique for ticket in logged.ask(2))
    assert first == "poor"
    assert second != "poor", "one Propose at a time at node 2, then elsewhere"


def visits_of_arms(logged: Logged) -> list[int]:
    return [logged.tree.node(NodeId(node)).subtree.visits for node in (1, 2)]


def test_two_pins_take_turns() -> None:
    logged = with_two_arms()
    for node in (1, 2):
        logged.guide(Pinned(NodeId(node)))
    before = visits_of_arms(logged)
    for _ in range(30):
        ticket = logged.ask()[0]
        logged.tell(ticket, fruitless(ticket))
    spent = [after - then for after, then in zip(visits_of_arms(logged), before, strict=True)]
    assert min(spent) > 8
    assert abs(spent[0] - spent[1]) <= 1


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_every_policy_follows_a_pin_to_an_attempt(policy: str) -> None:
    logged = Logged(Tree(0.0, 0.01, policy_named(policy)))
    logged.propose(*actions([0.5, 0.4, 0.3]))
    for _ in range(8):
        ticket = logged.ask()[0]
        logged.tell(ticket, fruitless(ticket))
    unproven = [view.id for view in logged.tree.nodes() if view.status is NodeStatus.UNPROVEN]
    assert unproven
    logged.guide(Pinned(unproven[-1]))
    assert logged.ask()[0].node == unproven[-1]


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_every_policy_goes_on_below_a_pinned_proven_plan(policy: str) -> None:
    logged = Logged(Tree(0.0, 0.01, policy_named(policy)))
    if logged.tree.policy.max_depth == 1:
        return  # nothing is ever below a proven plan
    logged.propose(*actions([0.5, 0.4, 0.3, 0.2]))
    for _ in range(30):
        ticket = logged.ask()[0]
        logged.tell(ticket, Measured(0.1 * (ticket.ticket % 5)) if isinstance(ticket, Write) else fruitless(ticket))
    pinned = min(view.id for view in logged.tree.nodes() if view.parent == ROOT and view.own.best is not None)
    logged.guide(Pinned(pinned))
    for _ in range(8):
        ticket = logged.ask()[0]
        at = ticket.node
        while at != pinned:
            assert at != ROOT, f"{policy} left the pinned plan"
            at = logged.tree.parent(at)
        logged.tell(ticket, Measured(0.1) if isinstance(ticket, Write) else fruitless(ticket))


def test_a_ban_frees_what_its_steps_led_to_and_the_end_of_it_takes_that_back() -> None:
    logged = new_tree()
    first, other = (replace(action(name), leads_to="wide") for name in ("tile", "vector"))
    logged.propose(first)
    logged.guide(Banned("tile"))
    logged.propose(other)
    assert [entry.action for entry in logged.tree.node(ROOT).queued] == [other]
    logged.guide(Unbanned("tile"))
    assert [entry.action for entry in logged.tree.node(ROOT).queued] == [other]
    assert "lead to the same" in logged.tree.node(ROOT).refused[0].reason


def test_a_banned_technique_leaves_the_queue_and_comes_back() -> None:
    logged = new_tree()
    logged.propose(action("tile", "1"), action("tile", "2", 0.4), action("vector", "1", 0.1))
    before = logged.tree.node(ROOT).queued
    logged.guide(Banned("tile"))
    view = logged.tree.node(ROOT)
    assert [entry.action.technique for entry in view.queued] == ["vector"]
    assert {refusal.reason for refusal in view.refused} == {"banned by the user"}
    logged.guide(Unbanned("tile"))
    assert logged.tree.node(ROOT).queued == before
    assert logged.tree.node(ROOT).refused == ()


def test_a_ban_of_one_action_spares_its_technique() -> None:
    logged = new_tree()
    logged.propose(action("tile", "1"), action("tile", "2"))
    logged.guide(Banned("tile|kernel|1"))
    assert [entry.action.parameter for entry in logged.tree.node(ROOT).queued] == ["2"]


def test_a_banned_proposal_is_refused_and_offered_once_the_ban_is_lifted() -> None:
    logged = new_tree()
    logged.guide(Banned("tile"))
    for _ in range(3):
        logged.propose(action("tile"))
    assert logged.tree.exhausted
    logged.guide(Unbanned("tile"))
    assert isinstance(logged.write(Measured(0.5)), Write)


def test_an_unproven_plan_with_a_banned_step_is_closed_but_what_was_measured_stands() -> None:
    logged = new_tree()
    logged.propose(action("tile", "1", 0.9), action("tile", "2", 0.8))
    logged.write(Failed("smoke"), NodeId(1))
    logged.guide(Banned("tile"))
    assert logged.tree.node(NodeId(1)).status is NodeStatus.CLOSED
    proven = with_two_arms()
    proven.guide(Banned("good"))
    assert proven.tree.node(NodeId(1)).status is NodeStatus.PROVEN
    assert proven.tree.incumbent_reward == 0.3


def test_a_candidate_in_flight_when_its_idea_is_banned_still_counts() -> None:
    logged = new_tree()
    logged.propose(action("tile"))
    ticket = next(ticket for ticket in logged.ask(2) if isinstance(ticket, Write))
    logged.guide(Banned("tile"))
    logged.tell(ticket, Measured(0.7))
    assert logged.tree.incumbent_reward == 0.7


def test_wishes_that_hold_already_change_nothing() -> None:
    logged = with_two_arms()
    assert logged.tree.guide(Unbanned("tile")) == logged.tree.guide(Unpinned(ROOT)) == ()
    logged.guide(Pinned(ROOT))
    assert logged.tree.guide(Pinned(ROOT)) == ()
    with pytest.raises(IllegalChange):
        logged.tree.apply(Pinned(ROOT))
    with pytest.raises(UnknownNode):
        logged.tree.guide(Pinned(NodeId(99)))


def test_a_search_with_half_of_the_ideas_banned_never_spends_on_them() -> None:
    world, logged = Landscape(3), new_tree()
    for name in world.names[::2]:
        logged.guide(Banned(name))
    for ticket in drive(logged, world.answer, 40):
        assert not {step.technique for step in ticket.plan} & set(world.names[::2])
