"""Equal seeds give equal searches while the evaluator answers at once, with several in flight too, and wherever a process died.

Where answers take time, which of several in flight is in first is the machine's affair, with a kill or without one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from ksearch.evaluators.fake import FakeEvaluator
from ksearch.settings import BudgetSettings
from ksearch.store.events import parse_event
from ksearch.store.journal import Journal
from ksearch.store.log import EventLog, EventRow
from ksearch.surrogates.registry import forecaster_named
from tests.search.conftest import Bench
from tests.search.test_forecasts_resumed import picture
from tests.search.test_surrogate import Forecasting, Oracle, honest_past, landscape


def bench_of(folder: Path, template: Bench, *, trusted: bool, in_flight: int) -> Forecasting:
    """With the default forecaster, or with one that is trusted to choose who is measured from the first candidate on."""
    settings = template.settings.model_copy(update={"budget": BudgetSettings(max_evaluations=24)})
    evaluator = lambda: FakeEvaluator(seed=5, landscape=landscape)  # noqa: E731
    made = Forecasting(folder, settings, evaluator=evaluator, parallel=in_flight, forecaster=forecaster_named("statistical"))
    if trusted:
        made.settings, made.forecaster, made.past = settings.model_copy(update={"surrogate_budget": 0.5}), Oracle(), honest_past()
    return made


def payloads(bench: Bench) -> list[str]:
    assert bench.journal is not None
    return [stored.payload for stored in bench.journal.log.events()]


@pytest.fixture
def commits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of the last event of every transaction: where a kill can cut a log."""
    ends: list[int] = []
    append = EventLog.append

    def noted(log: EventLog, events: Sequence[EventRow], **options: object) -> int:
        ends.append(last := append(log, events, **options))  # type: ignore[arg-type]
        return last

    monkeypatch.setattr(EventLog, "append", noted)
    return ends


@pytest.mark.parametrize("trusted", [False, True], ids=["default", "trusted"])
@pytest.mark.parametrize("in_flight", [2, 5])
def test_event_for_event(bench: Bench, trusted: bool, in_flight: int) -> None:
    one, other = (bench_of(bench.folder.parent / name, bench, trusted=trusted, in_flight=in_flight) for name in ("one", "other"))
    one.search()
    other.search()
    assert payloads(one) == payloads(other)


@pytest.mark.parametrize("trusted", [False, True], ids=["default", "trusted"])
def test_a_log_cut_anywhere_goes_on_to_the_same_end(bench: Bench, commits: list[int], trusted: bool) -> None:
    whole = bench_of(bench.folder, bench, trusted=trusted, in_flight=2)
    whole.search()
    assert whole.journal is not None
    log = whole.journal.log
    stored, blobs = list(log.events()), [log.get_blob(digest) for digest in log.blobs()]
    begun = next(event.seq for event in stored if event.type == "surrogate_opened")
    cuts = [end for end in sorted(set(commits)) if begun <= end < len(stored)]
    for number in cuts[:: max(1, len(cuts) // 10)]:
        cut = bench_of(bench.folder.parent / f"cut-{number}", bench, trusted=trusted, in_flight=2)
        copied = EventLog.create(cut.folder / "run.sqlite")
        copied.append([EventRow(event.type, event.payload, event.time) for event in stored[:number]], durable=True, blobs=blobs)
        cut.journal = Journal.reopen(copied)
        cut.search()
        after = parse_event(stored[number - 1].payload).type
        assert picture(cut.journal.state) == picture(whole.journal.state), f"cut after event {number}, {after}"
