"""Promotions come late, one at a time, and before the end; what fails one is taken back."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import pytest

from ksearch.evaluators.fake import FakeEvaluator
from ksearch.judge.verdict import Evidence, Job, Stage, Status, Verdict
from ksearch.promotion import EVALUATIONS_FOR_EACH, PATIENCE
from ksearch.settings import BudgetSettings
from ksearch.store.events import EvaluationSettled, Event, IncumbentChanged, PlanRefuted, RunEnded, parse_event
from ksearch.store.fold import RunState
from ksearch.store.journal import Journal, read_state
from ksearch.store.log import EventLog, EventRow
from ksearch.store.promotions import Promotions
from ksearch.tree.types import Failed
from ksearch.worldmodel.catalogue import Catalogue
from tests.search import conftest
from tests.search.conftest import Bench


class Slow(FakeEvaluator):
    """Its verdicts say how long they took, and that promotions take ten times as long; nothing waits."""

    def __init__(self, *, wrong: str = "", device_s: float = 0.0) -> None:
        super().__init__(seed=5, failure_rate=0.2)
        self.wrong, self.device_s = wrong, device_s

    def verdict(self, job: Job) -> Verdict:
        seconds = 17.0 if job.kind == "promote" else 1.7
        if job.kind == "promote" and self.wrong and self.wrong in job.solution.name.removeprefix("toy-"):
            evidence = Evidence(message="wrong at 2049")
            found = Verdict(
                job=job.job, solution=job.solution.digest, status=Status.INCORRECT_NUMERICAL, stage=Stage.HIDDEN, evidence=evidence
            )
        else:
            found = super().verdict(job)
        return found.model_copy(update={"wall_seconds": seconds, "device_seconds": self.device_s * seconds})


@pytest.fixture(autouse=True)
def patient(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """More plans than the budget pays for."""
    letters = "abcdefgh"
    monkeypatch.setattr(conftest, "CATALOGUE", Catalogue("toy", dict.fromkeys(letters, False), tuple(map(conftest.technique, letters))))
    bench.settings = bench.settings.model_copy(update={"budget": BudgetSettings(max_evaluations=64)})
    bench.evaluator = Slow


def events_of(bench: Bench) -> list[Event]:
    assert bench.journal is not None
    return [parse_event(stored.payload) for stored in bench.journal.log.events()]


def answers(bench: Bench) -> Iterator[EvaluationSettled]:
    return (event for event in events_of(bench) if isinstance(event, EvaluationSettled))


def state_of(bench: Bench) -> RunState:
    assert bench.journal is not None
    return bench.journal.state


def promoted_after(bench: Bench) -> list[int]:
    """How many evaluations were answered before each promotion was, the root's own judgement aside."""
    kinds = [answer.kind for answer in answers(bench)][1:]
    return [kinds[:place].count("evaluate") for place, kind in enumerate(kinds) if kind == "promote"]


def test_promotions_take_less_than_a_quarter_of_a_search_of_64_evaluations(bench: Bench) -> None:
    bench.search()
    seconds = {kind: sum(a.wall_seconds for a in list(answers(bench))[1:] if a.kind == kind) for kind in ("evaluate", "promote")}
    assert 0.0 < seconds["promote"] < 0.25 * (seconds["evaluate"] + seconds["promote"])


def test_the_first_comes_once_the_evaluations_have_paid_for_it_and_the_next_much_later(bench: Bench) -> None:
    bench.search()
    assert bench.journal is not None
    *underway, _last = promoted_after(bench)
    for number, count in enumerate(underway):
        assert count * 1.7 >= 17.0 * (1 + EVALUATIONS_FOR_EACH * number)


@pytest.mark.parametrize("parallel", [1, 3])
def test_the_fastest_is_promoted_before_the_search_ends(bench: Bench, parallel: int) -> None:
    bench.parallel = parallel
    assert bench.search().status in ("budget", "done")
    state = state_of(bench)
    assert not state.promotions.waiting
    assert state.incumbent is not None
    rewards = {c.id: c.verdicts["evaluate"].reward or -math.inf for c in state.candidates.values() if "evaluate" in c.verdicts}
    assert state.incumbent.candidate == max(rewards, key=lambda id: rewards[id])


def test_who_was_just_measured_waits_for_something_better(bench: Bench) -> None:
    bench.search()
    count, measured_at = 0, dict[int, int]()
    left = sum(answer.kind == "evaluate" for answer in answers(bench))
    for answer in list(answers(bench))[1:]:
        if answer.kind == "evaluate":
            count += 1
            measured_at[answer.candidate] = count
        else:
            assert count - measured_at[answer.candidate] >= PATIENCE or count == left


def test_without_an_incumbent_the_first_that_passes_is_promoted_at_once(bench: Bench) -> None:
    parts = bench.parts()
    bench.parts = lambda: replace(parts, roots=(replace(parts.roots[0], origin="reference"),))  # type: ignore[method-assign]
    bench.search()
    assert promoted_after(bench)[0] <= 3
    crowned = next(place for place, event in enumerate(events_of(bench)) if isinstance(event, IncumbentChanged))
    assert crowned > 0


def test_what_fails_in_full_is_taken_back_with_what_was_built_on_it(bench: Bench) -> None:
    """Every kernel with technique `b` passes its evaluation and is wrong on a hidden workload."""
    bench.evaluator = lambda: Slow(wrong="b")
    bench.settings = bench.settings.model_copy(update={"merge": False})  # so that `b` gains alone, and is built on
    bench.search()
    state, refuted = state_of(bench), [event for event in events_of(bench) if isinstance(event, PlanRefuted)]
    assert refuted, "the landscape never led there: the test shows nothing"
    assert state.tree is not None
    assert state.incumbent_candidate is not None
    assert "b" not in state.incumbent_candidate.written.name.removeprefix("toy-")
    for event in refuted:
        cause = state.candidates[event.candidate]
        assert (cause.settled, cause.written.node in event.nodes) == (Failed("hidden"), True)
    right = [candidate for candidate in state.candidates.values() if wrong_free(candidate.written.name)]
    best = max(candidate.verdicts["evaluate"].reward or -9.0 for candidate in right if "evaluate" in candidate.verdicts)
    assert state.tree.own_best(state.incumbent_candidate.written.node) == best  # type: ignore[arg-type]


def wrong_free(name: str) -> bool:
    return "b" not in name.removeprefix("toy-")


@pytest.mark.parametrize("wrong", ["", "b"])
def test_a_log_cut_anywhere_goes_on_to_the_same_end(bench: Bench, wrong: str) -> None:
    bench.evaluator = lambda: Slow(wrong=wrong)
    bench.settings = bench.settings.model_copy(update={"budget": BudgetSettings(max_evaluations=24)})
    bench.search()
    whole = state_of(bench)
    assert bench.journal is not None
    stored, blobs = list(bench.journal.log.events()), list(bench.journal.log.blobs())
    late = [n for n, event in enumerate(events_of(bench), 1) if isinstance(event, EvaluationSettled) and event.kind == "promote"]
    for number in sorted({*late[1:][-3:], *(n + 1 for n in late[-2:]), len(stored) * 2 // 3}):
        cut = Bench(bench.folder.parent / f"cut-{number}", bench.settings, evaluator=bench.evaluator)
        log = EventLog.create(cut.folder / "run.sqlite")
        for digest in blobs:
            log.put_blob(bench.journal.log.get_blob(digest))
        log.append([EventRow(event.type, event.payload, event.time) for event in stored[:number]], durable=True)
        cut.journal = Journal.reopen(log)
        cut.search()
        assert picture(state_of(cut)) == picture(whole), f"cut after event {number}"


def picture(state: RunState) -> object:
    assert state.tree is not None
    nodes = [(view.id, view.status, view.subtree) for view in state.tree.nodes()]
    return nodes, state.incumbent, state.ledger.spent, state.promotions


def test_a_promotion_is_paid_only_where_it_can_succeed() -> None:
    promotions = Promotions(bar=1.0)
    for candidate, reward in enumerate((1.0, 1.004, 1.01)):
        promotions.measured(candidate, reward)
    assert list(promotions.waiting) == [2]


def stood(promotions: Promotions, measured: float, gain: float | None, *, promoted: bool = True) -> None:
    event = EvaluationSettled(
        candidate=1, kind="promote", verdict="", status="PASSED", stage=None, message=None, reward=measured, latency_us=1.0,
        baseline_us=1.0, paired_gain=gain, promoted=promoted, device_seconds=1.0, wall_seconds=1.0,
    )  # fmt: skip
    promotions.judged(event, measured, root=False)


def noisy_after_two(sigma: float) -> Promotions:
    """An incumbent whose measurement is known to be right, and another whose measurement says 0.3 more than its pairing."""
    promotions = Promotions(bar=0.0, sigma=sigma)
    stood(promotions, 1.0, 1.0)
    stood(promotions, 1.5, 0.2)
    return promotions


def test_the_bar_of_a_quiet_machine_is_the_measurement_of_who_stands() -> None:
    assert noisy_after_two(sigma=0.001).bar == pytest.approx(1.5, abs=0.01)


def test_a_lucky_measurement_on_a_noisy_machine_does_not_bar_those_behind_it() -> None:
    """By hand: variances of 0.04 measured and 0.0084 paired weigh 1.2 against 1.5 by 0.04 and 0.0484."""
    promotions = noisy_after_two(sigma=0.2)
    assert promotions.bar == pytest.approx((1.2 * 0.04 + 1.5 * 0.0484) / 0.0884)
    promotions.measured(2, 1.45)
    assert list(promotions.waiting) == [2]


def test_who_loses_tells_of_the_incumbent_and_never_raises_the_bar_above_its_own_measurement() -> None:
    promotions = Promotions(bar=0.0, sigma=0.1)
    stood(promotions, 1.0, 1.0)
    stood(promotions, 1.2, 0.1, promoted=False)
    assert 1.0 < promotions.bar < 1.1
    stood(promotions, 1.15, -0.5, promoted=False)
    assert promotions.bar <= 1.15


def test_without_a_pairing_the_greatest_measurement_counts() -> None:
    promotions = Promotions(bar=0.5, sigma=0.1)
    stood(promotions, 0.8, None)
    stood(promotions, 0.7, None)
    assert promotions.bar == 0.8


def test_the_log_folds_to_what_the_live_process_held(bench: Bench) -> None:
    bench.evaluator = lambda: Slow(wrong="b")
    bench.search()
    assert bench.journal is not None
    folded, held = read_state(bench.journal.log), bench.journal.state
    assert (folded.promotions, folded.ledger, folded.incumbent) == (held.promotions, held.ledger, held.incumbent)
    assert folded.tree is not None
    assert held.tree is not None
    assert folded.tree.snapshot() == held.tree.snapshot()


def test_promotions_cost_no_evaluation_and_their_device_time(bench: Bench) -> None:
    bench.search()
    state = state_of(bench)
    assert state.ledger.spent.evaluations == state.evaluations
    assert state.ledger.reserved.gpu_seconds == 0
    starts = [event for event in events_of(bench) if isinstance(event, IncumbentChanged | EvaluationSettled | RunEnded)]
    assert isinstance(starts[-1], RunEnded)
    for before, after in pairwise(starts):
        if isinstance(after, IncumbentChanged):
            assert isinstance(before, EvaluationSettled)
