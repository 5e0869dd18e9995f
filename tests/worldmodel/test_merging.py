"""Merges: which steps the playbook's planner takes at once, and that they are the same plan as their parts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ksearch.tree import StepOutlook
from ksearch.tree.types import NodeId, Plan
from ksearch.worldmodel.catalogue import Catalogue, Technique
from ksearch.worldmodel.merging import MOST_MERGES, MOST_UNTRIED, merges
from ksearch.worldmodel.playbook import PlaybookPlanner
from ksearch.worldmodel.types import ProposeRequest


def technique(name: str, gain: float = 0.2, value: int = 1, needs: dict[str, tuple[int, ...]] | None = None) -> Technique:
    entry = name.rstrip("'")
    return Technique(
        id=entry, target="code", parameter=str(value), sets={entry: value}, needs={entry: (0,), **(needs or {})}, intent=f"set {name}",
        rationale="", gain_mean=gain, gain_sd=0.1, p_success=0.9, difficulty=1,
    )  # fmt: skip


def space(*techniques: Technique) -> Catalogue:
    return Catalogue("space", {one.id: 0 for one in techniques}, techniques)


def measured(one: Technique, gain: float, sd: float = 0.05) -> StepOutlook:
    return StepOutlook(one.action(), gain, sd, p_success=0.9, measured=1)


def asked(*outlooks: StepOutlook, plan: Plan = ()) -> ProposeRequest:
    return ProposeRequest(NodeId(0), plan, 8, known_plans=frozenset(), outlooks=outlooks)


def test_what_gained_is_taken_at_once_and_what_lost_is_not() -> None:
    a, b, c = (technique(name) for name in "abc")
    first, *_ = merges(space(a, b, c), asked(measured(a, 0.3), measured(b, 0.2), measured(c, -0.1)))
    assert set(first.steps) == {a.key, b.key}
    assert first.gain_mean == pytest.approx(0.5)
    assert first.p_success == pytest.approx(0.81)


def test_of_two_that_exclude_each_other_the_better_goes_first_and_the_other_is_offered_too() -> None:
    good, bad, other = technique("a", value=1), technique("a", value=2), technique("b")
    offered = merges(space(good, bad, other), asked(measured(good, 0.4), measured(bad, 0.3, sd=0.05), measured(other, 0.3)))
    assert [set(action.steps) for action in offered] == [{good.key, other.key}, {bad.key, other.key}]


def test_a_chain_is_merged_in_the_order_of_its_needs() -> None:
    first, second = technique("first", 0.1), technique("second", 0.4, needs={"first": (1,)})
    catalogue = space(first, second)
    (chain,) = merges(catalogue, asked(measured(first, 0.1), measured(second, 0.4)))
    assert chain.steps == (first.key, second.key)
    assert dict(catalogue.config((chain,))) == {"first": 1, "second": 1}


def test_a_step_that_loses_is_merged_with_what_it_enables() -> None:
    first, second = technique("first", -0.3), technique("second", 0.4, needs={"first": (1,)})
    (detour,) = merges(space(first, second), asked(measured(second, 0.4), measured(first, -0.3)))
    assert detour.steps == (first.key, second.key)
    assert detour.gain_mean == pytest.approx(0.1)


def test_claims_join_in_small_numbers() -> None:
    claims = [technique(f"c{place}") for place in range(MOST_UNTRIED + 3)]
    known = technique("known")
    offered = merges(space(known, *claims), asked(measured(known, 0.3)))
    assert len(offered) == MOST_MERGES
    assert max(len(action.parts) for action in offered) == 1 + MOST_UNTRIED


def test_nothing_known_is_offered_again() -> None:
    a, b = technique("a"), technique("b")
    request = asked(measured(a, 0.3), measured(b, 0.2))
    assert merges(space(a, b), request)
    assert not merges(space(a, b), replace(request, known_plans=frozenset({frozenset({a.key, b.key})})))
    assert not merges(space(a, b), replace(request, known_outcomes=frozenset({"a=1 b=1"})))


@pytest.mark.parametrize("idea", ["merge", "a", "a|code|1"])
def test_what_the_user_banned_is_not_merged(idea: str) -> None:
    a, b = technique("a"), technique("b")
    assert not merges(space(a, b), replace(asked(measured(a, 0.3), measured(b, 0.2)), banned=frozenset({idea})))


def test_merging_can_be_turned_off() -> None:
    a, b = technique("a"), technique("b")
    planner, request = PlaybookPlanner(space(a, b)), asked(measured(a, 0.3), measured(b, 0.2))
    with_merges, without = (planner.propose(replace(request, may_merge=allowed)) for allowed in (True, False))
    assert {proposal.action.technique for proposal in with_merges} == {"merge", "a", "b"}
    assert {proposal.action.technique for proposal in without} == {"a", "b"}
