"""The judge's arithmetic."""

from __future__ import annotations

import math
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksearch.judge.paired import conclude, log_ratio
from ksearch.judge.statistics import log_noise, robust_spread, t_interval

values = st.lists(st.floats(-10, 10), min_size=2, max_size=30)


@given(values)
def test_the_interval_holds_its_mean(samples: list[float]) -> None:
    mean, low, high = t_interval(samples)
    assert low <= mean <= high
    assert mean == pytest.approx(fmean(samples))


def test_the_interval_of_a_known_case() -> None:
    """1 to 5: mean 3, standard error sqrt(2.5 / 5), t at 4 degrees of freedom 2.776."""
    assert t_interval([1, 2, 3, 4, 5]) == pytest.approx((3, 3 - 2.776 * math.sqrt(0.5), 3 + 2.776 * math.sqrt(0.5)))


@given(values, st.floats(-5, 5))
def test_spread_ignores_a_shift(samples: list[float], shift: float) -> None:
    assert robust_spread([value + shift for value in samples]) == pytest.approx(robust_spread(samples), abs=1e-9)


def test_noise_is_absent_without_repeats() -> None:
    assert log_noise([[1.0], [2.0]]) is None
    assert log_noise([[1.0, 1.0, 1.0]]) == 0


@pytest.mark.parametrize(
    ("ratios", "shift", "promoted"),
    [
        ([0.10, 0.11, 0.09, 0.10, 0.10], 0.01, True),
        ([0.10, 0.11, 0.09, 0.10, 0.10], 0.04, True),  # under half the gain
        ([0.10, 0.11, 0.09, 0.10, 0.10], 0.06, False),
        ([0.02, 0.021, 0.019, 0.02, 0.02], 0.02, True),
        ([0.02, 0.021, 0.019, 0.02, 0.02], 0.04, False),
        ([0.005, 0.005, 0.006, 0.005, 0.005], 0.0, False),
        ([0.5, -0.5, 0.6, -0.4, 0.3], 0.0, False),
        ([-0.1, -0.1, -0.1, -0.11, -0.1], 0.0, False),
    ],
)
def test_promotion(ratios: list[float], shift: float, *, promoted: bool) -> None:
    assert conclude(ratios, shift).promoted is promoted


@given(st.floats(0.1, 10))
def test_a_uniform_gain_is_the_same_by_either_objective(gain: float) -> None:
    slow = {"a": 3.0, "b": 50.0}
    fast = {name: latency / gain for name, latency in slow.items()}
    weights = {"a": 0.3, "b": 0.7}
    assert log_ratio(slow, fast, weights, "mean") == pytest.approx(math.log(gain), abs=1e-9)
    assert log_ratio(slow, fast, weights, "geomean") == pytest.approx(math.log(gain), abs=1e-9)
