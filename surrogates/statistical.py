"""The statistical forecaster: a regression on features, fitted again as outcomes come in. Needs numpy and scikit-learn.

Light to import: the libraries are loaded with the first fit.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ksearch.surrogates.prior import prior_forecast
from ksearch.surrogates.quantities import LARGEST_D, LEAST_SIGMA, NORMAL_REACH
from ksearch.surrogates.types import Forecast, Sample

if TYPE_CHECKING:
    from ksearch.surrogates.regression import Fit

LIBRARIES = ("numpy", "scipy", "sklearn", "threadpoolctl")

LEAST_LEARNT = 8
"""Passing samples before a regression is better than the claims."""

SEARCH_GROWTH = 1.5
"""The kernel's weights are searched again when the samples have grown by this factor; in between outcomes only join the fit."""

MOST_HERE, MOST_ELSEWHERE = 400, 150
"""Latest samples learnt from, of the definition in hand and of others: a fit's cost grows with the cube of their number."""


def missing_libraries() -> tuple[str, ...]:
    """Libraries that the statistical forecaster needs and this Python doesn't have."""
    return tuple(name for name in LIBRARIES if importlib.util.find_spec(name) is None)


@dataclass
class Statistical:
    """One regression over everything learnt; samples of other definitions count where their features mean the same."""

    known: list[Sample] = field(default_factory=list)
    name: str = "statistical"
    _fit: Fit | None = None
    _fitted: tuple[int, str] = (0, "")
    _weights: dict[tuple[int, str], Any] = field(default_factory=dict)

    def learn(self, sample: Sample) -> None:
        if sample.parent_reward is not None:
            self.known.append(sample)

    def forecast(self, sample: Sample) -> Forecast | None:
        return self.forecast_many((sample,))[0]

    def forecast_many(self, samples: Sequence[Sample]) -> tuple[Forecast | None, ...]:
        """Samples of one definition and device; None for one whose parent is not measured."""
        asked = [sample for sample in samples if sample.parent_reward is not None]
        answers = dict(zip(map(id, asked), self._answers(asked), strict=True))
        return tuple(answers.get(id(sample)) for sample in samples)

    def _answers(self, samples: Sequence[Sample]) -> list[Forecast]:
        fit = self._fitted_for(samples[0]) if samples else None
        if fit is None:
            return [prior_forecast(self.name, sample) for sample in samples]
        return [self._forecast(*map(float, row)) for row in zip(*fit.predict(samples), strict=True)]

    def _forecast(self, gain: float, spread: float, passes: float) -> Forecast:
        d50 = min(LARGEST_D, max(-LARGEST_D, -gain))
        reach = NORMAL_REACH * max(LEAST_SIGMA, spread)
        return Forecast(self.name, min(1.0, max(0.0, passes)), d50 - reach, d50, d50 + reach)

    def _fitted_for(self, sample: Sample) -> Fit | None:
        """The fit on everything known by now; None while there is too little."""
        place = f"{sample.definition}@{sample.device}"
        if self._fitted == (len(self.known), place):
            return self._fit
        learnt = self._chosen(sample)
        if sum(other.reward is not None for other in learnt) < LEAST_LEARNT:
            return None
        self._fit, self._fitted = self._refit(learnt, sample), (len(self.known), place)
        return self._fit

    def _refit(self, learnt: Sequence[Sample], sample: Sample) -> Fit:
        from threadpoolctl import threadpool_limits

        from ksearch.surrogates.regression import fit

        with threadpool_limits(limits=1):  # the other cores may be timing a candidate
            return fit(learnt, self._weights_for(sample))

    def _weights_for(self, sample: Sample) -> Any:
        """Found on the samples up to the last milestone, so that they follow from the samples alone, however often the
        program was started in between."""
        from ksearch.surrogates.regression import fit

        size = self._searched_size(sample)
        key = size, f"{sample.definition}@{sample.device}"
        if key not in self._weights:
            learnt = self._chosen(sample, size)
            enough = sum(other.reward is not None for other in learnt) >= LEAST_LEARNT
            self._weights[key] = fit(learnt).process.weights if enough else None
        return self._weights[key]

    def _searched_size(self, sample: Sample) -> int:
        """How many of the known samples there were at the last milestone of this definition's own."""
        here = [index for index, other in enumerate(self.known) if (other.definition, other.device) == (sample.definition, sample.device)]
        passed = milestone(len(here))
        return here[passed - 1] + 1 if passed else here[0] if here else len(self.known)

    def _chosen(self, sample: Sample, size: int | None = None) -> list[Sample]:
        known = self.known[:size]
        here = [other for other in known if (other.definition, other.device) == (sample.definition, sample.device)]
        elsewhere = [other for other in known if (other.definition, other.device) != (sample.definition, sample.device)]
        return [*elsewhere[-MOST_ELSEWHERE:], *here[-MOST_HERE:]]


def milestone(count: int) -> int:
    """The last size at which weights are searched for: LEAST_LEARNT, then SEARCH_GROWTH times the one before; 0 below."""
    if count < LEAST_LEARNT:
        return 0
    size = LEAST_LEARNT
    while (ahead := math.ceil(size * SEARCH_GROWTH)) <= count:
        size = ahead
    return size
