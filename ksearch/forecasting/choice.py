"""Which forecaster a run uses, and why, from its settings and what this machine has."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ksearch.errors import BadInput
from ksearch.forecasting.desk import ForecastDesk
from ksearch.forecasting.history import History, history
from ksearch.forecasting.model import forecast_model
from ksearch.llm.desk import Desk as ModelDesk
from ksearch.llm.setup import forecasts_with_model, model_of
from ksearch.llm.types import Role
from ksearch.settings import Settings
from ksearch.surrogates.registry import MissingPart, forecaster_named
from ksearch.surrogates.statistical import missing_libraries


@dataclass(frozen=True, slots=True)
class Choice:
    """`name` None: candidates are not forecast. `note` says in one line what was chosen and why."""

    name: str | None
    note: str


def choose_forecaster(settings: Settings) -> Choice:
    if settings.surrogate == "none" or settings.surrogate_budget == 0:
        return Choice(None, "none (every candidate is measured)")
    name, why = settings.surrogate, "asked for"
    if settings.surrogate == "auto":
        missing = missing_libraries()
        name = "neighbours" if missing else "statistical"
        why = f"no {missing[0]} here: `pip install scikit-learn` for the better one" if missing else "chosen by itself"
    if forecasts_with_model(settings):
        why = f"asking {model_of(settings.llm, Role.SURROGATE).short}"
    share = "tuned from its record" if settings.surrogate_budget == "auto" else f"{settings.surrogate_budget:.0%}"
    return Choice(name, f"{name} ({why}); everything is measured until it is trusted, then may go unmeasured: {share}")


def check_forecaster(name: str) -> None:
    """Raises BadInput when a library that a forecaster asked for needs is not there."""
    if name == "llm":
        return  # its model was checked with those of the other roles
    try:
        forecaster_named(name)
    except MissingPart as error:
        raise BadInput(f"--surrogate {name}: {error}") from error


def desk_for(
    name: str, settings: Settings, models: ModelDesk, *, runs: Path | None, definition: str, device_name: str
) -> ForecastDesk:
    """`models` books what the forecaster asks of a language model. `runs`: the folder of earlier runs to learn from; None for a
    run that is resumed, whose log holds what it learnt."""
    model = forecast_model(settings, models)
    try:
        forecaster = forecaster_named(name, model)
    except MissingPart as error:
        raise BadInput(f"this run forecasts with {name}: {error}") from error
    asked = None if model is None else model.name
    past = history(runs, definition, device_name, forecaster.name, asked) if runs is not None else History()
    return ForecastDesk(forecaster, past, model=asked)
