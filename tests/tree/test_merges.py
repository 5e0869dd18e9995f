"""Merges in the tree: one plan with their parts, and what they teach of them."""

from __future__ import annotations

import pytest

from ksearch.tree.outlook import expected_of, pair_chance
from ksearch.tree.types import ROOT, Failed, Measured, Propose, Proposed, plan_key
from tests.tree.worlds import Logged, action, merge, new_tree

A, B, C = (action(name, gain=0.3, p=0.9) for name in "abc")


def with_offers(*offers: object) -> Logged:
    logged = new_tree()
    logged.propose(*offers, node=ROOT)  # type: ignore[arg-type]
    return logged


def test_a_merge_is_the_plan_of_its_parts() -> None:
    logged = with_offers(A, merge(A, B))
    assert plan_key((merge(A, B),)) == plan_key((A, B)) == plan_key((B, A))
    assert plan_key((A, B)) in logged.tree.known_plans()
    while (ticket := logged.ask()[0]).plan != (A,):
        logged.tell(ticket, Proposed(()) if isinstance(ticket, Propose) else Measured(0.1))
    logged.tell(ticket, Measured(0.9))
    logged.propose(B)
    assert [refused.action for refused in logged.tree.refused(ticket.node)] == [B]


def test_a_step_that_the_plan_has_is_not_merged_again() -> None:
    logged = with_offers(merge(A, B))
    logged.write(Measured(0.5))
    logged.propose(merge(B, C), A, C)
    assert {refused.action.key for refused in logged.tree.refused(logged.tree.children(ROOT)[0])} == {merge(B, C).key, A.key}


def test_a_ban_of_a_part_bans_the_merge() -> None:
    from ksearch.tree.types import Banned

    logged = with_offers(merge(A, B))
    logged.guide(Banned("b"))
    assert logged.tree.is_banned(merge(A, B))
    assert not logged.tree.node(ROOT).queued


def test_what_a_merge_brought_is_shared_by_its_parts() -> None:
    """By hand: m that minimises 2 (m - 0.09)^2 + (0.58 - 2 m)^2 for claims of 0.3 believed at 0.3."""
    logged = with_offers(merge(A, B))
    logged.write(Measured(0.58))
    state = logged.tree._state
    for step in (A, B):
        assert expected_of(state, step).gain == pytest.approx((0.09 + 0.58) / 3, abs=1e-4)
        assert expected_of(state, step).sd < 0.2
    assert expected_of(state, C).gain == pytest.approx(0.09)
    assert logged.tree.honesty == pytest.approx(0.3)


def test_a_merge_in_flight_narrows_what_another_try_of_its_parts_would_tell() -> None:
    logged = with_offers(merge(A, B))
    expected = expected_of(logged.tree._state, A)
    (ticket,) = logged.ask()
    state = logged.tree._state
    assert expected_of(state, A).sd == pytest.approx(expected.sd / 2**0.5)
    assert expected_of(state, C).sd == pytest.approx(expected_of(state, merge(C)).sd)
    logged.tell(ticket, Failed("compile"))
    assert set(state.outlook.flying.values()) == {0}


def test_a_merge_that_failed_is_blamed_on_the_likeliest() -> None:
    sure, doubtful = action("sure", p=0.99), action("doubtful", p=0.3)
    logged = with_offers(merge(sure, doubtful))
    before = pair_chance(logged.tree._state)
    logged.write(Failed("compile"))
    state = logged.tree._state
    assert expected_of(state, sure).success == pytest.approx(0.99, abs=0.01)
    assert expected_of(state, doubtful).success < 0.22
    assert pair_chance(state) < before
