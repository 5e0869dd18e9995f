"""What earlier runs on this device teach a forecaster: judged samples, and how its own forecasts there came out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from ksearch.definitions.schema import Definition
from ksearch.forecasting.candidates import SampleMaker
from ksearch.judge.verdict import JudgedWorkload
from ksearch.store.errors import StoreError
from ksearch.store.events import PastForecast
from ksearch.store.fold import RunState
from ksearch.store.forecasts import usable
from ksearch.store.journal import read_state
from ksearch.store.log import EventLog
from ksearch.store.runs import RunPaths
from ksearch.surrogates.types import Sample

MOST_RUNS = 6
"""Latest runs on the device that are read when a search begins."""
MOST_SAMPLES = 600

SAMPLES: TypeAdapter[tuple[Sample, ...]] = TypeAdapter(tuple[Sample, ...])
WORKLOADS: TypeAdapter[tuple[JudgedWorkload, ...]] = TypeAdapter(tuple[JudgedWorkload, ...])


@dataclass(frozen=True)
class History:
    """Kept in the new run's own log: it must not depend on whether the old ones still exist."""

    samples: tuple[Sample, ...] = ()
    past: tuple[PastForecast, ...] = ()

    def dump(self) -> str:
        return SAMPLES.dump_json(self.samples).decode()

    @classmethod
    def load(cls, text: bytes) -> History:
        return cls(SAMPLES.validate_json(text))


def history(runs: Path, definition: str, device_name: str, forecaster: str, model: str | None = None) -> History:
    """Of the latest runs under a folder on the same device, whatever their definition; a run that can't be read is left out.

    What was forecast there counts for the same forecaster with the same language model."""
    samples: list[Sample] = []
    past: list[PastForecast] = []
    for database in _latest(runs):
        try:
            with EventLog.open_reader(database) as log:
                state = read_state(log, books=False)
                if state.header.device_name == device_name:
                    samples += judged_samples(state, log)
                    if state.header.definition_name == definition:
                        past += past_forecasts(state, forecaster, model)
        except StoreError:
            continue
    return History(tuple(samples[-MOST_SAMPLES:]), tuple(past))


def judged_samples(state: RunState, log: EventLog) -> tuple[Sample, ...]:
    """Every candidate of a run that was judged and had a measured parent, in the order of the candidates."""
    if state.tree is None:
        return ()
    definition = Definition.model_validate_json(log.get_blob(state.header.definition))
    maker = SampleMaker(state, log, definition, WORKLOADS.validate_json(log.get_blob(state.header.subset)))
    numbers = [number for number, candidate in state.candidates.items() if "evaluate" in candidate.verdicts]
    return tuple(sample for sample in maker.judged(numbers) if sample.parent_reward is not None)


def past_forecasts(state: RunState, forecaster: str, model: str | None = None) -> tuple[PastForecast, ...]:
    """What the forecaster of this name said in a run of candidates that were then judged."""
    surrogate = state.surrogate
    if surrogate is None or (surrogate.opened.forecaster, surrogate.opened.model) != (forecaster, model):
        return ()
    found = []
    for number in surrogate.judged:
        made = surrogate.made.get(number)
        forecast = None if made is None else usable(made)
        if made is None or forecast is None or made.parent_reward is None:
            continue
        answer = state.candidates[number].verdicts["evaluate"]
        found.append(
            PastForecast(
                p_passes=forecast.p_passes, d10=forecast.d10, d50=forecast.d50, d90=forecast.d90, parent_reward=made.parent_reward,
                passed=answer.reward is not None, reward=answer.reward,
            )
        )  # fmt: skip
    return tuple(found)


def _latest(runs: Path) -> list[Path]:
    databases = [RunPaths(folder).database for folder in runs.iterdir()] if runs.is_dir() else []
    there = [database for database in databases if database.is_file()]
    return sorted(there, key=lambda database: database.stat().st_mtime)[-MOST_RUNS:]
