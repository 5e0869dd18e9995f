"""The forecaster at work beside a search: it learns what was judged, then answers on what was written, in a thread of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby
from typing import Protocol

from ksearch.errors import KsearchError
from ksearch.forecasting.history import History
from ksearch.llm.desk import OutOfBudget
from ksearch.llm.types import Cancelled
from ksearch.store.fold import RunState
from ksearch.surrogates.types import Forecast, Forecaster, Sample, forecast_many


@dataclass(frozen=True, slots=True)
class Forecasts:
    """Answers in the order asked, each with the parent's reward that it refers to. `known`: of this run's outcomes, how many each
    rests on.
    """

    rows: tuple[tuple[Forecast | None, float | None], ...]
    known: tuple[int, ...]


class Samples(Protocol):
    """Makes samples of a run's candidates, with and without their outcomes."""

    def judged(self, numbers: Iterable[int]) -> tuple[Sample, ...]: ...

    def asked(self, numbers: Iterable[int]) -> tuple[Sample, ...]: ...


@dataclass(frozen=True, slots=True)
class Question:
    """`news`: what was judged since the question before. `asked`: candidates that may know as much, and no more."""

    news: tuple[Sample, ...]
    asked: tuple[Sample, ...]
    known: int


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
        return self._pool.submit(self._answer, self._questions(state, samples, candidates))

    def answer(self, state: RunState, samples: Samples, candidates: Sequence[int]) -> Forecasts:
        """The same, waited for."""
        return self._answer(self._questions(state, samples, candidates))

    def _questions(self, state: RunState, samples: Samples, candidates: Sequence[int]) -> list[Question]:
        """Those that may know equally much are asked about together. A forecast rests on what was judged when its candidate was
        written, so that it is the same whenever it is asked for."""
        assert state.surrogate is not None
        questions = []
        for known, numbers in groupby(candidates, lambda number: max(self._learnt, state.surrogate.may_know(number))):  # type: ignore[union-attr]
            news = samples.judged(state.surrogate.judged[self._learnt : known])
            past = () if self._begun else self.history.samples
            self._learnt, self._begun = known, True
            questions.append(Question((*past, *news), samples.asked(numbers), known))
        return questions

    def _answer(self, questions: Sequence[Question]) -> Forecasts:
        rows: list[tuple[Forecast | None, float | None]] = []
        known: list[int] = []
        for question in questions:
            for sample in question.news:
                self.forecaster.learn(sample)
            said = self._said(question.asked)
            rows += [(forecast, sample.parent_reward) for forecast, sample in zip(said, question.asked, strict=True)]
            known += [question.known] * len(question.asked)
        return Forecasts(tuple(rows), tuple(known))

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
