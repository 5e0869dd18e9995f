"""What must not matter: the order of settling, the origin and the unit of rewards, and which of several equal arms comes first."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ksearch.tree import DEFAULTS, MeanPuct, Tree, policy_named
from ksearch.tree.types import (
    ROOT,
    Action,
    Asked,
    Cancelled,
    Failed,
    Issued,
    Measured,
    Outcome,
    Part,
    Propose,
    Proposed,
    Skipped,
    Ticket,
    Write,
)
from tests.tree.worlds import Landscape, Logged, action, actions, drive, new_tree

Step = TypeVar("Step", Action, Part)
GRID = 2.0**-20
"""Rewards and claims on a dyadic grid, so that shifting and scaling them is exact in floating point."""


def on_grid(value: float) -> float:
    return round(value / GRID) * GRID


def grown(seed: int, writes: int) -> Logged:
    landscape, logged = Landscape(seed), new_tree()
    for _ in drive(logged, landscape.answer, writes, width=4):
        pass
    for ticket in logged.tree.open_tickets():
        logged.tell(ticket, landscape.answer(logged.tree, ticket))
    return logged


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 20),
    st.integers(0, 30),
    st.lists(st.sampled_from([*map(Measured, (0.1, 0.7, 1 / 3, -0.9)), Failed("x"), Skipped("x"), Cancelled("x")]), min_size=8, max_size=8),
    st.randoms(),
)
def test_the_order_of_settling(seed: int, writes: int, results: list[Outcome], order: random.Random) -> None:
    logged = grown(seed, writes)
    twin = Tree(0.0, 0.01, logged.tree.policy)
    for change in logged.log:
        twin.apply(change)
    flying = [ticket for ticket in logged.ask(8) if isinstance(ticket, Write)]
    twin.ask(8, random.Random(0))
    told = [(ticket.ticket, result) for ticket, result in zip(flying, results, strict=False)]
    for id, outcome in told:
        logged.tree.tell(id, outcome)
    order.shuffle(told)
    for id, outcome in told:
        twin.tell(id, outcome)
    assert twin.snapshot() == logged.tree.snapshot()
    assert list(twin.nodes()) == list(logged.tree.nodes())
    assert twin.ask(4, random.Random(0)) == logged.tree.ask(4, random.Random(0))


def decisions(policy: str, seed: int, shift: float = 0.0, unit: float = 1.0, writes: int = 80) -> list[Asked]:
    """Everything a search on a landscape decides, with its rewards shifted and measured in another unit of log speed-up."""
    landscape = Landscape(seed)
    constants = replace(
        DEFAULTS,
        failure_cost=DEFAULTS.failure_cost * unit,
        temperature=DEFAULTS.temperature * unit,
        least_span=DEFAULTS.least_span * unit,
        most_span=DEFAULTS.most_span * unit,
        honesty_weight=DEFAULTS.honesty_weight * unit**2,
        unknown_gain=DEFAULTS.unknown_gain * unit,
    )
    logged = new_tree(policy_named(policy), root=shift, sigma=0.01 * unit, constants=constants)
    asked, settled, rng = [], 0, random.Random(5)
    while settled < writes and (logged.tree.open_tickets() or not logged.tree.exhausted):
        asked.append(logged.tree.ask(4 - len(logged.tree.open_tickets()), rng))
        ticket = logged.tree.open_tickets()[0]
        logged.tell(ticket, transformed(landscape.answer(logged.tree, ticket), shift, unit))
        settled += isinstance(ticket, Write)
    return asked


def transformed(outcome: Outcome, shift: float, unit: float) -> Outcome:
    if isinstance(outcome, Measured):
        return Measured(on_grid(outcome.reward) * unit + shift)
    if isinstance(outcome, Proposed):
        return Proposed(tuple(
            replace(scaled(offer, unit), parts=tuple(scaled(part, unit) for part in offer.parts)) for offer in outcome.actions
        ))  # fmt: skip
    return outcome


def scaled(step: Step, unit: float) -> Step:
    return replace(step, gain_mean=on_grid(step.gain_mean) * unit, gain_sd=step.gain_sd * unit)


tree_searches = pytest.mark.parametrize("policy", ["puct", "puct-mean"])


@tree_searches
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("shift", [-3.5, 0.25, 12.0])
def test_the_origin_of_rewards(policy: str, seed: int, shift: float) -> None:
    assert decisions(policy, seed, shift=shift) == decisions(policy, seed)


@tree_searches
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("unit", [0.25, 8.0])
def test_the_unit_of_rewards(policy: str, seed: int, unit: float) -> None:
    assert [summary(asked) for asked in decisions(policy, seed, unit=unit)] == [summary(asked) for asked in decisions(policy, seed)]


def summary(asked: Asked) -> list[tuple[int, bool]]:
    """Where each ticket went, without the claims that carry the unit."""
    issued = [change for change in asked.changes if isinstance(change, Issued)]
    return [(change.ticket.node, isinstance(change.ticket, Write)) for change in issued]


def stocked(ticket: Ticket) -> Outcome:
    if isinstance(ticket, Write):
        return Measured(0.5)
    offered = [action("step", f"{ticket.node} {place}", gain=0.5) for place in range(60)]
    return Proposed(() if ticket.node == ROOT else tuple(offered))


@pytest.mark.parametrize("arms", [2, 3, 5])
def test_equal_arms_share_the_tickets_in_flight(arms: int) -> None:
    logged = new_tree()
    logged.propose(*actions([0.5] * arms, technique="arm"))
    flying = [ticket for ticket in logged.ask(arms + 1) if isinstance(ticket, Write)]
    assert len(flying) == arms
    for ticket in flying:
        logged.tell(ticket, Measured(0.5))
    stock(logged, arms)
    start = [view.subtree.in_flight for view in logged.tree.nodes() if view.parent == ROOT]
    assert start == [0] * arms
    for _ in range(9 * arms):
        logged.ask(1)
        shares = [view.subtree.in_flight for view in logged.tree.nodes() if view.parent == ROOT]
        assert max(shares) - min(shares) <= 1
    assert sum(shares) >= 8 * arms


@pytest.mark.parametrize("arms", [2, 5, 12])
def test_equal_arms_are_tried_equally_often(arms: int) -> None:
    logged = new_tree()
    logged.propose(*actions([0.5] * arms, technique="arm"))
    for ticket in [ticket for ticket in logged.ask(arms + 1) if isinstance(ticket, Write)]:
        logged.tell(ticket, Cancelled("only to open the arm"))
    for _ in range(DEFAULTS.attempts * arms):
        logged.write(Failed("compile"))
        failed = [logged.tree.node(arm).own.failed for arm in logged.tree.children(ROOT)]
        assert max(failed) - min(failed) <= 1
    assert failed == [DEFAULTS.attempts] * arms


def stock(logged: Logged, arms: int) -> None:
    """Give every arm a long queue of equal proposals, by way of the tickets that ask for them."""
    flying: list[Ticket] = []
    while len([ticket for ticket in flying if isinstance(ticket, Propose) and ticket.node != ROOT]) < arms:
        (ticket,) = logged.ask(1)
        assert isinstance(ticket, Propose)
        flying.append(ticket)
    for ticket in flying:
        if ticket.node != ROOT:
            logged.tell(ticket, stocked(ticket))


def test_skips_are_passed_over_but_never_believed() -> None:
    """Skipped attempts move neither N, F, S nor M, and make their arm less often drawn."""
    logged = new_tree(MeanPuct())
    logged.propose(*actions([0.5, 0.5], technique="arm"))
    before = logged.tree.node(ROOT).subtree
    first = logged.write(Skipped("hopeless"))
    after = logged.tree.node(ROOT).subtree
    assert after == replace(before, skipped=1)
    skipped = logged.tree.explain(first.node)
    assert skipped.exploration == pytest.approx(0.5 * skipped.prior * 1.0 / 2)
