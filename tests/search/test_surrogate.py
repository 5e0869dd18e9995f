"""A search that forecasts: nothing changes until forecasts are trusted, nothing unmeasured ever counts, resume goes on."""

from __future__ import annotations

import random
import threading
from collections import Counter
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ksearch.definitions.schema import Solution
from ksearch.evaluators.fake import FakeEvaluator, Toy
from ksearch.forecasting.desk import ForecastDesk
from ksearch.forecasting.history import History
from ksearch.judge.verdict import Job, Status, Verdict
from ksearch.parts import Parts
from ksearch.settings import BudgetSettings
from ksearch.store.events import (
    CandidateRecalled,
    CandidateRetired,
    EvaluationSettled,
    EvaluationStarted,
    Event,
    ForecastMade,
    PastForecast,
    SurrogateOpened,
    TicketIssued,
    TicketSettled,
    parse_event,
)
from ksearch.store.fold import RunState
from ksearch.store.forecasts import DECIDED
from ksearch.store.journal import read_state
from ksearch.surrogates.acquisition import LOST
from ksearch.surrogates.neighbours import Neighbours
from ksearch.surrogates.types import Forecast, Forecaster, Sample
from tests.search.conftest import Bench

GAINS = {"a": 0.5, "b": 0.3, "c": -0.2, "d": 0.1, "e": 0.4, "f": -0.3, "g": 0.6}


def landscape(solution: Solution) -> Toy:
    """Gains of the letters add up; 'cd' together doesn't compile."""
    letters = solution.name.removeprefix("toy-").replace("plain", "")
    failure = Status.COMPILE_ERROR if {"c", "d"} <= set(letters) else None
    return Toy(sum(GAINS[letter] for letter in letters), failure)


@dataclass
class Oracle:
    """Knows every gain up to an error, and what fails; `sign` -1 is a liar about gains."""

    sign: float = 1.0
    name: str = "oracle"
    learnt: list[str] = field(default_factory=list)

    def learn(self, sample: Sample) -> None:
        self.learnt.append(sample.candidate)

    def forecast(self, sample: Sample) -> Forecast | None:
        if sample.parent_reward is None:
            return None
        error = random.Random(sample.candidate).gauss(0.0, 0.05)
        d50 = -self.sign * sum(GAINS[step.technique] for step in sample.last_steps) + error
        fails = {"c", "d"} <= {step.technique for step in sample.steps}
        return Forecast(self.name, 0.1 if fails else 0.9, d50 - 0.07, d50, d50 + 0.07)


def honest_past(count: int = 40) -> tuple[PastForecast, ...]:
    draw = random.Random(3)
    rows = []
    for _ in range(count):
        gain = draw.gauss(0.1, 0.4)
        d50 = -gain + draw.gauss(0, 0.05)
        rows.append(
            PastForecast(p_passes=0.9, d10=d50 - 0.07, d50=d50, d90=d50 + 0.07, parent_reward=0.0, passed=True, reward=gain)
        )
    return tuple(rows)


@dataclass
class Forecasting(Bench):
    """A bench whose searches forecast. `past` is what the forecaster is trusted for from the start."""

    forecaster: Forecaster = field(default_factory=Oracle)
    past: tuple[PastForecast, ...] = ()

    def parts(self) -> Parts:
        made = Bench.parts(self)
        return Parts(
            made.planner, made.coder, made.evaluator, made.jobs, made.roots, made.parallel,
            ForecastDesk(self.forecaster, History(past=self.past)),
        )


@pytest.fixture
def searching(bench: Bench) -> Forecasting:
    settings = bench.settings.model_copy(update={"surrogate_budget": 0.75})
    return Forecasting(bench.folder, settings, evaluator=lambda: FakeEvaluator(seed=5, landscape=landscape), past=honest_past())


def events_of(bench: Bench) -> list[Event]:
    assert bench.journal is not None
    return [parse_event(stored.payload) for stored in bench.journal.log.events()]


def state_of(bench: Bench) -> RunState:
    assert bench.journal is not None
    return bench.journal.state


def picture(state: RunState) -> dict[str, Any]:
    assert state.tree is not None
    assert state.surrogate is not None
    return {
        "tree": state.tree.snapshot(), "open": state.open_tickets, "ledger": state.ledger, "candidates": state.candidates,
        "digests": state.by_digest, "made": state.surrogate.made, "waiting": state.surrogate.waiting,
        "retired": state.surrogate.retired, "record": state.surrogate.record.judged, "dropped": state.surrogate.dropped,
    }  # fmt: skip


# ---------------------------------------------------------------------- while nothing is trusted


def test_an_untrusted_forecaster_gives_exactly_the_search_without_one(bench: Bench) -> None:
    """Event for event, one candidate in flight: with more, the order of arrivals is the machine's, with a forecaster or without."""
    plain = Bench(bench.folder.parent / "plain", bench.settings)
    plain.search()
    with_one = Forecasting(bench.folder.parent / "with", bench.settings, forecaster=Neighbours())
    with_one.search()
    own = (SurrogateOpened, ForecastMade)
    assert [event for event in events_of(with_one) if not isinstance(event, own)] == events_of(plain)
    assert any(isinstance(event, ForecastMade) for event in events_of(with_one))


def test_a_forecaster_that_lies_from_the_start_costs_nothing(bench: Bench) -> None:
    def on(name: str, kind: type[Bench], **more: Any) -> Bench:
        made = kind(bench.folder.parent / name, bench.settings, evaluator=lambda: FakeEvaluator(seed=5, landscape=landscape), **more)
        made.search()
        return made

    plain, liar = on("plain", Bench), on("liar", Forecasting, forecaster=Oracle(-1.0))
    assert [event for event in events_of(liar) if not isinstance(event, SurrogateOpened | ForecastMade)] == events_of(plain)


def test_a_forecast_knows_no_verdict_but_earlier_ones(searching: Forecasting) -> None:
    searching.past = ()
    searching.search()
    surrogate = state_of(searching).surrogate
    assert surrogate is not None
    assert surrogate.judged
    for place, number in enumerate(surrogate.judged):
        assert surrogate.made[number].known <= place


def test_a_trusted_forecast_comes_before_the_measurement_it_decides(searching: Forecasting) -> None:
    searching.search()
    forecast: set[int] = set()
    for event in events_of(searching):
        if isinstance(event, ForecastMade):
            forecast.add(event.candidate)
        elif isinstance(event, EvaluationStarted) and event.kind == "evaluate":
            assert event.candidate in forecast


# ---------------------------------------------------------------------- once it is trusted


@pytest.mark.parametrize("parallel", [1, 3])
def test_a_trusted_forecaster_sees_more_candidates_for_each_measurement(searching: Forecasting, parallel: int) -> None:
    searching.parallel = parallel
    searching.search()
    state = state_of(searching)
    assert state.evaluations <= 20
    assert state.surrogate is not None
    assert len(state.surrogate.made) > state.evaluations - 1
    assert state.tree is not None
    assert len(state.tree) > 1
    told = sum(isinstance(event, TicketSettled) and event.outcome == "skipped" for event in events_of(searching))
    retired = sum(isinstance(event, CandidateRetired) for event in events_of(searching))
    root = next(iter(state.tree.nodes()))
    assert 0 < told <= retired
    assert root.subtree.skipped == told


def test_what_is_unmeasured_stays_within_the_budget_and_never_counts(searching: Forecasting) -> None:
    searching.settings = searching.settings.model_copy(update={"surrogate_budget": 0.5})
    searching.search()
    state = state_of(searching)
    assert state.surrogate is not None
    assert state.surrogate.dropped <= 0.5 * state.surrogate.considered
    for number, how in state.surrogate.retired.items():
        assert how in ("skipped", "expired", "untrusted", "unaffordable")
        assert not state.candidates[number].verdicts
    measured = {c.verdicts["evaluate"].reward for c in state.candidates.values() if "evaluate" in c.verdicts}
    assert state.tree is not None
    own = [view.own.best for view in state.tree.nodes() if view.own.best is not None and view.id != 0]
    assert all(any(best == pytest.approx(reward) for reward in measured if reward is not None) for best in own)


def test_audits_are_measured_whatever_their_forecast(searching: Forecasting) -> None:
    searching.settings = searching.settings.model_copy(update={"budget": BudgetSettings(max_evaluations=30)})
    searching.search()
    state = state_of(searching)
    assert state.surrogate is not None
    audits = {number for number, made in state.surrogate.made.items() if made.audit}
    dropped = {number for number, how in state.surrogate.retired.items() if how in DECIDED}
    assert not audits & dropped


def test_identical_code_is_never_measured_twice(searching: Forecasting) -> None:
    searching.settings = searching.settings.model_copy(update={"budget": BudgetSettings(max_evaluations=60)})
    searching.search()
    digests = Counter(c.written.digest for c in state_of(searching).candidates.values() if "evaluate" in c.verdicts)
    assert max(digests.values()) == 1


def test_the_ledger_keeps_no_promise_and_no_ticket_stays_open(searching: Forecasting) -> None:
    searching.parallel = 3
    assert searching.search().status in ("budget", "done")
    state = state_of(searching)
    assert not state.open_tickets
    assert state.ledger.reserved.evaluations == 0
    assert state.ledger.spent.evaluations == state.evaluations


def test_no_plan_closes_without_a_verdict_or_a_forecast_of_great_loss(searching: Forecasting) -> None:
    searching.settings = searching.settings.model_copy(update={"budget": BudgetSettings(max_evaluations=200)})
    assert searching.search().status == "done"
    state = state_of(searching)
    assert state.tree is not None
    assert state.surrogate is not None
    for view in state.tree.nodes():
        said = [state.surrogate.made[candidate.id] for candidate in state.candidates_of(view.id) if candidate.id in state.surrogate.made]
        lost = any(made.d50 is not None and made.d50 > LOST / 2 for made in said)
        assert view.own.visits > 0 or lost, f"plan {view.id} closed unmeasured after {view.attempts} attempts"


def test_a_forecaster_that_turns_liar_is_off_within_twenty_verdicts(searching: Forecasting) -> None:
    searching.forecaster = Oracle(-1.0)
    searching.settings = searching.settings.model_copy(update={"budget": BudgetSettings(max_evaluations=40)})
    searching.search()
    verdicts, last_filtered = 0, 0
    for event in events_of(searching):
        verdicts += isinstance(event, EvaluationSettled) and event.kind == "evaluate"
        if isinstance(event, ForecastMade) and event.m > 1.0:
            last_filtered = verdicts
    assert verdicts > 25
    assert last_filtered <= 20


@dataclass
class Turning(Oracle):
    """Lies about everything after six verdicts: some are put off when it loses its trust."""

    def forecast(self, sample: Sample) -> Forecast | None:
        self.sign = 1.0 if len(self.learnt) < 6 else -1.0
        return Oracle.forecast(self, sample)


def test_what_a_liar_had_put_off_is_given_back_not_measured(searching: Forecasting) -> None:
    searching.forecaster = Turning()
    searching.settings = searching.settings.model_copy(update={"budget": BudgetSettings(max_evaluations=60)})
    searching.search()
    state, events = state_of(searching), events_of(searching)
    assert state.surrogate is not None
    given_back = [place for place, event in enumerate(events) if isinstance(event, CandidateRetired) and event.how == "untrusted"]
    assert given_back
    for place in given_back:
        told = next(event for event in events[place:] if isinstance(event, TicketSettled))
        assert told.outcome == "cancelled"
    assert not state.open_tickets


def test_no_code_is_considered_twice_and_the_line_is_as_wide_as_the_budget_says(searching: Forecasting) -> None:
    searching.search()
    state = state_of(searching)
    assert state.surrogate is not None
    filtered = [number for number, made in state.surrogate.made.items() if made.m > 1.0]
    assert state.surrogate.considered == len({state.candidates[number].written.digest for number in filtered})
    measured = sum(bool(state.candidates[number].verdicts) for number in filtered)
    assert state.surrogate.considered <= 4 * measured + 4


def test_a_recalled_candidate_doesn_t_wait_for_its_twin_in_line(searching: Forecasting) -> None:
    """Recalled, it is measured now; a twin that was written meanwhile waits for it. Each waiting for the other never ended."""
    searching.settings = searching.settings.model_copy(update={"budget": BudgetSettings(max_evaluations=30)})
    searching.search()
    state = state_of(searching)
    assert state.surrogate is not None
    recalled = next(one for one in state.candidates.values() if one.id in state.surrogate.retired and not one.verdicts)
    number = len(state.candidates)
    event = recalled.written.model_copy(update={"candidate": number, "ticket": 9000})
    state.apply(event, 0.0)
    state.by_digest[recalled.written.digest] = number
    state.apply(CandidateRecalled(candidate=recalled.id, ticket=9001), 0.0)
    assert state.twin_of(recalled).id == recalled.id
    assert state.twin_of(state.candidates[number]).id == recalled.id


# ---------------------------------------------------------------------- the log


@pytest.mark.parametrize("parallel", [1, 4])
def test_the_log_folds_to_what_the_live_process_held(searching: Forecasting, parallel: int) -> None:
    searching.parallel = parallel
    searching.search()
    assert searching.journal is not None
    assert picture(read_state(searching.journal.log)) == picture(searching.journal.state)


class StopAfter(FakeEvaluator):
    """Pulls the plug in the middle of an evaluation that never answers."""

    def __init__(self, stop: threading.Event, answers: int) -> None:
        super().__init__(seed=5, landscape=landscape)
        self.stop, self.answers = stop, answers

    def submit(self, job: Job) -> Future[Verdict]:
        if self.answers == 0:
            self.stop.set()
            return Future()
        self.answers -= 1
        return super().submit(job)


def cut_and_resumed(searching: Forecasting, folder: Path, answers: int) -> Forecasting:
    """The same search, killed in the middle of an evaluation after so many answers, and taken up again."""
    cut = Forecasting(folder, searching.settings, forecaster=type(searching.forecaster)(), past=searching.past)
    cut.evaluator = lambda: StopAfter(cut.stop, answers)
    interrupted = cut.search().status == "interrupted"
    cut.stop.clear()
    cut.evaluator, cut.forecaster = searching.evaluator, type(searching.forecaster)()
    if interrupted:
        cut.reopen()
        cut.search()
    return cut


@pytest.mark.parametrize("answers", [2, 9, 15])
def test_resuming_before_there_is_trust_gives_the_same_tree(searching: Forecasting, tmp_path: Path, answers: int) -> None:
    searching.past, searching.forecaster = (), Neighbours()
    searching.search()
    cut = cut_and_resumed(searching, tmp_path / "cut", answers)
    ours, theirs = state_of(cut), state_of(searching)
    assert ours.tree is not None
    assert theirs.tree is not None
    assert ours.tree.snapshot() == theirs.tree.snapshot()
    assert ours.surrogate is not None
    assert theirs.surrogate is not None
    assert ours.surrogate.made == theirs.surrogate.made


@pytest.mark.parametrize("answers", [1, 4, 8, 13])
def test_resuming_with_a_line_repeats_nothing_and_keeps_the_limits(searching: Forecasting, tmp_path: Path, answers: int) -> None:
    cut = cut_and_resumed(searching, tmp_path / "cut", answers)
    settled = Counter((event.candidate, event.kind) for event in events_of(cut) if isinstance(event, EvaluationSettled))
    forecast = Counter(event.candidate for event in events_of(cut) if isinstance(event, ForecastMade))
    assert max(settled.values()) == 1
    assert max(forecast.values()) == 1
    state = state_of(cut)
    assert state.evaluations <= 20
    assert not state.open_tickets
    assert cut.journal is not None
    assert picture(read_state(cut.journal.log)) == picture(state)


def test_a_ticket_of_an_older_log_reserves_its_evaluation_at_once() -> None:
    issued = parse_event(
        '{"type":"ticket_issued","ticket":0,"node":1,"kind":"write","mode":"first","attempt":1,"failed_stage":null,"count":null,'
        '"gpu_seconds":60.0,"why":""}'
    )
    assert isinstance(issued, TicketIssued)
    assert issued.evaluations == 1
