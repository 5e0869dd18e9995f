"""What a search is made of, and what its parts answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from ksearch.coder.types import Coder, Draft, NothingToWrite
from ksearch.evaluators.base import Evaluator
from ksearch.forecasting.desk import ForecastDesk, Forecasts
from ksearch.jobs import JobFactory
from ksearch.judge.verdict import Verdict
from ksearch.llm.desk import Desk as ModelDesk
from ksearch.worldmodel.types import Planned, Planner, Proposal


@dataclass(frozen=True, slots=True)
class NoBudget:
    """The step needed a model call that the budget doesn't allow: its ticket is given back."""

    reason: str


Answer: TypeAlias = tuple[Proposal, ...] | Planned | Draft | NothingToWrite | NoBudget | Forecasts | Verdict


@dataclass(frozen=True)
class Parts:
    """What a search is made of. `roots` are tried in order until one passes; the definition's reference ends the list.

    `desk` forecasts candidates (None: all are measured). `models` books the calls of whoever asks models; then planner and coder
    also get a view of the search and the kernels as text.
    """

    planner: Planner
    coder: Coder
    evaluator: Evaluator
    jobs: JobFactory
    roots: tuple[Draft, ...]
    parallel: int
    desk: ForecastDesk | None = None
    models: ModelDesk | None = None
