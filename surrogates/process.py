"""A Gaussian process whose kernel is a weighted sum of fixed parts; the weights are those that the outcomes make most probable.

scikit-learn's regressor evaluates every part anew at each step of that search, and takes tens of seconds where this takes a
fraction of one: parts that don't depend on the weights are computed once (Rasmussen and Williams, "Gaussian Processes for
Machine Learning", 2006, equations 2.25, 2.26 and 5.9). Linear algebra and the search are SciPy's.
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

LOG_WEIGHT, LOG_WEIGHT_SD = np.log(0.03), 1.5
"""Prior of each part's variance (nats^2): about (0.17 nats)^2, up to a factor of 20 either way."""

LOG_NOISE, LOG_NOISE_SD = np.log(2e-3), 1.0
"""Prior of the variance that no part explains: (0.045 nats)^2."""

JITTER = 1e-8
STEPS = 60


@dataclass
class Process:
    """Fitted on outcomes `y` (centred) with kernel parts `parts`, each n x n."""

    weights: Array
    """Logarithms: one for each part, then the noise's."""
    solved: Array
    factor: tuple[Array, bool]

    @classmethod
    def fit(cls, parts: Sequence[Array], y: Array, weights: Array | None = None) -> Process:
        """`weights` of an earlier fit are kept as they are; None searches for them."""
        found = most_probable(parts, y) if weights is None else weights
        factor = cho_factor(_total(parts, found), lower=True)
        return cls(found, cho_solve(factor, y), factor)

    def predict(self, across: Sequence[Array], own: Sequence[Array]) -> tuple[Array, Array]:
        """Mean and standard deviation of m new values, noise included. `across`: m x n parts; `own`: their m diagonals."""
        amplitudes = np.exp(self.weights[:-1])
        k = np.tensordot(amplitudes, np.stack(across), 1)
        variance = amplitudes @ np.stack(own) - np.einsum("ij,ji->i", k, cho_solve(self.factor, k.T))
        return k @ self.solved, np.sqrt(np.maximum(variance, 0.0) + np.exp(self.weights[-1]))


def most_probable(parts: Sequence[Array], y: Array) -> Array:
    start = np.array([LOG_WEIGHT] * len(parts) + [LOG_NOISE])
    bounds = [(np.log(1e-5), np.log(10.0))] * len(parts) + [(np.log(1e-5), np.log(0.3))]
    found = minimize(_loss, start, args=(np.stack(parts), y), jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": STEPS})
    answer: Array = found.x
    return answer


def _total(parts: Sequence[Array] | Array, weights: Array) -> Array:
    stack: Array = parts if isinstance(parts, np.ndarray) else np.stack(parts)
    total: Array = np.tensordot(np.exp(weights[:-1]), stack, 1)
    return np.asarray(total + (np.exp(weights[-1]) + JITTER) * np.eye(len(total)))


def _loss(weights: Array, parts: Array, y: Array) -> tuple[float, Array]:
    """Negative log posterior of the weights and its gradient."""
    factor = cho_factor(_total(parts, weights), lower=True)
    solved = cho_solve(factor, y)
    inverse = cho_solve(factor, np.eye(len(y)))
    inner = inverse - np.outer(solved, solved)
    gradient = np.append(0.5 * np.exp(weights[:-1]) * np.tensordot(parts, inner, 2), 0.5 * np.exp(weights[-1]) * np.trace(inner))
    prior_mean = np.array([LOG_WEIGHT] * len(parts) + [LOG_NOISE])
    prior_sd = np.array([LOG_WEIGHT_SD] * len(parts) + [LOG_NOISE_SD])
    off = (weights - prior_mean) / prior_sd
    loss = 0.5 * y @ solved + float(np.log(np.diag(factor[0])).sum()) + 0.5 * float(off @ off)
    return float(loss), gradient + off / prior_sd
