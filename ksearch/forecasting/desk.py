"""The forecaster at work beside a search: it learns what was judged, then answers on what was written, in a thread of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from ksearch.errors import KsearchError
from ksearch.forecasting.history import History
from ksearch.llm.desk import OutOfBudget
from ksearch.llm.types import Cancelled
from ksearch.store.fold import RunState
from ksearch.surrogates.types import Forecast, Forecaster, Sample, forecast_many


@dataclass(frozen=True, slots=True)
class Forecasts:
    """Answers in the order asked, each with the parent's reward that it refers to. `known`: this run's outcomes learnt from by then."""

    rows: tuple[tuple[Forecast | None, float | None], ...]
    known: int


class Samples(Protocol):
    """Makes samples of a run's candidates, with and without their outcomes."""

    def judged(self, numbers: Iterable[int]) -> tuple[Sample, ...]: ...

    def asked(self, numbers: Iterable[int]) -> tuple[Sample, ...]: ...


Question: TypeAlias = tuple[tuple[Sample, ...], tuple[Sample, ...], int]
"""What was judged since the last one, what is asked about, and how many of this run's outcomes are known by then."""


@dataclass
class ForecastDesk:
    """One forecaster for one sitting. What it knows follows from the log alone, so a resumed run forecasts as before."""

    forecaster: Forecaster
    history: History = field(default_factory=History)
    model: str | None = None
    """The language model that the forecaster asks, if any."""
    warn: Callable[[str], None] = lambda _text: None
    _learnt: int = 0
    _begun: bool = False
    _gone: bool = False
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="forecast"))

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def ask(self, state: RunState, samples: Samples, candidates: Sequence[int]) -> Future[Forecasts]:
        """Samples are made here, in the thread that owns the state; fitting and asking happen in the desk's own."""
        return self._pool.submit(self._answer, *self._question(state, samples, candidates))

    def answer(self, state: RunState, samples: Samples, candidates: Sequence[int]) -> Forecasts:
        """The same, waited for."""
        return self._answer(*self._question(state, samples, candidates))

    def _question(self, state: RunState, samples: Samples, candidates: Sequence[int]) -> Question:
        assert state.surrogate is not None
        news = samples.judged(state.surrogate.judged[self._learnt :])
        self._learnt = len(state.surrogate.judged)
        past = () if self._begun else self.history.samples
        self._begun = True
        return (*past, *news), samples.asked(candidates), self._learnt

    def _answer(self, news: Sequence[Sample], asked: Sequence[Sample], known: int) -> Forecasts:
        for sample in news:
            self.forecaster.learn(sample)
        said = self._said(asked)
        return Forecasts(tuple((forecast, sample.parent_reward) for forecast, sample in zip(said, asked, strict=True)), known)

    def _said(self, asked: Sequence[Sample]) -> tuple[Forecast | None, ...]:
        """Nothing, where a model can't be asked: the candidates are measured and the search goes on."""
        try:
            return (None,) * len(asked) if self._gone else forecast_many(self.forecaster, asked)
        except (OutOfBudget, Cancelled) as refusal:
            self.warn(f"no forecast: {refusal}")
        except KsearchError as error:
            self._gone = True  # after all its retries; each further question would wait through as many
            self.warn(f"no forecast, and none will be asked for in this sitting: {error}")
        return (None,) * len(asked)
