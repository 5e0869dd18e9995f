"""The loop, end to end in one process: it ends, keeps its limits, folds to what it held, and survives bad luck."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import Future
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from ksearch.errors import BadInput, Unavailable
from ksearch.evaluators.fake import FakeEvaluator
from ksearch.judge.verdict import Evidence, Job, Status, Verdict
from ksearch.settings import BudgetSettings
from ksearch.steps import Parts
from ksearch.store.events import EvaluationSettled, EvaluationStarted, Event, IncumbentChanged, RunCreated, parse_event
from ksearch.store.fold import RunState
from ksearch.store.journal import read_state
from tests.search.conftest import Bench, ToyCoder


def events_of(bench: Bench) -> list[Event]:
    assert bench.journal is not None
    return [parse_event(stored.payload) for stored in bench.journal.log.events()]


def picture(state: RunState) -> dict[str, Any]:
    """Everything of a state that the log must bring back."""
    assert state.tree is not None
    return {
        "tree": state.tree.snapshot(), "open": state.open_tickets, "ledger": state.ledger, "beliefs": state.beliefs,
        "incumbent": state.incumbent, "candidates": state.candidates, "wall": state.wall_seconds,
    }  # fmt: skip


def state_of(bench: Bench) -> RunState:
    assert bench.journal is not None
    return bench.journal.state


def test_a_search_ends_by_its_budget_with_an_incumbent(bench: Bench) -> None:
    ending = bench.search()
    state = state_of(bench)
    assert (ending.status, state.evaluations) == ("budget", 20)
    assert state.incumbent is not None
    rewards = {c.id: c.verdicts["evaluate"].reward for c in state.candidates.values() if "evaluate" in c.verdicts}
    best = max((reward, candidate) for candidate, reward in rewards.items() if reward is not None)
    assert state.incumbent.candidate == best[1], "the incumbent is the fastest kernel that passed"


def test_a_small_space_is_searched_to_its_end(bench: Bench) -> None:
    bench.settings = bench.settings.model_copy(update={"budget": BudgetSettings(max_evaluations=10_000)})
    assert bench.search().status == "done"
    state = state_of(bench)
    assert not state.open_tickets
    digests = Counter(c.written.digest for c in state.candidates.values() if "evaluate" in c.verdicts)
    assert max(digests.values()) == 1, "identical code was measured twice"


@pytest.mark.parametrize("parallel", [1, 4])
def test_the_log_folds_to_what_the_live_process_held(bench: Bench, parallel: int) -> None:
    bench.parallel = parallel
    bench.search()
    assert bench.journal is not None
    assert picture(read_state(bench.journal.log)) == picture(bench.journal.state)


def test_the_ledger_is_empty_of_promises_at_the_end(bench: Bench) -> None:
    bench.parallel = 4
    bench.search()
    ledger = state_of(bench).ledger
    assert (ledger.reserved.evaluations, ledger.spent.evaluations) == (0, 20)


def test_a_technique_that_changes_nothing_costs_no_evaluation(bench: Bench) -> None:
    bench.coder = ToyCoder(same=frozenset("cd"))
    bench.search()
    for candidate in state_of(bench).candidates.values():
        twin = state_of(bench).twin_of(candidate)
        assert candidate.id == twin.id or not candidate.verdicts


def test_promotions_come_one_at_a_time_and_only_they_change_the_incumbent(bench: Bench) -> None:
    bench.parallel = 6
    bench.search()
    running = 0
    promoted: set[int] = set()
    for event in events_of(bench):
        if isinstance(event, EvaluationStarted) and event.kind == "promote":
            running += 1
        elif isinstance(event, EvaluationSettled) and event.kind == "promote":
            running -= 1
            promoted.add(event.candidate)
        elif isinstance(event, IncumbentChanged):
            assert event.candidate in promoted
        assert running <= 1


def test_stopping_is_clean_and_resuming_repeats_nothing(bench: Bench) -> None:
    straight = Bench(bench.folder.parent / "straight", bench.settings)
    straight.search()
    bench.evaluator = lambda: StopAfter(bench.stop, 7)
    assert bench.search().status == "interrupted"
    bench.stop.clear()
    bench.evaluator = lambda: FakeEvaluator(seed=5, failure_rate=0.2)
    bench.reopen()
    assert bench.search().status == "budget"
    settled = Counter((e.candidate, e.kind) for e in events_of(bench) if isinstance(e, EvaluationSettled))
    assert max(settled.values()) == 1
    ours, theirs = state_of(bench), state_of(straight)
    assert ours.tree is not None
    assert theirs.tree is not None
    assert ours.tree.snapshot() == theirs.tree.snapshot()
    assert ours.incumbent == theirs.incumbent


class StopAfter(FakeEvaluator):
    """Pulls the plug in the middle of an evaluation that never answers."""

    def __init__(self, stop: threading.Event, answers: int) -> None:
        super().__init__(seed=5, failure_rate=0.2)
        self.stop, self.answers = stop, answers

    def submit(self, job: Job) -> Future[Verdict]:
        if self.answers == 0:
            self.stop.set()
            return Future()
        self.answers -= 1
        return super().submit(job)


class Flaky(FakeEvaluator):
    """Loses each job `losses` times before it answers."""

    def __init__(self, losses: int, *, final: bool = False) -> None:
        super().__init__(seed=5, failure_rate=0.2)
        self.losses, self.final, self.seen = losses, final, Counter[str]()

    def submit(self, job: Job) -> Future[Verdict]:
        self.seen[job.job] += 1
        lost = Verdict(job=job.job, solution="", status=Status.INFRASTRUCTURE, evidence=Evidence(message="worker lost"), final=self.final)
        future: Future[Verdict] = Future()
        future.set_result(lost if self.seen[job.job] <= self.losses else self.verdict(job))
        return future


def test_a_lost_worker_is_tried_again_and_never_a_kernels_failure(bench: Bench) -> None:
    straight = Bench(bench.folder.parent / "straight", bench.settings)
    straight.search()
    bench.evaluator = lambda: Flaky(1)
    assert bench.search().status == "budget"
    ours, theirs = state_of(bench), state_of(straight)
    assert ours.evaluations == theirs.evaluations
    assert ours.incumbent == theirs.incumbent


def test_an_evaluator_that_never_answers_ends_the_run_and_keeps_it(bench: Bench) -> None:
    bench.evaluator = lambda: Flaky(99)
    with pytest.raises(Unavailable, match="worker lost"):
        bench.search()
    bench.evaluator = lambda: FakeEvaluator(seed=5, failure_rate=0.2)
    bench.reopen()
    assert bench.search().status == "budget"


def test_a_definition_at_fault_ends_the_run_at_once_as_bad_input(bench: Bench) -> None:
    flaky = Flaky(99, final=True)
    bench.evaluator = lambda: flaky
    with pytest.raises(BadInput, match="nothing can be judged: worker lost"):
        bench.search()
    assert sum(flaky.seen.values()) == 1


def test_a_budget_of_nothing_ends_before_anything_runs(bench: Bench) -> None:
    bench.settings = bench.settings.model_copy(update={"budget": BudgetSettings(max_evaluations=0)})
    assert bench.search().status == "no_candidate"
    assert not any(isinstance(event, EvaluationStarted) for event in events_of(bench))


def test_a_time_limit_ends_a_search_that_waits(bench: Bench) -> None:
    bench.settings = bench.settings.model_copy(update={"budget": BudgetSettings(max_time_s=0.5)})
    bench.evaluator = lambda: StopAfter(threading.Event(), 3)
    ending = bench.search()
    assert (ending.status, ending.reason) == ("budget", "time limit of 0.5 s reached")


class Rented(FakeEvaluator):
    """A machine of which each answer costs three cents, and a lost one two."""

    lost = 0

    def submit(self, job: Job) -> Future[Verdict]:
        future: Future[Verdict] = Future()
        verdict = self.verdict(job).model_copy(update={"usd": 0.03})
        if job.job.endswith("/2/evaluate") and not self.lost:
            self.lost = 1
            verdict = Verdict(job=job.job, solution="", status=Status.INFRASTRUCTURE, evidence=Evidence(message="lost"), usd=0.02)
        future.set_result(verdict)
        return future


@pytest.fixture
def rented(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A bench on machines that cost a dollar a minute."""
    bench.evaluator = lambda: Rented(seed=5, failure_rate=0.2)
    parts = Bench.parts
    monkeypatch.setattr(Bench, "parts", lambda self: _priced(parts(self), Decimal("0.0001")))
    return bench


def _priced(parts: Parts, usd_per_second: Decimal) -> Parts:
    return replace(parts, jobs=replace(parts.jobs, usd_per_second=usd_per_second))


def test_a_rented_machine_is_paid_from_the_budget_lost_answers_included(rented: Bench) -> None:
    rented.search()
    state = state_of(rented)
    answers = sum(len(candidate.verdicts) for candidate in state.candidates.values())
    assert state.ledger.spent.usd == Decimal("0.03") * answers + Decimal("0.02")
    assert state.ledger.reserved.usd == 0


def test_no_evaluation_begins_that_could_pass_the_limit_in_dollars(rented: Bench) -> None:
    """Each reserves 600 s of the machine: six cents."""
    rented.settings = rented.settings.model_copy(update={"budget": BudgetSettings(max_usd=0.2)})
    ending = rented.search()
    state = state_of(rented)
    assert (ending.status, state.ledger.spent.usd <= Decimal("0.2")) == ("budget", True)
    assert Decimal("0.2") - state.ledger.spent.usd < Decimal("0.06")


@pytest.mark.parametrize("limit", [0.13, 0.15, 0.17, 0.19, 0.21, 0.25, 0.29, 0.35, 0.41, 0.47, 0.53])
def test_what_is_spent_and_promised_never_passes_the_limit_in_dollars(rented: Bench, limit: float) -> None:
    """Promotions included: one takes what is left where that is less than it may cost, and evaluations leave it something."""
    rented.settings = rented.settings.model_copy(update={"budget": BudgetSettings(max_usd=limit)})
    rented.search()
    assert rented.journal is not None
    first, *rest = rented.journal.log.events()
    created = parse_event(first.payload)
    assert isinstance(created, RunCreated)
    state = RunState.begin(created, rented.settings)
    for stored in rest:
        state.apply(parse_event(stored.payload), stored.time)
        assert state.ledger.spent.usd + state.ledger.reserved.usd <= Decimal(str(limit)), stored.payload
    assert state.ledger.remaining.usd is not None
    assert not state.promotions.waiting or float(state.ledger.remaining.usd) < state.promotions.last_usd, "the fastest was promoted"


class Drifting(FakeEvaluator):
    """Times the baseline anew for each job, as judges that are started anew do, and finds it anything between half and twice."""

    def submit(self, job: Job) -> Future[Verdict]:
        inner, drifted, factor = super().submit(job), Future[Verdict](), 0.5 + int(job.solution.digest[:2], 16) / 170

        def pass_on(done: Future[Verdict]) -> None:
            verdict = done.result()
            rows = [
                row.model_copy(update={"baseline_us": None if row.baseline_us is None else factor * row.baseline_us})
                for row in verdict.workloads
            ]
            drifted.set_result(verdict.model_copy(update={"workloads": tuple(rows)}))

        inner.add_done_callback(pass_on)
        return drifted


def test_a_baseline_that_is_timed_anew_moves_no_reward(bench: Bench) -> None:
    bench.evaluator = Drifting
    bench.search()
    state = state_of(bench)
    assert state.root is not None
    answers = [candidate.verdicts["evaluate"] for candidate in state.candidates.values() if "evaluate" in candidate.verdicts]
    passed = [answer for answer in answers if answer.reward is not None and answer.latency_us is not None]
    assert len({answer.baseline_us for answer in passed}) == 1
    assert [a.reward for a in sorted(passed, key=lambda a: a.latency_us or 0.0)] == sorted((a.reward or 0.0 for a in passed), reverse=True)
    assert state.incumbent is not None
    assert state.incumbent.baseline_us == state.candidates[0].verdicts["promote"].baseline_us
