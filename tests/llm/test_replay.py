"""A recorded run replayed without a network ends in the same tree; a program that does otherwise is stopped at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ksearch.llm.desk import Desk
from ksearch.llm.record import Answers
from ksearch.parts import Parts
from ksearch.prepare import ModelParts, model_parts
from ksearch.replay.recorded import Diverged, RecordedDesk, RecordedEvaluator
from ksearch.replay.run import check_same
from ksearch.replay.search import replay
from ksearch.store.events import ModelCallSettled, RequestAnswered, parse_event
from ksearch.store.inbox import put_request
from ksearch.store.journal import read_state
from ksearch.store.requests import Ban, Budget, Pin, Request, Unban
from tests.llm.brain import Diligent
from tests.llm.conftest import Bench, bench_of
from tests.llm.messages_server import Body, Error, Say, serving
from tests.llm.test_faults import Stormy

NOWHERE = "http://127.0.0.1:9"


def replay_of(bench: Bench, folder: Path, **changes: Any) -> Bench:
    """The bench's log replayed into a new one, with no server to reach."""
    assert bench.journal is not None
    record = bench.journal.log
    copy = Bench(folder / "replay", NOWHERE, {**bench.changes, **changes}, bench.parallel)
    copy.create()
    assert copy.journal is not None
    evaluator = RecordedEvaluator(record, [parse_event(stored.payload) for stored in record.events()])

    def parts(desk: RecordedDesk) -> Parts:
        mine = copy.parts(model_parts(copy.setup(), desk))
        mine.evaluator.close()
        return replace(mine, evaluator=evaluator)

    replay(record, copy.journal, parts)
    check_same(read_state(record), copy.state)
    return copy


@pytest.mark.parametrize("parallel", [1, 4])
def test_a_replay_ends_in_the_same_tree(tmp_path: Path, parallel: int) -> None:
    with serving(Diligent()) as server:
        bench = bench_of(tmp_path, server, budget={"max_evaluations": 20, "max_usd": 100.0})
        bench.parallel = parallel
        bench.search()
    copy = replay_of(bench, tmp_path)
    assert copy.state.tree is not None
    assert len(copy.state.tree) > 8
    assert copy.state.evaluations == 20


def test_a_replay_of_a_stormy_run_with_broken_answers(tmp_path: Path) -> None:
    with serving(Stormy(seed=6, share=0.5)) as server:
        bench = bench_of(tmp_path, server, budget={"max_evaluations": 15, "max_usd": 1000.0}, llm={"stall_s": 1.0, "tries": 12})
        bench.search()
    endings = {call.settled.ending for call in bench.state.calls.values() if call.settled is not None}
    assert {"complete", "broken"} <= endings
    replay_of(bench, tmp_path)


def test_a_replay_of_a_run_that_was_interrupted_and_resumed(tmp_path: Path) -> None:
    with serving(Diligent()) as server:
        bench = bench_of(tmp_path, server, budget={"max_evaluations": 15, "max_usd": 100.0})
        for calls in (4, 9):
            stopper = threading.Thread(target=stop_at, args=(bench, server, calls), daemon=True)
            stopper.start()
            bench.search()
            stopper.join()
            bench.stop.clear()
            bench.reopen()
        assert bench.search().status == "budget"
    replay_of(bench, tmp_path)


def test_a_replay_of_a_run_that_was_steered(tmp_path: Path) -> None:
    """Limits and bans come where they came, while it searched and while nobody did."""
    over = threading.Event()
    with serving(Diligent()) as server:
        bench = bench_of(tmp_path, server, budget={"max_evaluations": 30, "max_usd": 100.0})
        wishes = ((2, Ban(idea="vectorise")), (3, Pin(node=10_000)), (4, Budget(limits={"max_evaluations": 9})))
        asking = threading.Thread(target=ask_at, args=(bench, server, wishes, over), daemon=True)
        asking.start()
        assert bench.search().status == "budget"
        over.set()
        asking.join()
        assert bench.journal is not None
        bench.journal.log.close()
        for wish in (Budget(limits={"max_evaluations": 14}), Unban(idea="vectorise")):
            put_request(bench.folder / "run.sqlite", wish, "test")
        bench.reopen()
        assert bench.search().status == "budget"
    events = [parse_event(stored.payload) for stored in bench.journal.log.events()]
    answers = [event for event in events if isinstance(event, RequestAnswered)]
    assert [answer.outcome for answer in answers] == ["done", "refused", "done", "done", "done"]
    assert bench.state.evaluations == 14
    replay_of(bench, tmp_path)


def ask_at(bench: Bench, server: Any, wishes: tuple[tuple[int, Request], ...], over: threading.Event) -> None:
    """Put each wish once so many questions were asked."""
    for calls, wish in wishes:
        while len(server.served.bodies) < calls and not over.wait(0.005):
            pass
        put_request(bench.folder / "run.sqlite", wish, "test")


def stop_at(bench: Bench, server: Any, calls: int) -> None:
    while len(server.served.bodies) < calls and not bench.stop.wait(0.005):
        pass
    bench.stop.set()


def test_a_replay_of_a_run_that_spent_its_budget(tmp_path: Path) -> None:
    with serving(Diligent()) as server:
        bench = bench_of(tmp_path, server, budget={"max_tokens": 70_000})
        assert bench.search().status == "budget"
    replay_of(bench, tmp_path)


def test_the_first_request_that_differs_stops_the_replay_and_is_shown(tmp_path: Path) -> None:
    with serving(Diligent()) as server:
        bench = bench_of(tmp_path, server)
        bench.search()
    with pytest.raises(Diverged) as caught:
        replay_of(bench, tmp_path, llm={"effort": "high"})
    message = str(caught.value)
    assert "model call 0 (planner" in message
    assert '-"effort": "medium"' in message.replace(" ", "").replace('"effort":', '"effort": ')
    assert "+" in message


def test_a_replay_without_models(tmp_path: Path) -> None:
    """The playbook's runs replay too, forecasts and all, through the command line, from the log alone."""
    from typer.testing import CliRunner

    from ksearch.cli.main import app

    runner, where = CliRunner(), ["--runs-dir", str(tmp_path)]
    what = ["-d", "rmsnorm", "--device", "cpu", "--evaluator", "fake", "--planner", "playbook", "--max-evaluations", "40"]
    what += ["--surrogate", "neighbours", "--surrogate-budget", "0.5"]
    assert runner.invoke(app, ["run", *what, "--name", "one", *where]).exit_code == 0
    again = runner.invoke(app, ["run", "--replay", "one", "--json", *where])
    assert again.exit_code == 0, again.output
    assert '"same_tree": true' in again.output


@pytest.fixture
def asked_before(tmp_path: Path) -> Iterator[Bench]:
    with serving(Diligent()) as server:
        bench = bench_of(tmp_path, server, budget={"max_evaluations": 8, "max_usd": 100.0})
        bench.parallel = 1
        bench.search()
        yield bench


def test_recorded_answers_are_reused_where_the_request_is_the_same(asked_before: Bench, tmp_path: Path) -> None:
    assert asked_before.journal is not None
    record = Answers.of(asked_before.journal.log)

    def silent(body: Body) -> Say | Error:
        return Error(400, "nobody should have asked")

    with serving(silent) as server:
        again = bench_of(tmp_path / "again", server, budget={"max_evaluations": 8, "max_usd": 100.0})
        again.parallel = 1
        setup = again.setup()
        models = model_parts(setup, Desk(record.take))
        again.search(ModelParts(models.desk, models.planner, models.coder))
        assert server.served.bodies == []
    check_tree(again, asked_before)
    assert again.state.ledger.spent.tokens == 0
    assert again.journal is not None
    settled = [parse_event(stored.payload) for stored in again.journal.log.events()]
    assert all(event.reused for event in settled if isinstance(event, ModelCallSettled))


def check_tree(ours: Bench, theirs: Bench) -> None:
    assert ours.state.tree is not None
    assert theirs.state.tree is not None
    assert ours.state.tree.snapshot() == theirs.state.tree.snapshot()
