"""The live loop over recorded arrivals."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from typing import Any

from ksearch.llm.types import Role
from ksearch.parts import Answer, Parts
from ksearch.pending import ForecastBatch, JudgeStep, PromoteStep, ProposeStep, WriteStep
from ksearch.replay.recorded import Diverged, RecordedDesk, RecordedEvaluator
from ksearch.replay.sittings import KILLED, Arrival, LoopEvent, Sitting, sittings_of
from ksearch.search import Search
from ksearch.steering import NOTHING as NO_WISH
from ksearch.steering import meet
from ksearch.store.events import (
    BudgetBlocked,
    CandidateWritten,
    EvaluationLost,
    EvaluationSettled,
    Event,
    ForecastMade,
    ModelCallSettled,
    ModelCallStarted,
    NothingWritten,
    Opened,
    RequestAnswered,
    RunEnded,
    TicketSettled,
    parse_event,
)
from ksearch.store.fold import RunState
from ksearch.store.journal import Journal
from ksearch.store.log import EventLog

NOTHING = Sitting((), None, settles_root=False)
MOST_IDLE_ROUNDS = 3
"""Rounds of the loop in a row that may pass between two arrivals: one settles a ticket, the next asks for another."""

PATIENCE_S = 60.0
"""Longest that planner or coder may take from one recorded answer to the next question."""


@dataclass
class Replay(Search):
    """A search whose arrivals are those of a sitting, in their order. `parts` hold a RecordedDesk and a RecordedEvaluator."""

    sitting: Sitting = NOTHING
    left: deque[deque[Arrival]] = field(default_factory=deque)
    requests: deque[RequestAnswered] = field(default_factory=deque)
    idle_rounds: int = 0
    own_events: int = 0
    """What the loop did since the last arrival."""

    def wait(self) -> RunEnded | None:
        """Take the next batch, as far as what it answers is under way: the live loop may have gone round without any arrival."""
        batch = self.left[0] if self.left else deque[Arrival]()
        self.idle_rounds = 0 if batch and self._expected(batch[0]) else self.idle_rounds + 1
        while batch and self._expected(batch[0]):
            self._take(batch.popleft())
            self.own_events = 0
        if self.left and not batch:
            self.left.popleft()
        if self.idle_rounds > MOST_IDLE_ROUNDS:
            after = _describe(self.left[0][0]) if self.left else "its end"
            raise Diverged(f"the record goes on with {after}, which this program doesn't wait for")
        return self.interruption()

    def heed(self) -> RunEnded | None:
        """What had been asked of the sitting by the time it began; what was asked later arrives like anything else."""
        while self.requests:
            self._heed_again(self.requests.popleft())
        return self.interruption()

    def count(self, event: Event, _state: RunState) -> None:
        self.own_events += isinstance(event, LoopEvent)

    def _expected(self, arrival: Arrival) -> bool:
        match arrival:
            case ModelCallStarted(role=Role.SURROGATE) | RequestAnswered():
                return True
            case ModelCallSettled():
                return arrival.call in self.state.calls
            case ForecastMade():
                return self._asked_about(arrival.candidate) is not None
            case EvaluationSettled() | EvaluationLost():
                return self._judging(arrival.candidate, JudgeStep if arrival.kind == "evaluate" else PromoteStep) is not None
            case _:
                return self._working_on(arrival.ticket) is not None

    def interruption(self) -> RunEnded | None:
        """The sitting's own end once all has arrived and the loop has done what it did; limits of time have no say in a replay."""
        if self.left or self.own_events < self.sitting.tail or (self.sitting.settles_root and self.state.tree is None):
            return None
        return self.sitting.ending or RunEnded(status="interrupted", reason=KILLED)

    def ending(self) -> RunEnded | None:
        return None if self.left else super().ending()

    @property
    def desk(self) -> RecordedDesk:
        assert isinstance(self.parts.models, RecordedDesk)
        return self.parts.models

    def _take(self, arrival: Arrival) -> None:
        match arrival:
            case RequestAnswered():
                self._heed_again(arrival)
            case ModelCallStarted(role=Role.SURROGATE):
                self.desk.book(self.journal, arrival)
            case ModelCallStarted(ticket=ticket):
                self._until_asked(ticket)
                self.desk.start(self.journal, arrival)
            case BudgetBlocked(ticket=ticket):
                self._until_asked(ticket)
                self.desk.block(self.journal, arrival)
            case ModelCallSettled():
                self.desk.settle_recorded(self.journal, arrival)
            case ForecastMade():
                self._forecast_made(arrival)
            case CandidateWritten(ticket=int(ticket)) | NothingWritten(ticket=ticket) | TicketSettled(ticket=ticket):
                self._finish(self._until_done(ticket))
                self._check(arrival)
            case EvaluationSettled() | EvaluationLost():
                self._finish(self._found(self._judging(arrival.candidate, JudgeStep if arrival.kind == "evaluate" else PromoteStep)))
            case _:
                raise Diverged(f"{arrival.type} of the root came after the search began")

    def _heed_again(self, arrival: RequestAnswered) -> None:
        """What another process asked for comes to what it came to then; a stop shows in the sitting's end."""
        met = meet(self.state, arrival.request, arrival.asked_at) if arrival.outcome == "done" else NO_WISH
        self.journal.record_changes(met.changes, arrival, *met.events, durable=True)

    def _until_asked(self, ticket: int | None) -> None:
        """Wait for the question of a ticket. Raises Diverged when it finishes without asking, or never asks."""
        future = self._found(self._working_on(ticket))
        while True:
            self.desk.collect(self.journal)
            if self.desk.asking(ticket) is not None:
                return
            if future.done():
                raise Diverged(f"ticket {ticket}: the record asks a model once more, this program is content")
            self._pause(ticket, self.desk.bell, future)

    def _until_done(self, ticket: int) -> Future[Answer]:
        """Wait for the work on a ticket. Raises Diverged when it asks a model where the record doesn't."""
        future = self._found(self._working_on(ticket))
        while not future.done():
            watched: list[Future[Any]] = [future]
            if self.parts.models is not None:
                self.desk.collect(self.journal)
                watched.append(self.desk.bell)
                if (post := self.desk.asking(ticket)) is not None:
                    tail = post.intent.request.text()[-1500:]
                    raise Diverged(f"ticket {ticket}: this program asks a model once more than the record:\n...{tail}")
            self._pause(ticket, *watched)
        return future

    def _pause(self, ticket: int | None, *watched: Future[Any]) -> None:
        if not wait(watched, timeout=PATIENCE_S, return_when=FIRST_COMPLETED).done:
            raise Diverged(f"ticket {ticket}: nothing came within {PATIENCE_S:g} s")

    def _forecast_made(self, arrival: ForecastMade) -> None:
        """The question ends with the forecast of its last candidate."""
        future = self._found(self._asked_about(arrival.candidate))
        self.journal.record(arrival)
        step = self.running[future]
        assert isinstance(step, ForecastBatch)
        if arrival.candidate == step.candidates[-1]:
            del self.running[future]

    def _asked_about(self, candidate: int) -> Future[Answer] | None:
        for future, step in self.running.items():
            if isinstance(step, ForecastBatch) and candidate in step.candidates:
                return future
        return None

    def _finish(self, future: Future[Answer]) -> None:
        if not future.done():
            raise Diverged(f"{self.running[future]}: the record has a verdict here that this program doesn't wait for")
        self.steps.finish(self.running.pop(future), future.result())

    def _working_on(self, ticket: int | None) -> Future[Answer] | None:
        for future, step in self.running.items():
            if isinstance(step, ProposeStep | WriteStep) and step.ticket.ticket == ticket:
                return future
        return None

    def _judging(self, candidate: int, kind: type[JudgeStep] | type[PromoteStep]) -> Future[Answer] | None:
        for future, step in self.running.items():
            if isinstance(step, kind) and step.candidate == candidate:
                return future
        return None

    @staticmethod
    def _found(future: Future[Answer] | None) -> Future[Answer]:
        assert future is not None, "an arrival is taken only when it is expected"
        return future

    def _check(self, arrival: Arrival) -> None:
        """Stops at the first kernel that differs, before anything is said of it."""
        if isinstance(arrival, CandidateWritten):
            assert isinstance(self.parts.evaluator, RecordedEvaluator)
            mine = self.state.candidates.get(arrival.candidate)
            if mine is None:
                raise Diverged(f"candidate {arrival.candidate}: this program wrote none")
            self.parts.evaluator.check(arrival.candidate, self.steps.questions.solution(mine))


def _describe(arrival: Arrival) -> str:
    if isinstance(arrival, RequestAnswered):
        return f"request {arrival.number}"
    subject = f"ticket {arrival.ticket}" if hasattr(arrival, "ticket") else f"candidate {getattr(arrival, 'candidate', '?')}"
    return f"{arrival.type} of {subject}"


def replay(record: EventLog, journal: Journal, parts_for: Callable[[RecordedDesk], Parts]) -> None:
    """Run every sitting of a record again into `journal`, each with parts of its own. Raises Diverged."""
    for number, sitting in enumerate(sittings_of([parse_event(stored.payload) for stored in record.events()])):
        for change in sitting.changes:
            journal.record(change)
        journal.record(Opened(pid=0, resumed=number > 0, environment={}))
        for bounds in sitting.bounds:
            journal.log.put_blob(record.get_blob(bounds.bounds))
            journal.record(bounds)
        for told in sitting.recalled:
            journal.record(told)
        parts = parts_for(RecordedDesk(record))
        search = Replay(journal, parts, threading.Event(), sitting=sitting)
        search.left, search.requests = deque(map(deque, sitting.batches)), deque(sitting.requests)
        journal.observers.append(search.count)
        search.run()
        journal.observers.remove(search.count)
