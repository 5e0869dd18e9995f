"""The fit behind the statistical forecaster: a Gaussian process for the gain over the parent, and scikit-learn's logistic
regression for P(passes)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from ksearch.surrogates.matrix import Array, Encoder
from ksearch.surrogates.prior import claimed_gain, claimed_p
from ksearch.surrogates.process import Learnt, Process, Weights, most_probable
from ksearch.surrogates.types import Sample

Labels: TypeAlias = npt.NDArray[np.bool_]

LEAST_OF_EACH = 2
"""Passing and failing samples from which failures are learnt; below, the claims stand."""

STRENGTH = 3.0
"""Inverse regularisation of the logistic regression: a few failures must not make certainties."""


@dataclass(frozen=True)
class Found:
    """Weights by the features' names, so that a later fit with more features can go on from them."""

    names: tuple[str, ...]
    weights: Weights

    def carried_to(self, names: Sequence[str], prior: Weights) -> Weights:
        """The same weights for the same features, the prior's for new ones."""
        place = {name: index for index, name in enumerate(self.names)}
        reach, slope = prior.reach.copy(), prior.slope.copy()
        for index, name in enumerate(names):
            if name in place:
                reach[index], slope[index] = self.weights.reach[place[name]], self.weights.slope[place[name]]
        return Weights(reach, slope, self.weights.parts, self.weights.radial, self.weights.noise)


@dataclass
class Fit:
    """Fitted once on judged samples; predicts gains (nats, larger is faster) and P(passes)."""

    encoder: Encoder
    passing: Sequence[Sample]
    process: Process
    classifier: LogisticRegression | None
    reported: LogisticRegression | None
    """The same with candidates' compile reports among the features, for those that have one."""

    def predict(self, samples: Sequence[Sample]) -> tuple[Array, Array, Array]:
        """Mean and standard deviation of the gain, and P(passes)."""
        asked = self.encoder.asked(samples)
        parts = self.encoder.parts(samples, self.passing)
        own = self.encoder.own(samples)
        mean, sd = self.process.predict(asked.codes, asked.novelty, asked.known, asked.pairs, parts, own)
        return mean + expected(samples), sd, self._passes(samples)

    def _passes(self, samples: Sequence[Sample]) -> Array:
        said = np.array([claimed_p(sample) for sample in samples])
        for classifier, reports in ((self.classifier, False), (self.reported, True)):
            mine = [index for index, sample in enumerate(samples) if not reports or sample.compiled is not None]
            if classifier is not None and mine:
                rows = failure_rows(self.encoder, [samples[index] for index in mine], reports=reports)
                said[mine] = classifier.predict_proba(rows)[:, 1]
        return said


def fit(learnt: Sequence[Sample], found: Found | None) -> Fit:
    """`learnt` are of one definition and device; `found` are the weights of an earlier search, None for the prior's."""
    encoder, passing = Encoder(learnt), [sample for sample in learnt if sample.reward is not None]
    inputs = _inputs(encoder, passing)
    prior = Weights.prior(len(encoder.columns.names), len(inputs.parts), inputs.y)
    process = Process.fit(inputs, prior if found is None else found.carried_to(encoder.columns.names, prior))
    labels = np.array([bool(sample.passed) for sample in learnt])
    reported = _classifier(encoder, learnt, labels, reports=True) if encoder.reports.names else None
    return Fit(encoder, passing, process, _classifier(encoder, learnt, labels, reports=False), reported)


def search(learnt: Sequence[Sample]) -> Found:
    """The most probable weights."""
    encoder, passing = Encoder(learnt), [sample for sample in learnt if sample.reward is not None]
    inputs, names = _inputs(encoder, passing), encoder.columns.names
    prior = Weights.prior(len(names), len(inputs.parts), inputs.y)
    return Found(names, most_probable(inputs, prior))


def _inputs(encoder: Encoder, passing: Sequence[Sample]) -> Learnt:
    gains = np.array([_gain(sample) for sample in passing])
    return Learnt(encoder.codes, encoder.pairs(passing), gains - expected(passing), encoder.parts(passing, passing))


def expected(samples: Sequence[Sample]) -> Array:
    """What the claims alone promise."""
    return np.array([claimed_gain(sample) for sample in samples])


def _gain(sample: Sample) -> float:
    assert sample.reward is not None
    assert sample.parent_reward is not None
    return sample.reward - sample.parent_reward


def failure_rows(encoder: Encoder, samples: Sequence[Sample], *, reports: bool) -> Array:
    """Features of codes and plans, and the claimed odds of passing."""
    odds = [[math.log(p / (1.0 - p))] for p in map(claimed_p, samples)]
    return np.hstack([encoder.flat(samples, reports=reports), np.array(odds)])


def _classifier(encoder: Encoder, learnt: Sequence[Sample], labels: Labels, *, reports: bool) -> LogisticRegression | None:
    passed = int(labels.sum())
    if min(passed, len(labels) - passed) < LEAST_OF_EACH:
        return None
    return LogisticRegression(C=STRENGTH, max_iter=500).fit(failure_rows(encoder, learnt, reports=reports), labels)
