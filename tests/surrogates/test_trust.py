"""A forecaster earns trust on outcomes and loses it within a score of verdicts of a turn."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksearch.surrogates.quantities import NORMAL_REACH
from ksearch.surrogates.trust import LEAST_MEASURED, RECENT, Record, crps, spearman
from ksearch.surrogates.types import Forecast

Liar = Callable[[random.Random, float], tuple[float, float]]
"""From the true gain to the said gain and sigma."""


def honest(draw: random.Random, gain: float) -> tuple[float, float]:
    return gain + draw.gauss(0, 0.2), 0.2


def inverted(draw: random.Random, gain: float) -> tuple[float, float]:
    return -gain + draw.gauss(0, 0.2), 0.2


def constant(draw: random.Random, gain: float) -> tuple[float, float]:
    return 0.3, 0.2


def overconfident(draw: random.Random, gain: float) -> tuple[float, float]:
    return draw.gauss(0.5, 0.5), 0.02


LIARS = {"inverted": inverted, "constant": constant, "overconfident": overconfident}


def tell(record: Record, forecaster: Liar, draw: random.Random, count: int) -> None:
    for _ in range(count):
        gain = draw.gauss(0.1, 0.4)
        said, sigma = forecaster(draw, gain)
        forecast = Forecast("x", 0.85, -said - NORMAL_REACH * sigma, -said, -said + NORMAL_REACH * sigma)
        passed = draw.random() < 0.85
        record.learn(forecast, 1.0, passed, 1.0 + gain + draw.gauss(0, 0.02) if passed else None)


@pytest.mark.parametrize("seed", range(8))
def test_an_honest_forecaster_is_trusted_once_enough_is_known(seed: int) -> None:
    record, draw = Record(0.02), random.Random(seed)
    tell(record, honest, draw, LEAST_MEASURED - 1)
    assert not record.standing.trusted
    tell(record, honest, draw, 31)
    assert record.standing.trusted, record.standing.reason


@pytest.mark.parametrize("liar", LIARS)
@pytest.mark.parametrize("seed", range(5))
def test_one_that_lies_from_the_start_is_never_trusted(liar: str, seed: int) -> None:
    record, draw = Record(0.02), random.Random(seed)
    for _ in range(80):
        tell(record, LIARS[liar], draw, 1)
        assert not record.standing.trusted


@pytest.mark.parametrize("liar", LIARS)
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("before", [30, 120])
def test_one_that_turns_is_off_within_a_score_of_verdicts(liar: str, seed: int, before: int) -> None:
    record, draw = Record(0.02), random.Random(seed)
    tell(record, honest, draw, before)
    tell(record, LIARS[liar], draw, RECENT)
    assert not record.standing.trusted


def test_a_constant_has_no_order_however_the_gains_drift() -> None:
    """Gains that fall as a search goes on move the bias, and with it what is said, but not what the forecaster knows."""
    record, draw = Record(0.02), random.Random(1)
    for step in range(60):
        gain = 0.8 - 0.02 * step + draw.gauss(0, 0.05)
        record.learn(Forecast("x", 0.9, -0.4, -0.2, 0.0), 0.0, True, gain)
        assert not record.standing.trusted


@given(st.lists(st.integers(-10, 10), min_size=2, max_size=20, unique=True))
def test_spearman_sees_order_alone(values: list[int]) -> None:
    assert spearman(values, [2 * value + 1 for value in values]) == pytest.approx(1.0)
    assert spearman(values, [-value for value in values]) == pytest.approx(-1.0)
    assert spearman(values, [1.0] * len(values)) == 0.0


@given(st.floats(-2, 2), st.floats(0.05, 2), st.floats(-2, 2))
def test_crps_is_the_integral_it_stands_for(mu: float, sigma: float, y: float) -> None:
    from statistics import NormalDist

    cdf, low, steps = NormalDist(mu, sigma).cdf, min(mu - 8 * sigma, y - 1), 4000
    width = (max(mu + 8 * sigma, y + 1) - low) / steps
    integral = width * sum((cdf(low + (i + 0.5) * width) - (low + (i + 0.5) * width >= y)) ** 2 for i in range(steps))
    assert crps(mu, sigma, y) == pytest.approx(integral, abs=5e-3)
