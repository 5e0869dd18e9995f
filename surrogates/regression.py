"""The fit behind the statistical forecaster: a Gaussian process for the gain over the parent, and scikit-learn's logistic
regression for P(passes)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from ksearch.surrogates.matrix import Array, Encoder, Table
from ksearch.surrogates.process import Process
from ksearch.surrogates.types import Sample

Labels: TypeAlias = npt.NDArray[np.bool_]

LEAST_OF_EACH = 2
"""Passing and failing samples from which failures are learnt; below, the rate so far stands."""

STRENGTH = 1.0
"""Inverse regularisation of the logistic regression: a few failures must not make certainties."""


@dataclass
class Fit:
    """Fitted once on judged samples; predicts gains (nats, larger is faster) and P(passes)."""

    encoder: Encoder
    learnt: Table
    process: Process
    centre: float
    classifier: LogisticRegression | None
    pass_rate: float

    def predict(self, samples: Sequence[Sample]) -> tuple[Array, Array, Array]:
        """Mean and standard deviation of the gain, and P(passes)."""
        table = self.encoder.encode(samples)
        mean, sd = self.process.predict(self.encoder.parts(table, self.learnt), self.encoder.own(table))
        return mean + self.centre, sd, self._passes(table)

    def _passes(self, table: Table) -> Array:
        if self.classifier is None:
            return np.full(len(table), self.pass_rate)
        inside: Array = self.classifier.predict_proba(self.encoder.flat(table))[:, 1]
        return inside


def fit(learnt: Sequence[Sample], weights: Array | None = None) -> Fit:
    """`weights` of an earlier fit are kept as they are; None searches for them."""
    encoder = Encoder(learnt)
    everything = encoder.encode(learnt)
    passing = [index for index, sample in enumerate(learnt) if sample.reward is not None]
    table = everything.rows(passing)
    y = np.array([_gain(learnt[index]) for index in passing])
    centre = float(y.mean())
    process = Process.fit(encoder.parts(table, table), y - centre, weights)
    labels = np.array([bool(sample.passed) for sample in learnt])
    rate = float((labels.sum() + 2.0) / (len(labels) + 2.5))
    return Fit(encoder, table, process, centre, _classifier(encoder.flat(everything), labels), rate)


def _gain(sample: Sample) -> float:
    assert sample.reward is not None
    assert sample.parent_reward is not None
    return sample.reward - sample.parent_reward


def _classifier(rows: Array, labels: Labels) -> LogisticRegression | None:
    passed = int(labels.sum())
    if min(passed, len(labels) - passed) < LEAST_OF_EACH:
        return None
    return LogisticRegression(C=STRENGTH, max_iter=500).fit(rows, labels)
