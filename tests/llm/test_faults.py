"""Everything that can go wrong between here and a model, from a real server through the real SDK."""

from __future__ import annotations

import itertools
import json
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ksearch.errors import Unavailable
from ksearch.llm.types import Usage
from ksearch.search import POLL_SECONDS
from ksearch.store.events import BudgetBlocked, Event, ModelCallLost, ModelCallStarted, NothingWritten, PlanningFailed, parse_event
from ksearch.store.fold import ModelCall, RunState
from ksearch.store.inbox import put_request
from ksearch.store.journal import read_state
from ksearch.store.requests import Budget
from ksearch.tree.types import NodeId
from tests.llm.brain import Diligent, code, plan, proposal, task_of, write
from tests.llm.conftest import KEY, Bench, bench_of
from tests.llm.messages_server import Body, Error, Say, serving, text, tool

ANSWERED = ("complete", "refused", "truncated")


def events_of(bench: Bench) -> list[Event]:
    assert bench.journal is not None
    return [parse_event(stored.payload) for stored in bench.journal.log.events()]


def usage_of(calls: list[ModelCall]) -> Usage:
    total = Usage()
    for call in calls:
        if call.settled is not None:
            total += Usage(call.settled.input, call.settled.cached, call.settled.written, call.settled.output)
    return total


def check_books(state: RunState) -> None:
    """Nothing is promised any more, and what the ledger says is what the calls took."""
    assert not state.open_tickets
    assert state.ledger.reserved.tokens == 0
    assert all(not call.in_flight for call in state.calls.values())
    assert state.ledger.spent.tokens == usage_of(list(state.calls.values())).total
    assert not state.ledger.overruns, "a reservation was no upper bound"


@dataclass
class Stormy:
    """A diligent model behind an awful network: every kind of failure, in a fixed random order."""

    seed: int
    share: float = 0.5
    inner: Diligent = field(default_factory=lambda: Diligent(seed=3))
    numbers: itertools.count[int] = field(default_factory=itertools.count)
    kinds: Counter[str] = field(default_factory=Counter)

    def __call__(self, body: Body) -> Say | Error:
        chance = random.Random(f"{self.seed} {next(self.numbers)}")
        good = self.inner(body)
        assert isinstance(good, Say)
        if chance.random() > self.share:
            return good
        name = good.content[0]["name"]
        faults: dict[str, Say | Error] = {
            "429": Error(429, "rate_limit_error", "0"),
            "429 plain": Error(429, "rate_limit_error"),
            "529": Error(529, "overloaded_error"),
            "500": Error(500),
            "cut before": Say(good.content, cut=0),
            "cut within": Say(good.content, cut=3),
            "stall": Say(good.content, cut=2, stall_s=4.0),
            "half json": Say([tool(name, good.content[0]["arguments"][: len(good.content[0]["arguments"]) // 2])]),
            "no json": Say([tool(name, "NaN")]),
            "wrong schema": Say([tool(name, {"proposals": "all of them", "files": 3})]),
            "wrong tool": Say([tool("rm_rf", {"path": "/"})]),
            "prose": Say([text("I would tile it.\n```json\n{\"tile\": 3}\n```\n")]),
            "empty": Say([]),
            "refusal": Say([text("no")], stop_reason="refusal"),
            "truncation": Say(good.content, stop_reason="max_tokens"),
            "enormous": Say([tool(name, {"did": "x" * 500_000})]),
            "deep": Say([tool(name, "[" * 100_000)]),
            "surrogate": write("\udc80"),
        }  # fmt: skip
        kind = chance.choice(sorted(faults))
        self.kinds[kind] += 1
        return faults[kind]


@pytest.mark.timeout(120)
def test_a_storm_of_five_hundred_calls(tmp_path: Path) -> None:
    brain = Stormy(seed=1)
    with serving(brain) as server:
        changes = {"budget": {"max_evaluations": 10_000, "max_usd": 1000.0}, "llm": {"stall_s": 1.0, "tries": 12, "concurrency": 8}}
        bench = bench_of(tmp_path, server, **changes)
        bench.parallel = 8
        enough = threading.Thread(target=stop_after, args=(bench, server, 520), daemon=True)
        enough.start()
        ending = bench.search()
    assert ending.status == "interrupted"
    assert len(server.served.bodies) >= 500
    assert len(brain.kinds) == 18, "a kind of failure never came up"
    answered = [call for call in bench.state.calls.values() if call.settled is not None and call.settled.ending in ANSWERED]
    ours, theirs = usage_of(answered), server.served
    # The server counts an answer as it begins to send it; one that the end of the run cut short is lost, not answered.
    others = len(bench.state.calls) - len(answered)
    assert len(answered) <= theirs.calls <= len(answered) + others
    if len(answered) == theirs.calls:
        assert ours == Usage(theirs.input, theirs.cached, theirs.written, theirs.output), "to the token"
    written = sum(event.type == "candidate_written" for event in events_of(bench))
    judged = sum(event.type == "evaluation_settled" and event.kind == "evaluate" for event in events_of(bench))
    assert written > 30
    assert judged >= written - bench.parallel - 1, "a candidate was lost"


def stop_after(bench: Bench, server, calls: int) -> None:  # type: ignore[no-untyped-def]
    while len(server.served.bodies) < calls and not bench.stop.wait(0.01):
        pass
    bench.stop.set()


def test_the_ledger_equals_the_servers_count_to_the_token(tmp_path: Path) -> None:
    with serving(Stormy(seed=2, share=0.3)) as server:
        bench = bench_of(tmp_path, server, budget={"max_evaluations": 25, "max_usd": 1000.0}, llm={"stall_s": 2.0, "tries": 12})
        assert bench.search().status == "budget"
    state, theirs = bench.state, server.served
    check_books(state)
    broken = [call for call in state.calls.values() if call.settled is not None and call.settled.ending == "broken"]
    answered = [call for call in state.calls.values() if call not in broken]
    assert usage_of(answered) == Usage(theirs.input, theirs.cached, theirs.written, theirs.output)
    assert len(broken) == theirs.broken > 0
    for call in broken:
        assert call.settled is not None
        assert call.settled.estimated
        assert call.settled.output == state.settings.llm.max_output_tokens, "an answer that broke off is booked at its longest"
    assert bench.journal is not None
    assert read_state(bench.journal.log).ledger == state.ledger


@pytest.mark.parametrize("budget", [{"max_usd": 1.0}, {"max_tokens": 60_000}])
def test_a_call_that_could_pass_the_limit_is_not_made(tmp_path: Path, budget: dict[str, float]) -> None:
    with serving(Diligent()) as server:
        bench = bench_of(tmp_path, server, budget=budget)
        bench.parallel = 4
        ending = bench.search()
    state = bench.state
    check_books(state)
    assert ending.status == "budget"
    assert "next model call" in ending.reason
    assert any(isinstance(event, BudgetBlocked) for event in events_of(bench))
    assert server.served.calls > 3
    assert server.served.total == state.ledger.spent.tokens
    assert not state.ledger.exceeded
    assert all(call.started.usd >= call.settled.usd for call in state.calls.values() if call.settled is not None)


def test_a_limit_raised_on_resume_goes_on(tmp_path: Path) -> None:
    with serving(Diligent()) as server:
        bench = bench_of(tmp_path, server, budget={"max_tokens": 40_000, "max_evaluations": 6})
        assert bench.search().status == "budget"
        before = bench.state.evaluations
        journal = bench.reopen()
        from ksearch.store.events import BudgetChanged

        journal.record(BudgetChanged(budget=bench.state.settings.budget.model_copy(update={"max_tokens": 1_000_000})))
        assert bench.search().reason == "budget spent: evaluations"
    assert before < bench.state.evaluations == 6


def test_a_rejected_key_ends_the_run_and_is_written_nowhere(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def rejecting(body: Body) -> Say | Error:
        return Error(401, f"your key {KEY} is bad")

    with serving(rejecting) as server:
        bench = bench_of(tmp_path, server)
        with pytest.raises(Unavailable) as caught:
            bench.search()
        assert server.keys == {KEY}, "the key must reach the server, or this proves nothing"
    assert KEY not in str(caught.value)
    assert "[key]" in str(caught.value)
    assert bench.journal is not None
    bench.journal.log.close()
    stored = b"".join(path.read_bytes() for path in bench.folder.iterdir())
    assert KEY.encode() not in stored
    out, err = capfd.readouterr()
    assert KEY not in out + err


def test_a_provider_that_stays_down_is_waited_for_and_then_given_up(tmp_path: Path) -> None:
    with serving(lambda body: Error(529, "overloaded_error")) as server:
        bench = bench_of(tmp_path, server, llm={"tries": 4})
        with pytest.raises(Unavailable, match="gave up after 4 tries"):
            bench.search()
    assert len(server.served.bodies) == 4
    assert bench.state.ledger.spent.tokens == 0
    with serving(Diligent()) as server:
        bench.url = server.url
        bench.reopen()
        assert bench.search().status == "budget", "the run can be taken up when the provider is back"


def test_a_call_in_flight_when_the_process_ends_is_booked_and_asked_again(tmp_path: Path) -> None:
    asked = threading.Event()

    def hanging(body: Body) -> Say | Error:
        asked.set()
        return Say(plan([proposal("a")]).content, cut=1, stall_s=30.0)

    with serving(hanging) as server:
        bench = bench_of(tmp_path, server, llm={"stall_s": 60.0}, budget={"max_evaluations": 4, "max_usd": 50.0})
        threading.Thread(target=lambda: (asked.wait(10), bench.stop.set()), daemon=True).start()
        assert bench.search().status == "interrupted"
    lost = [event for event in events_of(bench) if isinstance(event, ModelCallLost)]
    assert len(lost) == 1
    first = next(event for event in events_of(bench) if isinstance(event, ModelCallStarted))
    assert bench.state.ledger.spent.tokens == first.tokens
    assert bench.state.ledger.spent.usd == first.usd
    bench.stop.clear()
    with serving(Diligent()) as server:
        bench.url = server.url
        bench.reopen()
        assert bench.search().status == "budget"
    again = [event for event in events_of(bench) if isinstance(event, ModelCallStarted)][1]
    assert (again.ticket, again.request) == (first.ticket, first.request), "the same question, for the same ticket"


def test_an_answer_that_was_paid_for_is_not_paid_for_again(tmp_path: Path) -> None:
    """Killed after the first of two calls of one step: the second opening goes on from the first answer."""
    bad = Say([tool("propose", '{"proposals": 3}')])
    seen = itertools.count()

    def brain(body: Body) -> Say | Error:
        if next(seen) == 0:
            return bad
        bench.stop.set()
        return Say(bad.content, cut=1, stall_s=5.0)

    with serving(brain) as server:
        bench = bench_of(tmp_path, server, llm={"stall_s": 60.0}, budget={"max_evaluations": 3, "max_usd": 50.0})
        assert bench.search().status == "interrupted"
    bench.stop.clear()
    with serving(Diligent()) as server:
        bench.url = server.url
        bench.reopen()
        bench.search()
    started = [event for event in events_of(bench) if isinstance(event, ModelCallStarted)]
    assert started[2].request == started[1].request != started[0].request


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Say([text("no")], stop_reason="refusal"), "declined"),
        (Say([tool("write_solution", "{")], stop_reason="max_tokens"), "cut off"),
        (Say([tool("write_solution", '{"files": [')]), "not valid JSON"),
        (write(code(2.0, "x"), followed="yes"), "followed"),
        (write("def walk():\n    return 1\n"), "no function 'run'"),
        (write("def run(:\n"), "not valid Python"),
        (Say([tool("write_solution", {**json.loads(write("def run(): 0").content[0]["arguments"]), "language": "cuda"})]), "not allowed"),
        (Say([tool("write_solution", {**json.loads(write("x").content[0]["arguments"]), "entry_point": "../../x.py::run"})]), "entry"),
        (Say([tool("edit_solution", {"edits": [{"path": "kernel.py", "search": "nowhere", "replace": "x"}], "followed": True,
                                     "did": "", "tunables": []})]), "exactly once"),
        (Say([text("I can't do that in CUDA.")]), "was prose"),
    ],
)  # fmt: skip
def test_an_unusable_answer_is_asked_again_once_and_then_a_failed_attempt(tmp_path: Path, answer: Say, reason: str) -> None:
    writes: Counter[str] = Counter()

    def brain(body: Body) -> Say | Error:
        if task_of(body) == "plan":
            return plan([proposal("only")]) if not writes["plan"] else plan([])
        writes[task_of(body)] += 1
        return answer

    def counting(body: Body) -> Say | Error:
        said = brain(body)
        writes["plan"] += task_of(body) == "plan"
        return said

    with serving(counting) as server:
        bench = bench_of(tmp_path, server)
        assert bench.search().status == "done"
    check_books(bench.state)
    assert bench.state.tree is not None
    node = bench.state.tree.node(NodeId(1))
    assert (node.attempts, node.own.failed, node.failed_stage) == (3, 3, "write")
    reasons = [event.reason for event in events_of(bench) if isinstance(event, NothingWritten)]
    assert len(reasons) == 3
    assert reason in reasons[0]
    per_attempt = 1 if answer.stop_reason == "refusal" else 2
    assert writes["write"] == 3 * per_attempt
    if per_attempt == 2:
        second = [body for body in server.served.bodies if task_of(body) == "write"][1]
        assert "could not be used" in json.dumps(second)


def test_planning_that_never_works_ends_the_search(tmp_path: Path) -> None:
    with serving(lambda body: Say([tool("propose", "[]")])) as server:
        bench = bench_of(tmp_path, server)
        assert bench.search().status == "done"
    assert len(server.served.bodies) == 6, "three proposals at the root, each asked twice"
    assert sum(isinstance(event, PlanningFailed) for event in events_of(bench)) == 3


@dataclass
class Lowering(Diligent):
    """Lowers the limit of evaluations below what is promised before it gives the first kernel, in a form that must be asked for again."""

    folder: Path | None = None

    def __call__(self, body: Body) -> Say | Error:
        if task_of(body) != "write" or self.folder is None:
            return super().__call__(body)
        put_request(self.folder / "run.sqlite", Budget(limits={"max_evaluations": 1}), "test")
        self.folder = None
        time.sleep(3 * POLL_SECONDS)
        return Say([text("Here is the kernel.")])


def test_a_limit_lowered_below_what_is_promised_keeps_no_question_waiting(tmp_path: Path) -> None:
    brain = Lowering()
    with serving(brain) as server:
        bench = bench_of(tmp_path, server, budget={"max_evaluations": 20, "max_usd": 100.0})
        brain.folder = bench.folder
        assert bench.search().status == "budget"
    assert bench.state.settings.budget.max_evaluations == 1
    assert not bench.state.open_tickets
