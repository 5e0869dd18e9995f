"""A device that is visited in rounds: each visit judges a full round and settles who is promoted, with nothing left to ask for."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ksearch.evaluators import bundle
from ksearch.evaluators.bundle import BundleEvaluator
from ksearch.evaluators.fake import FakeEvaluator
from ksearch.judge.batch import JOB_SUFFIX, judge_folder, read_job, verdict_path
from ksearch.judge.offers import Judged, next_offer
from ksearch.judge.verdict import Job, Offer, Verdict
from ksearch.pending import JudgeStep, PromoteStep
from ksearch.search import Search
from ksearch.steps import Parts
from ksearch.store.events import Opened, RunEnded
from tests.llm.brain import Diligent, plan, proposal, task_of
from tests.llm.conftest import DEFINITION, ROOT, Bench
from tests.llm.messages_server import serving
from tests.llm.test_replay import replay_of

TOGETHER = 8
LIMITS = {"llm": {"concurrency": TOGETHER}, "evaluator": "bundle:work"}


@dataclass
class Visited(Search):
    """Whoever looks after the device comes when nothing else is under way; `visits` counts the jobs of each time."""

    folder: Path = Path()
    visits: list[int] = field(default_factory=list)

    def wait(self) -> RunEnded | None:
        if self.running and all(isinstance(step, JudgeStep | PromoteStep) for step in self.running.values()):
            self.visit()
        return super().wait()

    def visit(self) -> None:
        paths = [path for path in sorted(self.folder.glob(f"*{JOB_SUFFIX}")) if not verdict_path(path).exists()]
        if paths:
            self.visits.append(len(paths))
            list(judge_folder(self.folder, [(path, read_job(path, None)) for path in paths], judged))


def judged(job: Job) -> Verdict:
    return FakeEvaluator(seed=5).verdict(job).model_copy(update={"question": job.question})


@dataclass
class Rounds(Bench):
    def parts(self, models: object = None) -> Parts:
        work = self.folder / "work"
        work.mkdir(parents=True, exist_ok=True)
        return replace(super().parts(), evaluator=BundleEvaluator(work, "cpu"))

    def search_in_rounds(self) -> Visited:
        journal, parts = self.create(), self.parts()
        journal.record(Opened(pid=1, resumed=False, environment={}))
        search = Visited(journal, parts, threading.Event(), folder=self.folder / "work")
        root = threading.Thread(target=self._root_visit, args=(search,), daemon=True)
        root.start()
        try:
            search.run()
        finally:
            parts.evaluator.close()
        return search

    def _root_visit(self, search: Visited) -> None:
        """The root is waited for before the loop begins."""
        while not list(search.folder.glob(f"*{JOB_SUFFIX}")):
            threading.Event().wait(0.02)
        search.visit()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "POLL_S", 0.02)


@pytest.mark.usefixtures("quick")
def test_a_round_needs_one_visit_promotions_included(tmp_path: Path) -> None:
    with serving(Diligent(seed=3, failing=0.2)) as server:
        bench = Rounds(tmp_path / "run", server.url, {**LIMITS, "budget": {"max_evaluations": 33}}, parallel=TOGETHER)
        search = bench.search_in_rounds()
    state = bench.state
    promoted = [c for c in state.candidates.values() if "promote" in c.verdicts and c.written.ticket is not None]
    assert state.evaluations == 33
    assert len(promoted) >= 2, "several candidates were promoted or tried to be"
    assert state.incumbent is not None
    assert search.visits[0] == 1, "the root"
    assert len(search.visits) <= 1 + 5, f"rounds of {TOGETHER}, not one visit for each promotion: {search.visits}"
    assert max(search.visits) == TOGETHER
    asked = {path.name for path in search.folder.glob(f"*{JOB_SUFFIX}")}
    assert len(asked) == 33 + len(promoted), "nobody was promoted whom the search did not ask for"
    replay_of(bench, tmp_path)


@pytest.mark.usefixtures("quick")
def test_the_first_answer_fills_a_round(tmp_path: Path) -> None:
    plans = []

    def brain(body: dict[str, object]) -> object:
        if task_of(body) == "plan":
            plans.append(body)
            return plan([proposal(f"idea_{len(plans)}_{i}") for i in range(TOGETHER)])
        return Diligent(seed=1)(body)

    with serving(brain) as server:  # type: ignore[arg-type]
        bench = Rounds(tmp_path / "run", server.url, {**LIMITS, "budget": {"max_evaluations": 9}}, parallel=TOGETHER)
        search = bench.search_in_rounds()
    assert search.visits == [1, TOGETHER]
    assert "Propose 8 next steps" in str(plans[0])
    assert "Up to 8 candidates are measured together" in str(plans[0])


def job(name: str, speedup: float, **changes: object) -> Job:
    source = ROOT.sources[0].model_copy(update={"content": f'# toy: {{"speedup": {speedup}}}\n# {name}\ndef run(x, y):\n    y.copy_(x)\n'})
    setup = Bench(Path(), "").setup()
    made = {
        "job": name, "kind": "evaluate", "definition": DEFINITION, "workloads": setup.full,
        "solution": ROOT.model_copy(update={"sources": (source,)}),
    }  # fmt: skip
    return Job.model_validate({**made, **changes})


def test_an_offer_is_no_part_of_the_question() -> None:
    plain = job("one", 2.0)
    offered = plain.model_copy(update={"offer": Offer(bar=0.0, promotion=plain)})
    assert offered.question == plain.question


@settings(deadline=None)
@given(st.lists(st.floats(0.5, 4.0), min_size=1, max_size=8, unique_by=lambda speed: round(speed, 2)))
def test_offers_end_with_the_best_and_ask_each_candidate_once(speeds: list[float]) -> None:
    """As the search would: the best first, each next one only if it beats the winner so far; the order of files is no matter."""
    root = job("root", 1.0).solution
    jobs = []
    for index, speed in enumerate(speeds):
        evaluated = job(f"r/{index}/evaluate", speed)
        promotion = job(f"r/{index}/promote", speed, kind="promote", opponent=root)
        jobs.append(evaluated.model_copy(update={"offer": Offer(bar=0.0, promotion=promotion)}))
    known = [Judged(one, judged(one)) for one in jobs]
    asked = []
    while (offer := next_offer(known[::-1])) is not None:
        assert offer.opponent is not None
        asked.append((offer.job, offer.opponent.digest))
        known.append(Judged(offer, judged(offer)))
        assert len(asked) <= len(speeds)
    best = max(range(len(speeds)), key=speeds.__getitem__)
    if speeds[best] > 1.03:
        assert asked == [(f"r/{best}/promote", root.digest)], "the fake measures without noise: nobody beats the winner of the first"
    elif speeds[best] < 1.0:
        assert asked == []


def test_runs_in_one_folder_have_incumbents_of_their_own() -> None:
    root = job("root", 1.0).solution
    known = []
    for run, speed in (("a", 3.0), ("b", 2.0)):
        promotion = job(f"{run}/1/promote", speed, kind="promote", opponent=root)
        evaluated = job(f"{run}/1/evaluate", speed).model_copy(update={"offer": Offer(bar=0.0, promotion=promotion)})
        known.append(Judged(evaluated, judged(evaluated)))
    first = next_offer(known)
    assert first is not None
    second = next_offer([*known, Judged(first, judged(first))])
    assert second is not None
    assert (first.job, second.job) == ("a/1/promote", "b/1/promote")
    assert second.opponent == root
