"""Judged candidates to score forecasters on: stored runs, exported runs and recorded landscapes, and replays over them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ksearch.errors import BadInput
from ksearch.forecasting.history import judged_samples
from ksearch.forecasting.samples import walk
from ksearch.landscapes.landscape import SUFFIX, LandscapeError, load
from ksearch.store.fold import RunState
from ksearch.store.forecasts import DECIDED
from ksearch.store.journal import read_state
from ksearch.store.jsonl import import_jsonl
from ksearch.store.log import EventLog
from ksearch.store.runs import default_runs_dir, find_run
from ksearch.surrogates.registry import MissingPart, forecaster_named
from ksearch.surrogates.trust import Record
from ksearch.surrogates.types import Forecaster, Sample, forecast_many

LAG = 5
"""Outcomes that come in between two fits of a replay: about what is in flight in a search."""

ROOT_SEED = 0
"""Order in which a landscape's points are met."""


@dataclass(frozen=True)
class Spending:
    """What a run's forecasts cost and saved."""

    tokens: int = 0
    usd: float = 0.0
    malformed: int = 0
    unmeasured: int = 0
    gpu_seconds_saved: float = 0.0


@dataclass(frozen=True)
class Source:
    """One run or landscape. `record` is what the run's own forecaster said; None when it made no forecasts."""

    name: str
    definition: str
    device: str
    sigma_noise: float
    samples: tuple[Sample, ...]
    record: Record | None = None
    forecaster: str | None = None
    spending: Spending = Spending()


def load_sources(names: Sequence[str], runs_dir: Path | None, most: int | None = None) -> tuple[Source, ...]:
    """Runs by name, folder or exported file, landscapes by file. Raises BadInput for what is neither."""
    return tuple(_load(name, runs_dir, most) for name in names)


def _load(name: str, runs_dir: Path | None, most: int | None) -> Source:
    if name.endswith(SUFFIX):
        return _landscape(Path(name), most)
    if name.endswith(".jsonl"):
        with tempfile.TemporaryDirectory() as folder:
            return _run(_imported(Path(name), Path(folder)))
    return _run(find_run(name, default_runs_dir(runs_dir)).database)


def _imported(path: Path, folder: Path) -> Path:
    if not path.is_file():
        raise BadInput(f"{path}: no such exported run")
    with path.open("rb") as stream:
        return import_jsonl(stream, folder).database


def _landscape(path: Path, most: int | None) -> Source:
    if not path.is_file():
        raise BadInput(f"{path}: no such landscape")
    try:
        landscape = load(path)
    except LandscapeError as error:
        raise BadInput(str(error)) from error
    samples = tuple(sample for sample in walk(landscape, ROOT_SEED, most) if sample.parent is not None)
    return Source(landscape.name, landscape.definition, landscape.device_name, landscape.sigma_noise, samples)


def _run(database: Path) -> Source:
    with EventLog.open_reader(database) as log:
        state = read_state(log, books=False)
        samples = judged_samples(state, log)
    surrogate = state.surrogate
    return Source(
        name=state.header.run,
        definition=state.header.definition_name,
        device=state.header.device_name,
        sigma_noise=0.02 if state.root is None else state.root.sigma_noise,
        samples=samples,
        record=None if surrogate is None else surrogate.record,
        forecaster=None if surrogate is None else surrogate.opened.forecaster,
        spending=spending_of(state),
    )


def spending_of(state: RunState) -> Spending:
    surrogate = state.surrogate
    if surrogate is None:
        return Spending()
    made = list(surrogate.made.values())
    took = [c.verdicts["evaluate"].device_seconds for c in state.candidates.values() if "evaluate" in c.verdicts]
    unmeasured = sum(how in DECIDED for how in surrogate.retired.values())
    return Spending(
        tokens=sum(one.tokens for one in made),
        usd=sum(one.usd for one in made),
        malformed=sum(one.malformed for one in made),
        unmeasured=unmeasured,
        gpu_seconds_saved=unmeasured * sum(took) / len(took) if took else 0.0,
    )


def named_forecaster(name: str) -> Forecaster:
    try:
        return forecaster_named(name)
    except (MissingPart, ValueError) as error:
        raise BadInput(str(error)) from error


def held_out(source: Source, sources: Iterable[Source]) -> tuple[Sample, ...]:
    """Judged samples of other definitions: what a forecaster may know when this source begins."""
    return tuple(sample for other in sources if other.definition != source.definition for sample in other.samples)


def replayed(forecaster: Forecaster, source: Source, before: Sequence[Sample] = ()) -> Record:
    """The source's candidates in their order, each forecast before its outcome is learnt, after `before` was."""
    for sample in before:
        forecaster.learn(sample)
    record = Record(source.sigma_noise)
    for start in range(0, len(source.samples), LAG):
        group = source.samples[start : start + LAG]
        for sample, forecast in zip(group, forecast_many(forecaster, [unjudged(sample) for sample in group]), strict=True):
            if forecast is not None and sample.parent_reward is not None:
                record.learn(forecast, sample.parent_reward, bool(sample.passed), sample.reward)
        for sample in group:
            forecaster.learn(sample)
    return record


def unjudged(sample: Sample) -> Sample:
    """The same without its outcome and without its compile report, as a search knows neither: what a forecaster may see."""
    return replace(sample, passed=None, reward=None, compiled=None)
