"""Requests to a search: taken in between its steps, logged, answered; and what a resume finds waiting."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ksearch.asking import ask, requests_of
from ksearch.errors import BadInput
from ksearch.evaluators.fake import FakeEvaluator
from ksearch.settings import BudgetSettings
from ksearch.store.events import BudgetChanged, IdeaBanned, NodePinned, RequestAnswered, TicketIssued
from ksearch.store.inbox import put_request
from ksearch.store.journal import read_state
from ksearch.store.requests import REQUEST, Ban, Budget, Pin, Request, Stop, Unban, Unpin
from tests.search.conftest import Bench
from tests.search.test_search import events_of, picture, state_of


def database(bench: Bench) -> Path:
    return bench.folder / "run.sqlite"


def asked(bench: Bench, *requests: Request) -> list[RequestAnswered]:
    """Leave requests in the closed run, search on, and return the answers."""
    for request in requests:
        put_request(database(bench), request, "test")
    bench.reopen()
    bench.search()
    return [event for event in events_of(bench) if isinstance(event, RequestAnswered)][-len(requests) :]


@pytest.fixture
def paused(bench: Bench) -> Iterator[Bench]:
    """A run whose budget of 6 is spent."""
    bench.settings = bench.settings.model_copy(update={"budget": BudgetSettings(max_evaluations=6)})
    assert bench.search().status == "budget"
    assert bench.journal is not None
    bench.journal.log.close()
    yield bench
    bench.journal.log.close()


def test_a_raised_budget_that_waited_is_the_first_thing_a_resume_takes_in(paused: Bench) -> None:
    (answer,) = asked(paused, Budget(limits={"max_evaluations": 9}))
    assert answer.outcome == "done"
    assert state_of(paused).evaluations == 9
    assert state_of(paused).settings.budget.max_evaluations == 9


def test_a_pin_and_a_ban_hold_in_the_search_that_follows(paused: Bench) -> None:
    tree = state_of(paused).tree
    assert tree is not None
    node = next(view for view in tree.nodes() if view.parent == 0 and view.own.best is not None)
    before = len(events_of(paused)) if paused.reopen() else 0
    assert paused.journal is not None
    paused.journal.log.close()
    answers = asked(paused, Pin(node=node.id), Ban(idea="d"), Budget(limits={"max_evaluations": 12}))
    assert [answer.outcome for answer in answers] == ["done"] * 3
    later = events_of(paused)[before:]
    issued = [event for event in later if isinstance(event, TicketIssued)]
    assert issued[0].why.startswith(f"node {node.id} is pinned")
    assert {"node_pinned", "idea_banned", "budget_changed"} <= {event.type for event in later}
    final = state_of(paused).tree
    assert final is not None
    assert final.pins == (node.id,)
    opened_after = [event for event in later if event.type == "arm_opened"]
    assert opened_after
    assert all("d|" not in str(event) for event in opened_after)


def test_the_log_brings_back_what_was_steered(paused: Bench) -> None:
    asked(paused, Pin(node=1), Ban(idea="d"), Unban(idea="d"), Ban(idea="c"), Unpin(node=1), Budget(limits={"max_evaluations": 12}))
    assert paused.journal is not None
    assert picture(read_state(paused.journal.log)) == picture(state_of(paused))


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (Pin(node=0), "root"),
        (Pin(node=999), "no node 999"),
        (Unpin(node=999), "no node 999"),
        (Budget(limits={"max_evaluation": 5}), "did you mean max_evaluations"),
        (Budget(limits={"max_evaluations": -5}), "max_evaluations"),
        (Budget(limits={"max_evaluations": 7.5}), "max_evaluations"),
        (Stop(), "before this search"),
    ],
    ids=str,
)
def test_what_cant_be_met_is_refused_with_a_reason_and_logged(paused: Bench, request_: Request, reason: str) -> None:
    before = state_of(paused).settings
    (answer,) = asked(paused, request_)
    assert answer.outcome == "refused"
    assert reason in (answer.reason or "")
    assert state_of(paused).settings == before
    assert [status.outcome for status in requests_of(str(paused.folder), None)] == ["refused"]


def test_a_wish_that_holds_already_is_done_without_a_change(paused: Bench) -> None:
    asked(paused, Ban(idea="d"), Ban(idea="d"), Unpin(node=1))
    assert [event.type for event in events_of(paused) if isinstance(event, IdeaBanned | NodePinned)] == ["idea_banned"]


def test_a_budget_lowered_below_what_is_spent_ends_the_search(paused: Bench) -> None:
    asked(paused, Budget(limits={"max_evaluations": 2}))
    ended = state_of(paused).ended
    assert ended is not None
    assert ended.status == "budget"
    assert state_of(paused).evaluations == 6


def test_a_request_of_an_unknown_kind_is_refused_and_the_search_goes_on(paused: Bench) -> None:
    import sqlite3

    connection = sqlite3.connect(database(paused))
    connection.execute("""INSERT INTO inbox (time, origin, request) VALUES (0, 'later program', '{"kind": "dance"}')""")
    connection.commit()
    connection.close()
    (answer,) = asked(paused, Budget(limits={"max_evaluations": 7}))
    assert answer.outcome == "done"
    assert paused.journal is not None
    first, second = paused.journal.log.inbox()
    assert (first.outcome, second.outcome) == ("refused", "done")


def test_a_running_search_takes_requests_in_and_stops_when_asked(bench: Bench) -> None:
    bench.settings = bench.settings.model_copy(update={"budget": BudgetSettings(max_evaluations=10_000)})
    bench.evaluator = lambda: FakeEvaluator(seed=5, delay_s=0.05, failure_rate=0.2)
    bench.create()
    ending: list[str] = []
    path = database(bench)

    def ask_from_outside() -> None:
        time.sleep(0.5)
        put_request(path, Budget(limits={"max_evaluations": 9_999}), "test")
        put_request(path, Stop(), "test")

    thread = threading.Thread(target=ask_from_outside)
    thread.start()
    ending.append(bench.search().status)
    thread.join()
    assert ending == ["interrupted"]
    assert any(isinstance(event, BudgetChanged) for event in events_of(bench))


def test_asking_refuses_at_once_what_could_never_be_met(paused: Bench) -> None:
    run = str(paused.folder)
    for request in (Pin(node=0), Pin(node=999), Budget(limits={"max_tokenz": 3}), Stop()):
        with pytest.raises(BadInput):
            ask(run, request, None, wait_s=0)
    assert requests_of(run, None) == []
    status = ask(run, Ban(idea="dd"), None, wait_s=5)
    assert status.outcome == "waiting", "with nobody searching it doesn't wait for an answer"
    assert "did you mean 'd'" in (status.note or "")


@pytest.mark.parametrize("limit", ["inf", "-Infinity", "nan", "many", None])
def test_only_finite_limits_and_null_are_limits(limit: str | None) -> None:
    fields = {"kind": "budget", "limits": {"max_usd": limit}}
    if limit is None:
        assert REQUEST.validate_python(fields) == Budget(limits={"max_usd": None})
        return
    with pytest.raises(ValidationError):
        REQUEST.validate_python(fields)


@settings(max_examples=40)
@given(st.text(max_size=30))
def test_ideas_are_stored_as_they_are_or_refused(idea: str) -> None:
    try:
        request = REQUEST.validate_python({"kind": "ban", "idea": idea})
    except ValidationError:
        assert not idea or any(ord(char) < 32 or 127 <= ord(char) < 160 or 0xD800 <= ord(char) < 0xE000 for char in idea)
        return
    assert REQUEST.validate_json(REQUEST.dump_json(request)) == request
    assert str(request) == f"ban {idea}"
