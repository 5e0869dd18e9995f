"""The fit behind the statistical forecaster: scikit-learn's Gaussian process for the gain, logistic regression for P(passes).

The gain's kernel is a sum: what techniques and code changes are worth anywhere; what the steps of this definition are
worth here; what this code, read as numbers, is near to; each of an amplitude that the evidence decides (maximum marginal
likelihood).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct, Kernel, WhiteKernel
from sklearn.linear_model import LogisticRegression

from ksearch.surrogates.kernels import Columns, Same
from ksearch.surrogates.matrix import Encoder, Rows
from ksearch.surrogates.types import Sample

Labels: TypeAlias = npt.NDArray[np.bool_]

LEAST_OF_EACH = 3
"""Passing and failing samples from which failures are learnt; below, the claims' average stands."""

STRENGTH = 0.3
"""Inverse regularisation of the logistic regression: a few failures must not make certainties."""


@dataclass
class Fit:
    """Fitted once on judged samples; predicts gains (nats, larger is faster) and P(passes)."""

    encoder: Encoder
    process: GaussianProcessRegressor
    centre: float
    classifier: LogisticRegression | None
    pass_rate: float

    def gains(self, samples: Sequence[Sample]) -> tuple[Rows, Rows]:
        mean, sd = self.process.predict(self.encoder.encode(samples), return_std=True)
        return mean + self.centre, sd

    def p_passes(self, samples: Sequence[Sample]) -> Rows:
        if self.classifier is None:
            return np.full(len(samples), self.pass_rate)
        inside: Rows = self.classifier.predict_proba(_for_failures(self.encoder.encode(samples)))[:, 1]
        return inside


def fit(learnt: Sequence[Sample], start: Any | None = None) -> Fit:
    """`start`: log hyperparameters of an earlier fit, kept as they are; None searches for the most probable ones."""
    encoder = Encoder(learnt)
    rows = encoder.encode(learnt)
    passing = [index for index, sample in enumerate(learnt) if sample.reward is not None]
    y = np.array([_gain(learnt[index]) for index in passing])
    centre = float(y.mean())
    kernel = _kernel(encoder.blocks())
    if start is not None:
        kernel.theta = start
    process = GaussianProcessRegressor(kernel, optimizer=None if start is not None else "fmin_l_bfgs_b", alpha=1e-8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # an amplitude at its bound is an answer
        process.fit(rows[passing], y - centre)
    labels = np.array([bool(sample.passed) for sample in learnt])
    return Fit(encoder, process, centre, _classifier(rows, labels), float((labels.sum() + 2.0) / (len(labels) + 2.5)))


def _gain(sample: Sample) -> float:
    assert sample.reward is not None
    assert sample.parent_reward is not None
    return sample.reward - sample.parent_reward


def _kernel(blocks: dict[str, tuple[int, int]]) -> Kernel:
    amplitude = (1e-4, 10.0)
    anywhere = ConstantKernel(0.1, amplitude) * Columns(DotProduct(0.0, "fixed"), *blocks["general"])
    techniques = ConstantKernel(0.05, amplitude) * Columns(DotProduct(0.0, "fixed"), *blocks["techniques"])
    last = Columns(DotProduct(0.0, "fixed"), *blocks["last"])
    near = Columns(RBF(1.0, (0.1, 10.0)), *blocks["code"])
    here = ConstantKernel(0.05, amplitude) * last * (ConstantKernel(0.5, "fixed") + ConstantKernel(0.5, "fixed") * near)
    code = ConstantKernel(0.1, amplitude) * near
    return anywhere + techniques + Same(0) * (here + code) + WhiteKernel(1e-3, (1e-5, 1e-1))


def _classifier(rows: Rows, labels: Labels) -> LogisticRegression | None:
    passed = int(labels.sum())
    if min(passed, len(labels) - passed) < LEAST_OF_EACH:
        return None
    return LogisticRegression(C=STRENGTH, max_iter=500).fit(_for_failures(rows), labels)


def _for_failures(rows: Rows) -> Rows:
    """All blocks but the place's number."""
    return rows[:, 1:]
