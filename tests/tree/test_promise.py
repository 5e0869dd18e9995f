"""The default policy: what it believes of a step, what it expects of a choice, and what it does with both."""

from __future__ import annotations

import math
import random
import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ksearch.tree import DEFAULTS, Puct, Tree
from ksearch.tree.credit import Credit, log_expected_improvement, narrowed, prospect
from ksearch.tree.promise import Hopes, choices
from ksearch.tree.statistics import to_units
from ksearch.tree.types import ROOT, Measured, Outcome, Propose, Proposed, Ticket, Write
from tests.tree.worlds import Landscape, action, drive, new_tree


def learnt(*gains: float, failed: int = 0, flying: int = 0) -> Credit:
    credit = Credit()
    for gain in gains:
        credit.add(to_units(gain))
    credit.failed, credit.flying = failed, flying
    return credit


def test_a_step_without_results_is_its_discounted_claim() -> None:
    claim = prospect(action(gain=0.5, p=0.7), None, 0.3, DEFAULTS)
    assert (claim.success, claim.sd) == (0.7, 0.2)
    assert claim.gain == pytest.approx(0.15)


def test_one_result_weighs_as_much_as_the_claim() -> None:
    """By hand: mean (0.15 + 0.45) / 2; scale 0.04 / 2 + (0.3)^2 / 4; variance scale / 1.5 * 3 / 2."""
    moved = prospect(action(gain=0.5, p=0.5), learnt(0.45), 0.3, DEFAULTS)
    assert moved.gain == pytest.approx(0.3)
    assert moved.success == pytest.approx((2 * 0.5 + 1) / 3)
    assert moved.sd == pytest.approx(math.sqrt((0.02 + 0.0225) / 1.5 * 1.5))


def test_results_of_other_parameters_move_the_prior_alone() -> None:
    """By hand: prior (0.15 + 0.6) / 2 from one result of a sibling; the spread stays the claim's."""
    kin = learnt(0.6)
    moved = prospect(action(gain=0.5, p=0.5), None, 0.3, DEFAULTS, kin)
    assert (moved.gain, moved.sd, moved.success) == (pytest.approx(0.375), 0.2, 0.5)
    own = learnt(0.6)
    assert prospect(action(gain=0.5), own, 0.3, DEFAULTS, kin) == prospect(action(gain=0.5), own, 0.3, DEFAULTS)


def test_results_narrow_and_attempts_in_flight_count_as_some() -> None:
    few, many = (prospect(action(), learnt(*[0.2] * n), 0.3, DEFAULTS).sd for n in (2, 20))
    assert many < few
    alone = prospect(action(), learnt(flying=3), 0.3, DEFAULTS)
    assert narrowed(alone, 3).sd == pytest.approx(0.1)


@given(st.lists(st.floats(-2, 2), max_size=12), st.integers(0, 5), st.randoms())
def test_what_is_believed_does_not_depend_on_order(gains: list[float], failed: int, rng: random.Random) -> None:
    shuffled = gains.copy()
    rng.shuffle(shuffled)
    believed = prospect(action(), learnt(*gains, failed=failed), 0.4, DEFAULTS)
    assert believed == prospect(action(), learnt(*shuffled, failed=failed), 0.4, DEFAULTS)
    assert 0.0 < believed.success < 1.0
    assert believed.sd > 0.0


@pytest.mark.parametrize(("mean", "sd"), [(0.3, 0.2), (-0.5, 0.3), (0.0, 1.0), (-0.5, 0.2)])
def test_expected_improvement_is_the_integral(mean: float, sd: float) -> None:
    """Against a midpoint rule over 12 standard deviations."""
    steps = 40_000
    width = 12 * sd / steps
    normal = statistics.NormalDist(mean, sd)
    points = (mean - 6 * sd + (place + 0.5) * width for place in range(steps))
    integral = sum(max(0.0, x - 0.0) * normal.pdf(x) * width for x in points)
    assert math.exp(log_expected_improvement(mean, sd, 0.0)) == pytest.approx(integral, rel=2e-3)


@given(st.floats(-60, 5), st.floats(1e-3, 2.0))
def test_expected_improvement_ranks_whatever_is_far_below(z: float, sd: float) -> None:
    here, better = (log_expected_improvement(mean * sd, sd, 0.0) for mean in (z, z + 0.01))
    assert math.isfinite(here)
    assert here < better


def test_nothing_is_expected_of_certain_losses() -> None:
    assert log_expected_improvement(-0.1, 0.0, 0.0) == -math.inf
    assert log_expected_improvement(0.1, 0.0, 0.0) == pytest.approx(math.log(0.1))


def test_a_step_that_lost_elsewhere_is_passed_over() -> None:
    """Claimed almost alike; `bad` cost 0.4 at the root, so below `good` the unknown step goes first."""
    logged = new_tree(Puct())
    bad, good, new = (action(name, gain=gain, p=0.9) for name, gain in (("bad", 0.32), ("good", 0.31), ("new", 0.3)))
    rewards = {"bad": -0.4, "good": 0.3, "new": 0.1}
    tried = []

    def answer(tree: Tree, ticket: Ticket) -> Outcome:
        if isinstance(ticket, Propose):
            return Proposed({(): (bad, good), (good,): (bad, new)}.get(ticket.plan, ()))
        tried.append(ticket.plan)
        return Measured(sum(rewards[step.technique] for step in ticket.plan))

    for _ in drive(logged, answer, writes=3):
        pass
    assert tried == [(bad,), (good,), (good, new)]


def test_a_losing_branch_is_followed_when_what_it_enables_is_unknown() -> None:
    """A detour of 0.3 below the root, with steps of wide claims beyond it, against steps at the root known to give nothing."""
    logged = new_tree(Puct(), root=0.0)
    useless = [action("useless", str(place), gain=0.0, p=0.9) for place in range(12)]
    loses = action("rewrite", gain=-0.3, p=0.9)
    tried: list[str] = []

    def answer(tree: Tree, ticket: Ticket) -> Outcome:
        if isinstance(ticket, Propose):
            beyond = [action("enabled", str(place), gain=0.2, p=0.9) for place in range(2)]
            return Proposed(tuple([loses, *useless] if ticket.node == ROOT else beyond if ticket.plan[:1] == (loses,) else ()))
        names = [step.technique for step in ticket.plan]
        tried.append(names[-1])
        return Measured(-0.3 * ("rewrite" in names) + 0.4 * names.count("enabled"))

    for _ in drive(logged, answer, writes=40):
        pass
    assert "enabled" in tried
    assert logged.tree.incumbent_reward == pytest.approx(0.5)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 200), st.sampled_from([1, 4, 16]))
def test_the_frontier_holds_exactly_what_is_legal(seed: int, width: int) -> None:
    """The index that choices are read from, against a walk of the whole tree, at every step of a search."""
    logged, landscape = new_tree(Puct()), Landscape(seed, size=5)
    state = logged.tree._state
    for _ in drive(logged, landscape.answer, writes=25, width=width):
        front = state.frontier
        queued = {(node.id, step.key) for node in state.nodes for step in node.queue}
        held = [*front.untried.values(), *front.tried.values()]
        assert {(offer.node.id, offer.action.key) for offers in held for offer in offers} == queued
        assert sorted(offer.rank for offer in front.fresh) == [offer.rank for offer in front.fresh]
        assert {offer.step for offer in front.fresh} == set(front.untried)
        assert not set(front.untried) & set(state.credits)
        assert {id for _, id, _ in front.waiting} == {node.id for node in state.nodes if state.can_write(node)}
        assert {id for _, id, _ in front.hungry} == {node.id for node in state.nodes if state.can_propose(node)}
        assert sum(credit.flying for credit in state.credits.values()) == state.root.in_flight
        assert sum(credit.passed for credit in state.credits.values()) == sum(node.proven for node in state.nodes) - 1


def test_every_choice_on_the_way_down_was_the_best() -> None:
    logged, landscape = new_tree(Puct()), Landscape(3)
    checked = 0
    for ticket in drive(logged, landscape.answer, writes=60, width=3):
        state = logged.tree._state
        if not state.root.selectable or not isinstance(ticket, Write):
            continue
        hopes = Hopes.of(state)
        for at in (node for node in state.nodes if node.id in hopes.below):
            options = choices(state, hopes, at)
            assert max(option.promise for option in options) == 1.0
            assert all(0.0 <= option.promise <= 1.0 and option.exploration > 0.0 for option in options)
            explained = [logged.tree.explain(option.arm.id) for option in options if option.arm is not None]
            assert [row.total for row in explained] == [option.total for option in options if option.arm is not None]
            checked += len(options)
    assert checked > 100


def test_an_endless_planner_is_not_asked_for_ever() -> None:
    """Ideas widen with visits: a search that is offered more whenever it asks asks about once for each plan, not for ever."""
    logged = new_tree(Puct())
    kinds: list[type] = []
    rng = random.Random(1)

    def answer(tree: Tree, ticket: Ticket) -> Outcome:
        kinds.append(type(ticket))
        if isinstance(ticket, Propose):
            return Proposed(tuple(action("idea", f"{len(kinds)} {place}", gain=rng.uniform(0, 0.8)) for place in range(ticket.count)))
        return Measured(0.1 * len(ticket.plan) + rng.gauss(0.0, 0.1))

    for _ in drive(logged, answer, writes=100):
        pass
    assert kinds.count(Propose) <= 150


def test_the_reason_names_the_figures() -> None:
    logged = new_tree(Puct(), root=0.2)
    logged.propose(action(gain=0.5, p=0.9))
    logged.ask()
    why = logged.log[-1].why  # type: ignore[union-attr]
    assert "node 0 is +0.000 from it, the step gains +0.150 +- 0.200 and passes with 0.90" in why
    assert "\n" not in why
