"""A search that forecasts ends as it would have, wherever its process died, as long as forecasts choose nobody.

Once they do, who stands in line when a device becomes free depends on when answers come, as it does without any kill.
"""

from __future__ import annotations

from pathlib import Path

from ksearch.evaluators.fake import FakeEvaluator
from ksearch.settings import BudgetSettings
from ksearch.store.events import EvaluationSettled, EvaluationStarted, ForecastMade, parse_event
from ksearch.store.fold import RunState
from ksearch.store.journal import Journal
from ksearch.store.log import EventLog, EventRow
from ksearch.surrogates.registry import forecaster_named
from tests.search.conftest import Bench
from tests.search.test_surrogate import Forecasting, landscape

EVALUATIONS = 24


def bench_of(folder: Path, template: Bench) -> Forecasting:
    settings = template.settings.model_copy(update={"budget": BudgetSettings(max_evaluations=EVALUATIONS)})
    return Forecasting(
        folder, settings, evaluator=lambda: FakeEvaluator(seed=5, landscape=landscape), forecaster=forecaster_named("neighbours")
    )


def picture(state: RunState) -> object:
    """What a person would call the same end: the tree, who was measured, forecast and left, the incumbent, what was spent."""
    assert state.tree is not None
    assert state.surrogate is not None
    nodes = [(view.id, view.status, view.subtree) for view in state.tree.nodes()]
    forecasts = {number: (made.d50, made.known, made.m) for number, made in state.surrogate.made.items()}
    measured = [number for number, candidate in state.candidates.items() if "evaluate" in candidate.verdicts]
    return nodes, forecasts, measured, state.surrogate.retired, state.incumbent, state.ledger.spent


def test_a_log_cut_anywhere_goes_on_to_the_same_end(bench: Bench) -> None:
    """Cut where it hurts: between a verdict and its forecast, between a start and its verdict, and at an arbitrary event."""
    whole = bench_of(bench.folder, bench)
    whole.search()
    assert whole.journal is not None
    stored, blobs = list(whole.journal.log.events()), list(whole.journal.log.blobs())
    events = [parse_event(event.payload) for event in stored]
    cuts = {len(events) // 2}
    for kind in (EvaluationSettled, EvaluationStarted, ForecastMade):
        places = [place for place, event in enumerate(events, 1) if isinstance(event, kind)]
        cuts |= {places[len(places) // 3], places[2 * len(places) // 3]}
    for number in sorted(cuts):
        cut = bench_of(bench.folder.parent / f"cut-{number}", bench)
        log = EventLog.create(cut.folder / "run.sqlite")
        for digest in blobs:
            log.put_blob(whole.journal.log.get_blob(digest))
        log.append([EventRow(event.type, event.payload, event.time) for event in stored[:number]], durable=True)
        cut.journal = Journal.reopen(log)
        cut.search()
        assert picture(cut.journal.state) == picture(whole.journal.state), f"cut after event {number}, {events[number - 1].type}"
