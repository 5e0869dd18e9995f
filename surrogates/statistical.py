"""The statistical forecaster: a regression on features, fitted again as outcomes come in. Needs numpy and scikit-learn.

Light to import: the libraries are loaded with the first fit.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ksearch.surrogates.prior import prior_forecast
from ksearch.surrogates.quantities import LARGEST_D, LEAST_SIGMA, NORMAL_REACH
from ksearch.surrogates.types import Forecast, Sample

if TYPE_CHECKING:
    from ksearch.surrogates.regression import Fit, Found

LIBRARIES = ("numpy", "scipy", "sklearn", "threadpoolctl")

LEAST_LEARNT = 8
"""Passing samples before a regression is better than the claims."""

SEARCH_GROWTH = 1.2
"""The weights are searched again when the samples have grown by this factor; in between outcomes only join the fit."""

MOST_LEARNT = 400
"""Latest samples learnt from: a fit's cost grows with the cube of their number."""


def missing_libraries() -> tuple[str, ...]:
    """Libraries that the statistical forecaster needs and this Python doesn't have."""
    return tuple(name for name in LIBRARIES if importlib.util.find_spec(name) is None)


@dataclass
class Statistical:
    """One regression over everything measured of the definition in hand, in earlier runs too.

    Of other definitions nothing is learnt: on the recorded spaces neither what steps gained elsewhere nor how far claims
    held there told anything of a new one.
    """

    known: list[Sample] = field(default_factory=list)
    name: str = "statistical"
    _fit: Fit | None = None
    _fitted: tuple[int, str] = (0, "")
    _found: dict[tuple[int, str], Found] = field(default_factory=dict)

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
        place = place_of(sample)
        if self._fitted == (len(self.known), place):
            return self._fit
        here = [other for other in self.known if place_of(other) == place]
        if sum(other.reward is not None for other in here) < LEAST_LEARNT:
            return None
        self._fit, self._fitted = self._refit(here, place), (len(self.known), place)
        return self._fit

    def _refit(self, here: Sequence[Sample], place: str) -> Fit:
        from threadpoolctl import threadpool_limits

        from ksearch.surrogates.regression import fit

        with threadpool_limits(limits=1):  # the other cores may be timing a candidate
            return fit(here[-MOST_LEARNT:], self._weights(here, place))

    def _weights(self, here: Sequence[Sample], place: str) -> Found | None:
        """Found on the samples up to the last milestone, so that they follow from the samples alone, however often the
        program was started in between."""
        from ksearch.surrogates.regression import search

        size = max(milestones(len(here)), default=0)
        learnt = here[max(0, size - MOST_LEARNT) : size]
        if sum(other.reward is not None for other in learnt) < LEAST_LEARNT:
            return None
        if (size, place) not in self._found:
            self._found[size, place] = search(learnt)
        return self._found[size, place]


def place_of(sample: Sample) -> str:
    return f"{sample.definition}@{sample.device}"


def milestones(count: int) -> Iterator[int]:
    """Sizes at which weights are searched for, up to `count`: LEAST_LEARNT, then SEARCH_GROWTH times the one before."""
    size = LEAST_LEARNT
    while size <= count:
        yield size
        size = math.ceil(size * SEARCH_GROWTH)
