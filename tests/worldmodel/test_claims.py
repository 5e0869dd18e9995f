"""Claims and their scores against numbers worked out another way."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksearch.worldmodel.claims import LEAST_SD, BadClaim, Scored, claim, crps, score, spearman


def crps_by_integration(mean: float, sd: float, observed: float) -> float:
    """The definition: the integral of (F(x) - 1[x >= observed])^2, by the midpoint rule."""
    low, high, steps = min(mean - 10 * sd, observed - sd), max(mean + 10 * sd, observed + sd), 40_000
    width = (high - low) / steps
    total = 0.0
    for step in range(steps):
        x = low + (step + 0.5) * width
        total += (0.5 * (1 + math.erf((x - mean) / (sd * math.sqrt(2)))) - (x >= observed)) ** 2
    return total * width


@pytest.mark.parametrize(("mean", "sd", "observed"), [(0.0, 1.0, 0.0), (0.2, 0.1, 0.5), (1.0, 0.5, -1.0)])
def test_crps_is_its_definition(mean: float, sd: float, observed: float) -> None:
    assert crps(mean, sd, observed) == pytest.approx(crps_by_integration(mean, sd, observed), rel=1e-3)


def test_the_true_distribution_scores_best() -> None:
    """CRPS is proper: over many draws no other normal beats the one they came from."""
    chance = random.Random(0)
    draws = [chance.gauss(0.3, 0.2) for _ in range(4000)]

    def mean_score(mean: float, sd: float) -> float:
        return sum(crps(mean, sd, draw) for draw in draws) / len(draws)

    best = mean_score(0.3, 0.2)
    assert all(best < mean_score(mean, sd) for mean, sd in [(0.5, 0.2), (0.1, 0.2), (0.3, 0.5), (0.3, 0.05)])


factors = st.floats(0.01, 100.0)


@given(st.tuples(factors, factors, factors).map(sorted))
def test_a_claim_brings_its_quantiles_back(quantiles: list[float]) -> None:
    low, likely, high = quantiles
    made = claim(low, likely, high)
    assert math.exp(made.mean) == pytest.approx(likely)
    assert made.sd >= LEAST_SD
    if made.sd > LEAST_SD:
        assert math.exp(2.5631031310892007 * made.sd) == pytest.approx(high / low)


@pytest.mark.parametrize("bad", [(2.0, 1.0, 3.0), (0.0, 1.0, 2.0), (-1.0, 1.0, 2.0), (1.0, 2.0, 1e9), (float("nan"), 1.0, 2.0)])
def test_a_claim_that_is_none_is_refused(bad: tuple[float, float, float]) -> None:
    with pytest.raises(BadClaim):
        claim(*bad)


def test_rank_correlation() -> None:
    assert spearman([1, 2, 3, 4], [10, 20, 30, 40]) == pytest.approx(1.0)
    assert spearman([1, 2, 3, 4], [4, 3, 2, 1]) == pytest.approx(-1.0)
    assert spearman([1, 2, 2, 3], [1, 2, 3, 4]) == pytest.approx(0.9486832980505138)
    assert spearman([1, 1, 1], [1, 2, 3]) is None
    assert spearman([1, 2], [1, 2]) is None


def test_scores_tell_a_boaster() -> None:
    scores = score([Scored(1.0, 0.2, 0.1), Scored(0.8, 0.2, 0.0), Scored(1.2, 0.2, 0.2)])
    assert scores is not None
    assert scores.bias == pytest.approx(-0.9)
    assert scores.crps > scores.constant_crps
    assert scores.rank == pytest.approx(1.0)
    assert score([]) is None
