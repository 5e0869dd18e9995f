"""The formulas: against numbers worked by hand, and their bounds."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksearch.tree.constants import DEFAULTS
from ksearch.tree.statistics import (
    Honesty,
    Scale,
    blended_value,
    credible,
    exploration_factor,
    from_units,
    mean_value,
    normalised,
    prior_value,
    priors,
    to_units,
    widening_limit,
    with_virtual_loss,
)

nats = st.floats(-5.0, 5.0)


def test_values_worked_by_hand() -> None:
    assert prior_value(1.0, 0.3, 0.5) == pytest.approx(1.15)
    assert mean_value(1.15, 2.7, 3, 1, 1.0, DEFAULTS) == pytest.approx((1.15 + 2.7 + 0.9) / 4)
    assert blended_value(1.0, 2.0, DEFAULTS) == pytest.approx(0.6 * 2.0 + 0.4 * 1.0)
    assert blended_value(1.0, None, DEFAULTS) == 1.0
    assert with_virtual_loss(0.8, 3, 4, DEFAULTS) == pytest.approx(0.8 * 4 / 8)
    assert exploration_factor(4, 9, DEFAULTS) == pytest.approx(0.5 * 2 * 3)
    assert exploration_factor(1, 0, DEFAULTS) == pytest.approx(0.5)
    assert [widening_limit(n, 0, DEFAULTS) for n in (0, 1, 2, 4, 5, 9, 10)] == [1, 1, 2, 2, 3, 3, 4]


def test_prior_is_a_floored_softmax() -> None:
    shares = priors([0.5, 0.0], 0.5, DEFAULTS)
    assert shares[0] == pytest.approx(0.9 * math.e / (math.e + 1.0) + 0.05)


@given(st.lists(nats, min_size=1, max_size=20), st.floats(0.0, 1.0))
def test_priors_sum_to_one_and_starve_nobody(gains: list[float], honesty: float) -> None:
    shares = priors(gains, honesty, DEFAULTS)
    assert math.fsum(shares) == pytest.approx(1.0)
    assert min(shares) >= DEFAULTS.prior_floor / len(gains)
    ranked = [share for _, share in sorted(zip(gains, shares, strict=True))]
    assert ranked == sorted(shares)


@given(nats, st.lists(nats, max_size=8), st.integers(0, 8), nats)
def test_values_lie_in_the_hull_of_their_terms(prior: float, rewards: list[float], failed: int, parent: float) -> None:
    mean = mean_value(prior, math.fsum(rewards), len(rewards) + failed, failed, parent, DEFAULTS)
    terms = [prior, *rewards, *[parent - DEFAULTS.failure_cost] * bool(failed)]
    assert min(terms) - 1e-9 <= mean <= max(terms) + 1e-9
    best = max(rewards, default=None)
    value = blended_value(mean, best, DEFAULTS)
    assert min(terms) - 1e-9 <= value <= max(terms) + 1e-9


@given(nats, nats, st.floats(0.1, 2.0))
def test_normalised_is_clipped(value: float, low: float, span: float) -> None:
    assert 0.0 <= normalised(value, low, span) <= 1.0


@given(st.lists(nats, max_size=60))
def test_scale_is_the_nearest_rank_decile_in_any_order(rewards: list[float]) -> None:
    scale, backwards = Scale(), Scale()
    for reward in rewards:
        scale.add(reward)
    for reward in reversed(rewards):
        backwards.add(reward)
    everything = sorted([0.0, *rewards])
    decile = everything[math.ceil(len(everything) / 10) - 1]
    low = max(min(0.0, decile), everything[-1] - 1.5)
    assert scale.bounds(0.0, DEFAULTS) == backwards.bounds(0.0, DEFAULTS) == (low, max(everything[-1] - low, 0.1))
    assert scale.rewards() == everything


def test_span_has_a_floor_of_noise() -> None:
    assert Scale().bounds(0.01, DEFAULTS) == (0.0, 0.1)
    assert Scale().bounds(0.2, DEFAULTS) == (0.0, 0.8)


def test_honesty_starts_doubtful_and_learns() -> None:
    honesty = Honesty()
    assert honesty.value(DEFAULTS) == pytest.approx(0.3)
    honesty.add(0.8, to_units(0.4))
    assert honesty.value(DEFAULTS) == pytest.approx((0.8 * 0.4 + 0.3) / (0.64 + 1.0))
    honesty.add(2.0, to_units(-9.0))
    assert honesty.value(DEFAULTS) == 0.0


@given(st.lists(nats, max_size=30), st.randoms())
def test_sums_do_not_depend_on_order(rewards: list[float], rng: object) -> None:
    shuffled = rewards.copy()
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    assert sum(to_units(reward) for reward in rewards) == sum(to_units(reward) for reward in shuffled)
    assert from_units(sum(to_units(reward) for reward in rewards)) == pytest.approx(math.fsum(rewards), abs=1e-10)


def test_absurd_numbers_are_no_rewards() -> None:
    assert credible(-7.0)
    assert not any(credible(value) for value in (math.nan, math.inf, -math.inf, 1e9))
