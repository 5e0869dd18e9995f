"""Online calibration against its own definition, and against forecasters whose faults are known."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ksearch.surrogates.calibration import PSEUDO_OUTCOMES, Calibration
from ksearch.surrogates.quantities import LEAST_SIGMA, NORMAL_REACH, Estimate, estimate
from ksearch.surrogates.recalibration import MANY, fit, fit_isotonic, fit_logistic
from ksearch.surrogates.types import Forecast

pairs = st.lists(st.tuples(st.floats(-3, 3), st.floats(LEAST_SIGMA, 2), st.floats(-3, 3)), max_size=40)


@given(pairs, st.floats(0, 0.1))
def test_running_sums_are_the_formulas(rows: list[tuple[float, float, float]], noise: float) -> None:
    calibration = Calibration(noise)
    for mu, sigma, y in rows:
        calibration.learn(Estimate(0.8, mu, sigma), True, y)
    n, precision = len(rows), [1.0 / (sigma**2 + noise**2) for _, sigma, _ in rows]
    errors = sum(w * (y - mu) for w, (mu, _, y) in zip(precision, rows, strict=True))
    bias = errors / sum(precision) * n / (n + PSEUDO_OUTCOMES) if n else 0.0
    squares = sum(w * (y - mu - bias) ** 2 for w, (mu, _, y) in zip(precision, rows, strict=True))
    scale = math.sqrt((PSEUDO_OUTCOMES + squares) / (PSEUDO_OUTCOMES + n))
    said = calibration.apply(Estimate(0.8, 0.5, 0.3))
    assert calibration.bias == pytest.approx(bias, abs=1e-9)
    assert said.mu == pytest.approx(0.5 + bias, abs=1e-9)
    assert said.sigma == pytest.approx(scale * math.hypot(0.3, noise), rel=1e-6)


def test_forecasts_that_know_nothing_don_t_shift_those_that_do() -> None:
    calibration = Calibration(0.01)
    for _ in range(10):
        calibration.learn(Estimate(0.8, 0.5, 0.6), True, 0.0)
    draw = random.Random(1)
    for _ in range(20):
        calibration.learn(Estimate(0.8, 0.0, 0.03), True, draw.gauss(0.0, 0.03))
    assert abs(calibration.bias) < 0.03


@given(pairs)
def test_the_order_of_forecasts_with_one_spread_is_never_changed(rows: list[tuple[float, float, float]]) -> None:
    calibration = Calibration(0.02)
    for mu, sigma, y in rows:
        calibration.learn(Estimate(0.8, mu, sigma), True, y)
    low, high = (calibration.apply(Estimate(0.8, mu, 0.3)) for mu in (-0.1, 0.1))
    assert low.mu < high.mu
    assert low.sigma == high.sigma


@pytest.mark.parametrize(("shift", "stretch"), [(0.0, 1.0), (0.3, 1.0), (0.0, 4.0), (-0.2, 0.3)])
@pytest.mark.parametrize("count", [60, 300])
def test_intervals_become_honest(shift: float, stretch: float, count: int) -> None:
    """The forecaster says N(mu, 0.2); the truth is N(mu + shift, 0.2 stretch). 300 outcomes use the conformal intervals."""
    draw, calibration, inside = random.Random(7), Calibration(0.0), 0
    for _ in range(count):
        mu = draw.gauss(0, 1)
        calibration.learn(Estimate(0.8, mu, 0.2), True, draw.gauss(mu + shift, 0.2 * stretch))
    for _ in range(2000):
        mu = draw.gauss(0, 1)
        low, high = calibration.interval(calibration.apply(Estimate(0.8, mu, 0.2)))
        inside += low <= draw.gauss(mu + shift, 0.2 * stretch) <= high
    assert 0.68 <= inside / 2000 <= 0.92


def test_failures_teach_probabilities_and_nothing_about_rewards() -> None:
    calibration = Calibration(0.02)
    for _ in range(30):
        calibration.learn(Estimate(0.9, 5.0, 0.1), False, None)
    assert (calibration.count, calibration.bias, calibration.scale) == (0, 0.0, 1.0)
    assert calibration.apply(Estimate(0.9, 0.0, 0.1)).pi < 0.5


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=150))
def test_probabilities_stay_probabilities(outcomes: list[tuple[float, bool]]) -> None:
    mapped = fit(outcomes)
    assert all(0.0 < mapped(p / 10) < 1.0 for p in range(11))


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=MANY, max_size=MANY + 30))
def test_the_isotonic_map_rises(outcomes: list[tuple[float, bool]]) -> None:
    mapped = fit_isotonic(outcomes)
    values = [mapped(p / 50) for p in range(51)]
    assert values == sorted(values)


def test_without_outcomes_nothing_is_corrected() -> None:
    mapped = fit_logistic([])
    assert mapped(0.3) == pytest.approx(0.3)


def test_overconfident_probabilities_are_drawn_in() -> None:
    draw = random.Random(1)
    outcomes = [(0.99 if one else 0.01, draw.random() < (0.7 if one else 0.3)) for one in (draw.random() < 0.5 for _ in range(90))]
    mapped = fit_logistic(outcomes)
    assert 0.6 < mapped(0.99) < 0.85
    assert 0.15 < mapped(0.01) < 0.4


@given(st.floats(-3, 3), st.floats(0, 2), st.floats(0, 2), st.floats(-3, 3))
def test_one_function_converts(d50: float, below: float, above: float, parent: float) -> None:
    one = estimate(Forecast("x", 0.7, d50 - below, d50, d50 + above), parent)
    assert one.mu == parent - d50
    assert one.sigma == pytest.approx(max(LEAST_SIGMA, (below + above) / (2 * NORMAL_REACH)))


def test_a_forecast_that_contradicts_itself_is_refused() -> None:
    with pytest.raises(ValueError, match="ascend"):
        Forecast("x", 0.5, 0.1, 0.0, 0.2)
    with pytest.raises(ValueError, match="probability"):
        Forecast("x", 1.5, 0.0, 0.0, 0.0)
