"""Gaussian-process kernels over blocks of columns: scikit-learn's own act on whole rows. Imported by the fit alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.gaussian_process.kernels import Kernel


class Columns(Kernel):  # type: ignore[misc]  # scikit-learn ships no types
    """Another kernel, applied to columns `start` to `stop`; its hyperparameters are this one's."""

    def __init__(self, kernel: Kernel, start: int, stop: int) -> None:
        self.kernel, self.start, self.stop = kernel, start, stop

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        params: dict[str, Any] = {"kernel": self.kernel, "start": self.start, "stop": self.stop}
        if deep:
            params |= {f"kernel__{name}": value for name, value in self.kernel.get_params().items()}
        return params

    @property
    def hyperparameters(self) -> list[Any]:
        return list(self.kernel.hyperparameters)

    @property
    def theta(self) -> Any:
        return self.kernel.theta

    @theta.setter
    def theta(self, theta: Any) -> None:
        self.kernel.theta = theta

    @property
    def bounds(self) -> Any:
        return self.kernel.bounds

    def __call__(self, X: Any, Y: Any = None, eval_gradient: bool = False) -> Any:
        left = X[:, self.start : self.stop]
        right = None if Y is None else Y[:, self.start : self.stop]
        return self.kernel(left, right, eval_gradient=True) if eval_gradient else self.kernel(left, right)

    def diag(self, X: Any) -> Any:
        return self.kernel.diag(X[:, self.start : self.stop])

    def is_stationary(self) -> bool:
        return bool(self.kernel.is_stationary())


class Same(Kernel):  # type: ignore[misc]
    """1 for rows with the same code in column `column`, else 0: what one definition has to itself. No hyperparameters."""

    def __init__(self, column: int) -> None:
        self.column = column

    def __call__(self, X: Any, Y: Any = None, eval_gradient: bool = False) -> Any:
        left = X[:, self.column]
        right = left if Y is None else Y[:, self.column]
        same = (left[:, None] == right[None, :]).astype(float)
        return (same, np.empty((*same.shape, 0))) if eval_gradient else same

    def diag(self, X: Any) -> Any:
        return np.ones(len(X))

    def is_stationary(self) -> bool:
        return False
