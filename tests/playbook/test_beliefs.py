from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksearch.tree.types import Action, NodeId
from ksearch.worldmodel.beliefs import Beliefs, gain, success, with_prior
from ksearch.worldmodel.catalogue import Catalogue, Technique
from ksearch.worldmodel.types import Belief, Evidence

GAINS = st.floats(-3, 3, allow_nan=False)


def action(technique: str = "fuse") -> Action:
    return Action(technique, "loop", "", "", gain_mean=0.4, gain_sd=0.2, p_success=0.8, difficulty=1, rationale="")


def evidence(measured: float | None, *, passed: bool = True, followed: bool = True, technique: str = "fuse") -> Evidence:
    return Evidence(NodeId(1), action(technique), passed=passed, gain=measured, followed=followed)


def prior(technique: str = "fuse", mean: float = 0.4, sd: float = 0.2, parameter: str = "") -> Technique:
    return Technique(technique, "loop", {"x": parameter or 1}, "", "", mean, sd, 0.8, 1, parameter=parameter)


def beliefs(*techniques: Technique) -> Beliefs:
    return Beliefs.of(Catalogue("test", {"x": 0}, techniques or (prior(),)))


@given(st.floats(-2, 2), st.floats(0.01, 2))
def test_without_evidence_the_prior_stands(mean: float, sd: float) -> None:
    empty = Belief("fuse", mean, sd)
    assert gain(empty).mean == pytest.approx(mean)
    assert gain(empty).sd == pytest.approx(sd)
    assert success(empty) == 0.5


@given(st.lists(GAINS, min_size=1, max_size=20), st.randoms(use_true_random=False))
def test_order_does_not_matter(gains: list[float], random: object) -> None:
    items = [evidence(y) for y in gains] + [evidence(None, passed=False), evidence(9.0, followed=False)]
    one = beliefs().learn_all(items).belief("fuse")
    random.shuffle(items)  # type: ignore[attr-defined]
    other = beliefs().learn_all(items).belief("fuse")
    assert (one.gains, one.successes, one.failures) == (other.gains, other.successes, other.failures)
    assert gain(one).mean == pytest.approx(gain(other).mean)
    assert gain(one).sd == pytest.approx(gain(other).sd, abs=1e-6)


@given(st.lists(GAINS, min_size=1, max_size=30))
def test_the_mean_lies_between_the_prior_and_the_data(gains: list[float]) -> None:
    belief = beliefs().learn_all(evidence(y) for y in gains).belief("fuse")
    data = sum(gains) / len(gains)
    assert min(0.4, data) - 1e-9 <= gain(belief).mean <= max(0.4, data) + 1e-9


@given(GAINS, st.integers(2, 40))
def test_repeated_data_draws_the_mean_in_and_the_sd_down(y: float, times: int) -> None:
    few = beliefs().learn_all([evidence(y)] * times).belief("fuse")
    many = beliefs().learn_all([evidence(y)] * (4 * times)).belief("fuse")
    assert abs(gain(many).mean - y) <= abs(gain(few).mean - y) + 1e-9
    assert gain(many).sd < gain(few).sd


def test_scattered_data_keeps_the_sd_near_the_sample_sd() -> None:
    scattered = beliefs().learn_all(evidence(y) for y in [0.0, 1.0] * 200).belief("fuse")
    assert gain(scattered).sd == pytest.approx(0.5, rel=0.05)


def test_one_measurement_weighs_as_much_as_the_prior() -> None:
    assert gain(beliefs().learn(evidence(1.0)).belief("fuse")).mean == pytest.approx(0.7)


def test_success_is_beta_bernoulli_and_failures_credit_no_gain() -> None:
    belief = beliefs().learn_all([evidence(0.1), evidence(None), evidence(None, passed=False)]).belief("fuse")
    assert success(belief) == pytest.approx(3 / 5)
    assert belief.gains == 1


def test_code_that_did_not_follow_its_plan_teaches_nothing() -> None:
    before = beliefs()
    assert before.learn(evidence(2.0, followed=False)) is before


def test_learning_leaves_the_former_beliefs_untouched() -> None:
    before = beliefs(prior(), prior("other"))
    after = before.learn(evidence(1.0))
    assert before.belief("fuse").gains == 0
    assert after.belief("other") == before.belief("other")


def test_choices_of_a_technique_share_evidence_and_the_mean_prior() -> None:
    shared = beliefs(prior(mean=0.2, parameter="a"), prior(mean=0.6, parameter="b")).belief("fuse")
    assert shared.prior_mean == pytest.approx(0.4)
    assert with_prior(shared, 0.6, 0.1).prior_mean == 0.6


def test_an_unknown_technique_starts_without_a_claim() -> None:
    assert gain(beliefs().belief("new")).mean == 0
    assert math.isclose(gain(beliefs().learn(evidence(1.0, technique="new")).belief("new")).mean, 0.5)
