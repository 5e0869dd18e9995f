"""Forecasters by name."""

from __future__ import annotations

from ksearch.surrogates.ensemble import Ensemble
from ksearch.surrogates.language import ForecastModel, LanguageModel
from ksearch.surrogates.neighbours import Neighbours
from ksearch.surrogates.statistical import Statistical, missing_libraries
from ksearch.surrogates.types import Forecaster

NAMES = ("neighbours", "statistical", "llm", "ensemble")


class MissingPart(RuntimeError):
    """A forecaster that can't work here: a library or a language model is not there. The message says what to do."""


def forecaster_named(name: str, model: ForecastModel | None = None) -> Forecaster:
    """Raises MissingPart when it lacks what it needs, ValueError for an unknown name."""
    match name:
        case "neighbours":
            return Neighbours()
        case "statistical":
            return _statistical()
        case "llm":
            return _language(model)
        case "ensemble":
            plain: tuple[Forecaster, ...] = (_statistical(), Neighbours())
            return Ensemble.of(*plain, *(() if model is None else (_language(model),)))
        case _:
            raise ValueError(f"unknown forecaster {name!r}; choose one of {', '.join(NAMES)}")


def _statistical() -> Statistical:
    if missing := missing_libraries():
        raise MissingPart(f"the statistical forecaster needs {', '.join(missing)} (pip install scikit-learn), or use neighbours")
    return Statistical()


def _language(model: ForecastModel | None) -> LanguageModel:
    if model is None:
        raise MissingPart("the llm forecaster needs a language model and none is set up; use statistical or neighbours")
    return LanguageModel(model)
