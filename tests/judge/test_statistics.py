"""The judge's arithmetic."""

from __future__ import annotations

import math
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksearch.judge.floor import Floor
from ksearch.judge.paired import Contest, conclude, decided, log_ratio, pair, shift_of
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


def test_a_floor_accuses_only_what_no_doubt_explains() -> None:
    floor = Floor(bytes_per_us=1000.0, launch_us=0.5)
    assert floor.forbids(0.4, 0)
    assert floor.forbids(60.0, 100_000)
    assert not floor.forbids(60.0 + 10.0, 100_000)


@pytest.mark.parametrize(
    ("ratios", "done"),
    [
        ([0.5, 0.5], False),
        ([0.5, 0.51, 0.5], True),
        ([0.05, 0.02, 0.08], False),
        ([0.0, 0.001, -0.001], True),  # never a per cent
        ([-0.5, -0.4, -0.6], True),
        ([0.05, 0.02, 0.08, 0.03, 0.06], True),
    ],
)
def test_blocks_stop_when_more_are_no_use(ratios: list[float], *, done: bool) -> None:
    assert decided(ratios) is done


def test_all_looks_together_call_equals_different_in_a_twentieth_of_trials_at_most() -> None:
    import random

    rng = random.Random(1)
    wrong = 0
    for _ in range(4000):
        ratios: list[float] = []
        while not decided(ratios):
            ratios.append(rng.gauss(0, 0.02))
        found = conclude(ratios, 0.0)
        wrong += found.low > 0 or found.high < 0
    assert wrong / 4000 < 0.055


def test_the_sentinel_sees_what_lasts_and_not_what_passes() -> None:
    assert shift_of([1, 1, 1, 1.5, 1, 1, 1]) == 0
    assert shift_of([1, 1, 1, 1.1, 1.2, 1.2, 1.2]) > 0.08


class Machine:
    """Blocks of a made-up contest: the opponent takes `gain` times as long; the sentinel drifts in the blocks named."""

    def __init__(self, gain: float, restless: set[int]) -> None:
        self.gain, self.restless, self.number, self.slow = gain, restless, 0, 1.0

    def open(self, number: int) -> Contest:
        self.number = number

        def fight(watch) -> tuple[dict[str, float], dict[str, float]]:  # type: ignore[no-untyped-def]
            for step in range(8):
                self.slow = 1 + 0.1 * step if number in self.restless else 1.0
                watch()
            return {"a": 1.0 + 0.001 * number}, {"a": self.gain * (1.0 + 0.0012 * number)}

        return Contest(fight, [])


def test_a_block_in_which_the_machine_moved_is_measured_again() -> None:
    machine = Machine(1.2, {0, 2})
    found = pair(machine.open, {"a": 1.0}, "mean", lambda: machine.slow)
    assert found.promoted
    assert machine.number == 4  # five tried, three of them still
    restless = Machine(1.04, set(range(99)))
    assert not pair(restless.open, {"a": 1.0}, "mean", lambda: restless.slow).promoted
