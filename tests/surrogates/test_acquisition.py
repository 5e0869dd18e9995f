"""Decisions from forecasts: their order, their limits, and that far from the incumbent nothing is lost to rounding."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ksearch.surrogates.acquisition import (
    LOST,
    Waiting,
    audit_probability,
    candidates_for_each,
    chance_of_better,
    choose,
    drawn_as_audit,
    expected_improvement,
    expired,
    hopeless,
    kept_in_line,
    log_expected_improvement,
    room_in_line,
)
from ksearch.surrogates.quantities import LEAST_SIGMA, Estimate, estimate
from ksearch.surrogates.types import Forecast

rewards = st.floats(-5, 5)
sigmas = st.floats(LEAST_SIGMA, 2)
chances = st.floats(0.01, 1)


def waiting(candidate: int, one: Estimate | None, **changed: object) -> Waiting:
    fields: dict[str, object] = {
        "candidate": candidate, "estimate": one, "parent_reward": 0.0, "audit": False, "passed_over": 0, "seconds": 10.0
    }
    return Waiting(**{**fields, **changed})  # type: ignore[arg-type]


def mean_of(one: Waiting) -> float:
    assert one.estimate is not None
    return one.estimate.mu


@given(d50=st.floats(-2, 2), faster=st.floats(1e-6, 2), spread=st.floats(0, 1), parent=rewards, best=rewards, pi=chances)
def test_a_candidate_forecast_faster_never_ranks_below(
    d50: float, faster: float, spread: float, parent: float, best: float, pi: float
) -> None:
    """Same parent, same spread: through every conversion up to the choice."""
    slow, fast = (estimate(Forecast("x", pi, at - spread, at, at + spread), parent) for at in (d50, d50 - faster))
    line = [waiting(0, Estimate(pi, slow.mu, slow.sigma)), waiting(1, Estimate(pi, fast.mu, slow.sigma))]
    chosen = choose(line, best)
    assert chosen is not None
    assert chosen.candidate == 1


@given(mu=rewards, more=st.floats(1e-3, 1), sigma=sigmas, pi=chances, best=rewards)
def test_log_improvement_rises_with_the_mean_also_far_below_the_incumbent(
    mu: float, more: float, sigma: float, pi: float, best: float
) -> None:
    lower, higher = (log_expected_improvement(Estimate(pi, at, sigma), best) for at in (mu, mu + more))
    assert lower < higher


@pytest.mark.parametrize("z", [-5.0, -5.0 + 1e-9])
def test_both_ways_to_compute_improvement_meet(z: float) -> None:
    exact = math.log(5.346165533979e-08)  # phi(-5) - 5 Phi(-5), by 40-digit arithmetic
    assert log_expected_improvement(Estimate(1.0, z, 1.0), 0.0) == pytest.approx(exact, abs=1e-7)


@given(mu=rewards, sigma=sigmas, pi=chances, best=rewards)
def test_improvement_is_what_integration_gives(mu: float, sigma: float, pi: float, best: float) -> None:
    assume(abs(mu - best) < 4 * sigma)
    steps, low = 4000, mu - 10 * sigma
    width = 20 * sigma / steps
    density = [math.exp(-0.5 * ((low + i * width - mu) / sigma) ** 2) / (sigma * math.sqrt(2 * math.pi)) for i in range(steps)]
    integral = pi * width * sum(max(0.0, low + i * width - best) * p for i, p in enumerate(density))
    assert expected_improvement(Estimate(pi, mu, sigma), best) == pytest.approx(integral, rel=1e-3, abs=1e-9)


def test_a_certain_forecast_improves_by_its_distance_or_not_at_all() -> None:
    assert expected_improvement(Estimate(0.5, 1.0, 0.0), 0.2) == pytest.approx(0.4)
    assert expected_improvement(Estimate(0.5, 0.1, 0.0), 0.2) == 0.0


@given(pi=chances, mu=rewards, sigma=sigmas, than=rewards)
def test_the_chance_of_better_is_a_chance_and_at_most_that_of_passing(pi: float, mu: float, sigma: float, than: float) -> None:
    assert 0.0 <= chance_of_better(Estimate(pi, mu, sigma), than) <= pi


def test_a_budget_is_a_share_and_gives_candidates_for_each_measurement() -> None:
    assert [candidates_for_each(x) for x in (0.0, 0.5, 0.75, 0.9)] == [1.0, 2.0, 4.0, 6.0]
    with pytest.raises(ValueError, match="share"):
        candidates_for_each(1.0)


def test_audits_are_a_tenth_of_the_measurements_and_the_same_every_time() -> None:
    for m in (1.0, 4.0):
        drawn = [drawn_as_audit(3, candidate, m) for candidate in range(20_000)]
        assert sum(drawn) / len(drawn) == pytest.approx(audit_probability(m), rel=0.15)
        assert drawn == [drawn_as_audit(3, candidate, m) for candidate in range(20_000)]


@given(st.integers(1, 16), st.floats(1.01, 6), st.lists(st.tuples(rewards, st.integers(0, 3)), max_size=120))
def test_the_worst_of_those_passed_over_leave_and_there_is_room_for_the_next(
    workers: int, m: float, line: list[tuple[float, int]]
) -> None:
    those = [waiting(number, Estimate(0.9, mu, 0.1), passed_over=over) for number, (mu, over) in enumerate(line)]
    gone = expired(those, 0.0, m, workers)
    left = [one for one in those if one.passed_over and one not in gone]
    assert all(one.passed_over for one in gone)
    assert len(left) <= kept_in_line(m, workers) <= room_in_line(m, workers) - m * workers + 1
    if gone:
        assert len(left) == kept_in_line(m, workers)
        assert all(mean_of(one) <= mean_of(other) for one in gone for other in left)


@given(one=st.builds(Estimate, chances, rewards, sigmas), audit=st.booleans(), last=st.booleans(), over=st.integers(0, 100))
def test_audits_last_chances_and_the_unforecast_are_never_dropped(one: Estimate, audit: bool, last: bool, over: int) -> None:
    candidate = waiting(0, one, audit=audit, last_chance=last, passed_over=over, parent_reward=one.mu + LOST / 2)
    if audit or last:
        assert not hopeless(candidate)
        assert not expired([candidate] * 40, 0.0, 4.0, 2)
    unknown = waiting(1, None, passed_over=over)
    assert not hopeless(unknown)
    assert not expired([unknown] * 40, 0.0, 4.0, 2)


def test_only_a_sharp_forecast_drops_a_candidate_unseen() -> None:
    assert hopeless(waiting(0, Estimate(0.9, -1.0, 0.3), parent_reward=0.0))
    assert not hopeless(waiting(0, Estimate(0.9, -1.0, 0.4), parent_reward=0.0))
    assert not hopeless(waiting(0, Estimate(0.9, -0.3, 0.3), parent_reward=0.0))


def test_a_plans_last_candidate_is_dropped_only_when_it_loses_much() -> None:
    assert hopeless(waiting(0, Estimate(0.9, -0.8, 0.2), last_chance=True))
    assert not hopeless(waiting(0, Estimate(0.9, -0.45, 0.2), last_chance=True))


def test_an_audit_goes_first_and_cheap_measurements_before_dear_ones() -> None:
    good, poor = Estimate(0.9, 1.0, 0.2), Estimate(0.9, -1.0, 0.2)
    line = [waiting(0, good), waiting(1, poor, audit=True), waiting(2, good, seconds=5.0)]
    assert choose(line, 0.0) == line[1]
    assert choose([line[0], line[2]], 0.0) == line[2]
    assert choose([], 0.0) is None
