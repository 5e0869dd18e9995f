"""A Gaussian process over codes, learnt from differences between them: a candidate's gain is f(candidate) - f(parent).

f is a smooth function of a code's features: a linear part and a radial one, each with a weight of its own for every feature
(automatic relevance determination), found as the most probable ones (Rasmussen and Williams, "Gaussian Processes for Machine
Learning", 2006, equations 2.25, 2.26, 5.1 and 5.9). Measurement noise belongs to a code, so siblings share their parent's:
learning from differences loses nothing over learning from rewards, and rewards of other runs, which refer to another baseline
or other workloads, can be learnt from too. What doesn't follow from the code (the step that was taken, and what was claimed
of it) enters as fixed parts of the covariance. Linear algebra and the search are SciPy's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize

Array: TypeAlias = npt.NDArray[np.float64]
Pairs: TypeAlias = npt.NDArray[np.int64]

RADIAL_SHARE, LINEAR_SHARE, PART_SHARE = 2.0, 0.1, 0.03
"""Prior variances of the radial part, of one standard deviation of a feature, and of a fixed part, in mean squared gains."""

REACH = 2.0
"""Prior of the radial exponent: at one standard deviation in every feature the similarity is exp(-REACH)."""

SHAPE_SD = 1.5
"""Prior spread (nats) of every logarithmic weight: a factor of 20 either way at two standard deviations."""

LOG_NOISE, LOG_NOISE_SD = np.log(1e-3), 1.0
"""Prior of a code's own variance, measurement noise included: (0.03 nats)^2."""

JITTER = 1e-6
STEPS = 60


@dataclass(frozen=True)
class Weights:
    """Logarithms. `reach` and `slope` have one entry for each feature, `parts` one for each fixed part."""

    reach: Array
    slope: Array
    parts: Array
    radial: float
    noise: float

    @classmethod
    def prior(cls, features: int, parts: int, y: Array) -> Weights:
        scale = float(np.mean(y**2)) + 1e-3
        return cls(
            np.full(features, np.log(REACH / max(features, 1))), np.full(features, np.log(LINEAR_SHARE * scale)),
            np.full(parts, np.log(PART_SHARE * scale)), float(np.log(RADIAL_SHARE * scale)), float(LOG_NOISE),
        )  # fmt: skip

    def flat(self) -> Array:
        return np.concatenate([self.reach, self.slope, self.parts, [self.radial, self.noise]])

    def like(self, flat: Array) -> Weights:
        features, parts = len(self.reach), len(self.parts)
        reach, slope, rest, ends = np.split(flat, [features, 2 * features, 2 * features + parts])
        return Weights(reach, slope, rest, float(ends[0]), float(ends[1]))


@dataclass(frozen=True)
class Learnt:
    """What a process is fitted on: features of `codes` (u x d), `pairs` of candidate and parent among them (n x 2), their gains
    `y` less what is expected of them beforehand, and the fixed parts (each n x n)."""

    codes: Array
    pairs: Pairs
    y: Array
    parts: Sequence[Array]

    def differences(self, between: Array) -> Array:
        """A covariance of codes (u x u) as one of gains (n x n)."""
        child, parent = self.pairs.T
        return _rows(between[:, child] - between[:, parent], self.pairs)

    def spread(self, inner: Array) -> Array:
        """The transpose of `differences`: weights on gains (n x n) as weights on codes (u x u)."""
        incidence = np.zeros((len(self.y), len(self.codes)))
        np.add.at(incidence, (np.arange(len(self.y)), self.pairs[:, 0]), 1.0)
        np.add.at(incidence, (np.arange(len(self.y)), self.pairs[:, 1]), -1.0)
        spread: Array = incidence.T @ inner @ incidence
        return spread


@dataclass
class Process:
    """Fitted on `learnt` with `weights`."""

    learnt: Learnt
    weights: Weights
    solved: Array
    factor: tuple[Array, bool]

    @classmethod
    def fit(cls, learnt: Learnt, weights: Weights) -> Process:
        factor = cho_factor(_total(learnt, weights), lower=True)
        return cls(learnt, weights, cho_solve(factor, learnt.y), factor)

    def predict(
        self, codes: Array, novelty: Array, known: Pairs, pairs: Pairs, across: Sequence[Array], parts: Sequence[Array]
    ) -> tuple[Array, Array]:
        """Mean and standard deviation of the gains of m `pairs` among `codes` (v x d), noise included.

        `novelty` is each code's squared distance in features that never varied among the learnt ones; `known` its place
        among the learnt codes, -1 for a new one; `across` the fixed parts (each m x n), `parts` their own variances (each m).
        """
        child, parent = self.learnt.pairs.T
        noise = np.exp(self.weights.noise)
        same = noise * (known[:, None] == np.arange(len(self.learnt.codes))[None, :])
        to_learnt = _covariance(self.weights, codes, self.learnt.codes, novelty) + same
        k = _rows(to_learnt[:, child] - to_learnt[:, parent], pairs)
        k = k + np.tensordot(np.exp(self.weights.parts), np.stack(across), 1)
        own = self._own(codes, novelty, pairs) + 2.0 * noise + np.exp(self.weights.parts) @ np.stack(parts)
        variance = own - np.einsum("ij,ji->i", k, cho_solve(self.factor, k.T))
        return k @ self.solved, np.sqrt(np.maximum(variance, noise))

    def _own(self, codes: Array, novelty: Array, pairs: Pairs) -> Array:
        """Prior variances of f(candidate) - f(parent)."""
        a, b = codes[pairs[:, 0]], codes[pairs[:, 1]]
        new = novelty[pairs[:, 0]] + novelty[pairs[:, 1]]
        apart = (a - b) ** 2
        alike = np.exp(-apart @ np.exp(self.weights.reach) - _typical(self.weights.reach) * new)
        linear = apart @ np.exp(self.weights.slope) + _typical(self.weights.slope) * new
        own: Array = 2.0 * np.exp(self.weights.radial) * (1.0 - alike) + linear
        return own


def most_probable(learnt: Learnt, start: Weights) -> Weights:
    """The weights that the outcomes make most probable, searched from `start`; their prior is that of `learnt` anew."""
    prior = Weights.prior(len(start.reach), len(start.parts), learnt.y)
    middle = prior.flat()
    spread = np.full(len(middle), SHAPE_SD)
    spread[-1] = LOG_NOISE_SD
    bounds = [(low, high) for low, high in zip(middle - 6.0 * spread, middle + 4.0 * spread, strict=True)]

    def loss(flat: Array) -> tuple[float, Array]:
        value, gradient = _loss(learnt, prior.like(flat))
        off = (flat - middle) / spread
        return value + 0.5 * float(off @ off), gradient + off / spread

    found = minimize(loss, start.flat(), jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": STEPS})
    return prior.like(found.x)


def _loss(learnt: Learnt, weights: Weights) -> tuple[float, Array]:
    """Negative log likelihood of the gains and its gradient by the logarithmic weights."""
    factor = cho_factor(_total(learnt, weights), lower=True)
    solved = cho_solve(factor, learnt.y)
    inner = cho_solve(factor, np.eye(len(learnt.y))) - np.outer(solved, solved)
    on_codes, x = learnt.spread(inner), learnt.codes
    radial = on_codes * _radial(weights, x, x)
    by_reach = -np.exp(weights.reach) * (radial.sum(axis=1) @ x**2 - np.einsum("id,id->d", x, radial @ x))
    by_slope = 0.5 * np.exp(weights.slope) * np.einsum("id,id->d", x, on_codes @ x)
    by_parts = 0.5 * np.exp(weights.parts) * np.array([np.sum(part * inner) for part in learnt.parts])
    ends = [0.5 * radial.sum(), 0.5 * np.exp(weights.noise) * np.trace(on_codes)]
    value = 0.5 * learnt.y @ solved + float(np.log(np.diag(factor[0])).sum())
    return float(value), np.concatenate([by_reach, by_slope, by_parts, ends])


def _total(learnt: Learnt, weights: Weights) -> Array:
    count = len(learnt.codes)
    between = _covariance(weights, learnt.codes, learnt.codes, np.zeros(count)) + np.exp(weights.noise) * np.eye(count)
    total = learnt.differences(between) + JITTER * np.eye(len(learnt.y))
    for weight, part in zip(np.exp(weights.parts), learnt.parts, strict=True):
        total += weight * part
    return total


def _covariance(weights: Weights, a: Array, b: Array, novelty: Array) -> Array:
    """Of f between codes a (with their novelty) and learnt codes b."""
    fading = np.exp(-_typical(weights.reach) * novelty)
    covariance: Array = fading[:, None] * _radial(weights, a, b) + (a * np.exp(weights.slope)) @ b.T
    return covariance


def _radial(weights: Weights, a: Array, b: Array) -> Array:
    length = np.sqrt(np.exp(weights.reach))
    p, q = a * length, b * length
    squares = (p**2).sum(axis=1)[:, None] + (q**2).sum(axis=1)[None, :] - 2.0 * p @ q.T
    radial: Array = np.exp(weights.radial - np.maximum(squares, 0.0))
    return radial


def _typical(logarithms: Array) -> float:
    """For a feature that never varied nothing was learnt: it counts as the others do on average."""
    return float(np.exp(logarithms.mean())) if len(logarithms) else REACH


def _rows(columns: Array, pairs: Pairs) -> Array:
    rows: Array = columns[pairs[:, 0]] - columns[pairs[:, 1]]
    return rows
