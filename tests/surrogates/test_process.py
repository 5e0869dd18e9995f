"""The process behind the statistical forecaster: it learns from differences what it would from values, and doubts what is new."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from ksearch.surrogates.features import code_features
from ksearch.surrogates.matrix import Columns
from ksearch.surrogates.process import Learnt, Process, Weights, _loss, most_probable
from ksearch.surrogates.statistical import LEAST_LEARNT, Statistical, milestones
from ksearch.surrogates.types import Sample, Step


def tree(count: int, features: int, seed: int) -> Learnt:
    """Codes that each differ from an earlier one; the third feature alone does nothing."""
    draw = np.random.default_rng(seed)
    codes = draw.normal(size=(count, features))
    pairs = np.array([[index, int(draw.integers(index))] for index in range(1, count)])
    value = codes[:, 0] + 0.5 * np.tanh(2 * codes[:, 1]) + draw.normal(0, 0.02, count)
    return Learnt(codes, pairs, value[pairs[:, 0]] - value[pairs[:, 1]], [np.eye(count - 1)])


def test_the_gradient_is_that_of_the_likelihood() -> None:
    learnt = tree(14, 3, 0)
    prior = Weights.prior(3, 1, learnt.y)
    at = prior.flat() + np.random.default_rng(1).normal(0, 0.3, len(prior.flat()))
    numeric = approx_fprime(at, lambda flat: _loss(learnt, prior.like(flat))[0], 1e-6)
    assert _loss(learnt, prior.like(at))[1] == pytest.approx(numeric, rel=1e-3, abs=1e-3)


def test_a_feature_that_does_nothing_is_found_out() -> None:
    learnt = tree(60, 3, 2)
    found = most_probable(learnt, Weights.prior(3, 1, learnt.y))
    assert found.slope[0] > found.slope[2] + 1.0


def test_gains_of_new_codes_are_foreseen_within_their_spread() -> None:
    learnt, fresh = tree(60, 3, 3), tree(30, 3, 4)
    process = Process.fit(learnt, most_probable(learnt, Weights.prior(3, 1, learnt.y)))
    unknown = np.full(len(fresh.codes), -1)
    across, own = [np.zeros((len(fresh.y), len(learnt.y)))], [np.ones(len(fresh.y))]
    mean, sd = process.predict(fresh.codes, np.zeros(len(fresh.codes)), unknown, fresh.pairs, across, own)
    assert np.corrcoef(mean, fresh.y)[0, 1] > 0.95
    assert np.mean(np.abs(mean - fresh.y) < 1.2816 * sd) > 0.5


def test_what_is_new_is_doubted() -> None:
    learnt = tree(40, 3, 5)
    process = Process.fit(learnt, Weights.prior(3, 1, learnt.y))
    codes, pairs = learnt.codes[:2] + 0.1, np.array([[0, 1]])
    across, own, known = [np.zeros((1, len(learnt.y)))], [np.ones(1)], np.array([-1, -1])
    sds = [process.predict(codes, np.array([novelty, 0.0]), known, pairs, across, own)[1][0] for novelty in (0.0, 1.0, 4.0)]
    assert sds[0] < sds[1] < sds[2]


def test_columns_hold_what_varies_once_and_notice_the_rest() -> None:
    rows = [{"a": float(number), "twice": 2.0 * number, "fixed": 3.0} for number in range(4)]
    columns = Columns.of(rows)
    assert columns.names == ("a",)
    assert columns.novelty([{"a": 99.0, "twice": 0.0, "fixed": 3.0}, {"a": 0.0, "fixed": 3.5}, {"other": 1.0, "fixed": 3.0}]).tolist() == [
        0.0, 0.25, 1.0,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    ["ROWS = tl.constexpr(128)\n", "ROWS: tl.constexpr = 128\n", "ROWS = 128\n", "constexpr int ROWS = 128;\n", "#define ROWS 128\n",
     "kernel[grid](x, ROWS=128)\n", "def f(x, ROWS: tl.constexpr = 128):\n"],
)  # fmt: skip
def test_tile_sizes_are_read_in_every_spelling(text: str) -> None:
    assert dict(code_features((text,)))["const:rows"] == pytest.approx(7.0, abs=0.02)


GAINS = {64: 0.0, 128: 0.3, 256: 0.5}


def tiled(rows: int, columns: int, offset: float = 0.0) -> Sample:
    """A Triton kernel told from its neighbours by two numbers alone; `offset`: the reward's, as with another baseline."""

    def source(a: int, b: int) -> tuple[str, ...]:
        return (f"ROWS = tl.constexpr({a})\nCOLUMNS = tl.constexpr({b})\n",)

    reward = GAINS[rows] - GAINS[columns] + offset
    return Sample(
        candidate=f"{rows}x{columns}", definition="toy", device="gpu", plan=(f"tile|{rows}x{columns}",), sources=source(rows, columns),
        parent="p", parent_reward=offset, steps=(Step("tile", "code", f"{rows}x{columns}", 0.1, 0.1, 0.9),),
        parent_sources=source(64, 64), passed=True, reward=reward + random.Random(f"{rows}{columns}{offset}").gauss(0, 0.01),
    )  # fmt: skip


def test_rewards_that_refer_to_another_baseline_teach_the_same() -> None:
    grid = [(rows, columns) for rows in GAINS for columns in GAINS if (rows, columns) not in ((64, 64), (256, 128))]
    forecaster = Statistical()
    for offset in (0.0, 5.0):
        for rows, columns in grid:
            forecaster.learn(tiled(rows, columns, offset))
    asked = replace(tiled(256, 128, 2.0), passed=None, reward=None)
    said = forecaster.forecast(asked)
    assert said is not None
    assert said.d50 == pytest.approx(-(GAINS[256] - GAINS[128]), abs=0.1)


def test_weights_follow_from_the_samples_alone() -> None:
    """Asked all the time or once at the end: the same, or a resumed run would forecast otherwise."""
    samples = [tiled(rows, columns, offset) for offset in (0.0, 1.0) for rows in GAINS for columns in GAINS if rows != columns]
    often, once = Statistical(), Statistical()
    asked = replace(tiled(256, 64, 3.0), passed=None, reward=None)
    for sample in samples:
        often.learn(sample)
        often.forecast(asked)
        once.learn(sample)
    assert often.forecast(asked) == once.forecast(asked)


def test_milestones_grow_by_a_fifth() -> None:
    sizes = list(milestones(100))
    assert sizes[0] == LEAST_LEARNT
    assert all(1.2 <= after / before < 1.35 for before, after in itertools.pairwise(sizes))
