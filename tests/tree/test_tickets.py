"""Tickets and their outcomes: modes, caps, settlement, refusals, and what the tree won't accept."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest

from ksearch.tree import Constants, IllegalChange, MeanPuct, NodeStatus, Tree, UnknownNode, UnknownTicket, policy_named
from ksearch.tree.types import (
    REFINE,
    ROOT,
    Action,
    ArmOpened,
    Cancelled,
    Change,
    Failed,
    Issued,
    Measured,
    NodeId,
    Outcome,
    Propose,
    Proposed,
    Settled,
    Skipped,
    Ticket,
    TicketId,
    Write,
    WriteMode,
)
from tests.tree.worlds import Logged, action, actions, new_tree

A = NodeId(1)


@pytest.fixture
def one_arm() -> Logged:
    logged = new_tree()
    logged.propose(action())
    return logged


def test_a_failing_plan_is_repaired_twice_then_closed(one_arm: Logged) -> None:
    tickets = [one_arm.write(Failed(stage), node=A) for stage in ("compile", "smoke", "numerics")]
    assert [ticket.mode for ticket in tickets] == [WriteMode.FIRST, WriteMode.REPAIR, WriteMode.REPAIR]
    assert [ticket.failed_stage for ticket in tickets] == [None, "compile", "smoke"]
    assert [ticket.attempt for ticket in tickets] == [1, 2, 3]
    assert one_arm.tree.node(A).status is NodeStatus.CLOSED
    assert one_arm.ask() == ()


def test_skips_count_towards_the_cap_and_are_no_evidence(one_arm: Logged) -> None:
    assert one_arm.write(Skipped("hopeless")).mode is WriteMode.FIRST
    assert one_arm.write(Failed("compile")).mode is WriteMode.FIRST
    third = one_arm.write(Skipped("hopeless"))
    assert (third.mode, third.failed_stage, third.attempt) == (WriteMode.REPAIR, "compile", 3)
    view = one_arm.tree.node(A)
    assert view.status is NodeStatus.CLOSED
    assert (view.subtree.visits, view.subtree.skipped, view.subtree.failed) == (1, 2, 1)
    assert one_arm.tree.node(ROOT).subtree.skipped == 2


def test_a_refinement_is_an_arm_of_its_own() -> None:
    logged = new_tree()
    logged.propose(action(REFINE, "again"))
    assert logged.write(Failed("compile"), node=A).mode is WriteMode.REFINE
    assert logged.write(Measured(0.1), node=A).mode is WriteMode.REPAIR


def test_one_attempt_in_flight_for_each_plan(one_arm: Logged) -> None:
    first, second = one_arm.ask(8)
    assert isinstance(first, Write)
    assert isinstance(second, Propose)
    assert one_arm.ask(8) == ()
    assert not one_arm.tree.exhausted


def test_a_settled_ticket_stays_settled(one_arm: Logged) -> None:
    ticket = one_arm.write(Measured(0.2))
    before = one_arm.tree.snapshot()
    for outcome in (Measured(9.0), Failed("compile"), Proposed(()), Cancelled("late")):
        assert one_arm.tree.tell(ticket.ticket, outcome) == ()
    assert one_arm.tree.snapshot() == before


def test_an_unknown_ticket_is_an_error(one_arm: Logged) -> None:
    for never_issued in (TicketId(99), TicketId(-1)):
        with pytest.raises(UnknownTicket, match="never issued"):
            one_arm.tree.tell(never_issued, Measured(1.0))


@pytest.mark.parametrize("outcome", [Proposed(()), Measured(math.nan), Measured(math.inf), Measured(1e12)])
def test_an_impossible_outcome_leaves_no_trace(one_arm: Logged, outcome: Outcome) -> None:
    (ticket,) = one_arm.ask()
    before = one_arm.tree.snapshot()
    with pytest.raises(IllegalChange, match=f"ticket {ticket.ticket}"):
        one_arm.tree.tell(ticket.ticket, outcome)
    assert one_arm.tree.snapshot() == before


def test_a_propose_ticket_takes_proposals_or_a_cancellation() -> None:
    logged = new_tree()
    (ticket,) = logged.ask()
    with pytest.raises(IllegalChange, match="Propose"):
        logged.tree.tell(ticket.ticket, Failed("compile"))
    logged.tell(ticket, Cancelled("shutting down"))
    assert isinstance(logged.ask()[0], Propose)


def test_cancelling_restores_all_counts_and_keeps_the_arm() -> None:
    logged = new_tree()
    logged.propose(*actions([0.5, 0.4, 0.3]))
    logged.write(Failed("compile"))
    before = [(view.id, view.own, view.subtree, view.status) for view in logged.tree.nodes()]
    flying = logged.ask(5)
    opened = len(logged.tree) - len(before)
    assert opened > 0
    for ticket in flying:
        logged.tell(ticket, Cancelled("budget"))
    after = [(view.id, view.own, view.subtree, view.status) for view in logged.tree.nodes()]
    assert after[: len(before)] == before
    assert len(after) == len(before) + opened
    assert all(view.subtree.in_flight == 0 for view in logged.tree.nodes())
    assert _attempts(logged.ask(5)) == _attempts(flying)


def _attempts(tickets: tuple[Ticket, ...]) -> dict[NodeId, int]:
    return {ticket.node: ticket.attempt for ticket in tickets if isinstance(ticket, Write)}


def test_known_plans_are_refused_wherever_they_stand() -> None:
    logged = new_tree()
    tile, fuse = action("tile", gain=0.9), action("fuse", gain=0.1)
    logged.propose(tile, tile, fuse)
    assert [refusal.standing for refusal in logged.tree.refused(ROOT)] == [ROOT]
    logged.write(Measured(0.3), node=A)
    logged.propose(tile, fuse, node=A)
    (own_step,) = logged.tree.refused(A)
    assert own_step.action == tile
    assert "already" in own_step.reason
    known = logged.tree.known_plans()
    assert frozenset({fuse.key, tile.key}) in known
    assert set(known) == {frozenset(), frozenset({tile.key}), frozenset({fuse.key}), frozenset({fuse.key, tile.key})}
    assert len(known) == len(set(known))
    assert frozenset({"tile"}) not in known


def test_the_other_order_of_two_steps_is_the_same_plan() -> None:
    logged = new_tree(MeanPuct())
    tile, fuse = action("tile", gain=0.9), action("fuse", gain=0.1)
    logged.propose(tile, fuse)
    flying = {ticket.node: ticket for ticket in logged.ask(2)}
    for ticket in flying.values():
        logged.tell(ticket, Measured(0.2))
    asked = [ticket for ticket in logged.ask(3) if isinstance(ticket, Propose) and ticket.node != ROOT]
    below_tile, below_fuse = sorted(asked, key=lambda ticket: ticket.node)
    logged.tell(below_tile, Proposed((fuse,)))
    logged.tell(below_fuse, Proposed((tile,)))
    (refusal,) = logged.tree.refused(below_fuse.node)
    assert "queued" in refusal.reason
    assert refusal.standing == below_tile.node


SENSELESS = [
    *[action(gain=gain) for gain in (math.nan, math.inf, 1e9)],
    *[action(p=p) for p in (1.5, -0.1, math.nan)],
    *[replace(action(), gain_sd=sd) for sd in (math.nan, -1.0)],
    action(second_parent=NodeId(7)),
]


@pytest.mark.parametrize("poor", SENSELESS)
def test_senseless_proposals_are_refused_with_a_reason(poor: Action) -> None:
    logged = new_tree()
    logged.propose(poor)
    assert logged.tree.node(ROOT).queued == ()
    (refusal,) = logged.tree.refused(ROOT)
    assert refusal.reason


def test_any_text_makes_a_key() -> None:
    logged = new_tree()
    logged.propose(action("tile\ud800"), action("größer"))
    assert len(logged.tree.node(ROOT).queued) == 2


def test_three_fruitless_answers_in_a_row_close_the_widening() -> None:
    logged = new_tree()
    for _ in range(2):
        logged.propose()
    logged.propose(action())
    for _ in range(3):
        logged.write(Failed("compile"))
    for _ in range(3):
        assert not logged.tree.exhausted
        logged.propose(action())
    assert logged.tree.exhausted
    assert logged.ask(4) == ()


def test_plans_stop_at_the_depth_cap() -> None:
    logged = Logged(Tree(0.0, 0.01, policy_named("puct"), Constants(max_depth=3)))
    for step in range(60):
        asked = logged.ask()
        if not asked:
            break
        outcome = Proposed((action(parameter=str(step)),)) if isinstance(asked[0], Propose) and step < 20 else Proposed(())
        logged.tell(asked[0], outcome if isinstance(asked[0], Propose) else Measured(0.1 * step))
    assert max(view.depth for view in logged.tree.nodes()) == 3
    assert logged.tree.exhausted


def test_a_damaged_log_is_refused_and_leaves_no_trace(one_arm: Logged) -> None:
    (ticket,) = one_arm.ask()
    assert isinstance(ticket, Write)
    before = one_arm.tree.snapshot()
    damaged: list[Change] = [
        ArmOpened(NodeId(7), ROOT, action("new")),
        ArmOpened(NodeId(2), ROOT, action("new")),
        Issued(ticket),
        Issued(Propose(TicketId(5), ROOT, (), 4)),
        Settled(TicketId(9), Measured(1.0)),
        Settled(TicketId(0), Proposed(())),
    ]
    for change in damaged:
        with pytest.raises(IllegalChange):
            one_arm.tree.apply(change)
    with pytest.raises(UnknownNode, match="nodes 0 to 1"):
        one_arm.tree.apply(Issued(Propose(TicketId(2), NodeId(44), (), 4)))
    assert one_arm.tree.snapshot() == before


@pytest.mark.parametrize(("root", "sigma"), [(math.nan, 0.1), (math.inf, 0.1), (0.0, -0.1), (0.0, math.nan)])
def test_a_tree_needs_a_measured_root_and_a_noise(root: float, sigma: float) -> None:
    with pytest.raises(ValueError, match=r"root's reward|sigma_noise"):
        new_tree(root=root, sigma=sigma)


def test_asking_for_less_than_nothing_is_an_error(one_arm: Logged) -> None:
    assert one_arm.ask(0) == ()
    with pytest.raises(ValueError, match="-1"):
        one_arm.ask(-1)


def test_no_more_planners_are_asked_than_allowed() -> None:
    """Until one answers, a step that would ask another waits; with the ideas there, writing goes on."""
    logged = new_tree()
    logged.propose(*actions((0.5, 0.4, 0.3)))
    for node in (1, 2, 3):
        logged.write(Measured(0.1 * node), node=NodeId(node))
    chance, tree = random.Random(0), logged.tree
    asking = [ticket for ticket in tree.open_tickets() if isinstance(ticket, Propose)]
    more = tree.ask(4, chance, most_asking=len(asking) + 1)
    assert [type(ticket) for ticket in more.tickets] == [Propose]
    assert tree.ask(4, chance, most_asking=len(asking) + 1).tickets == ()
    assert not tree.exhausted
    tree.tell(more.tickets[0].ticket, Proposed(actions((0.2, 0.1), technique="new")))
    assert any(isinstance(ticket, Write) for ticket in tree.ask(2, chance, most_asking=len(asking) + 1).tickets)
