"""A run open for writing: every event goes to the log first and into the state next, so the two can't differ."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ksearch.settings import Settings
from ksearch.store.changes import TreeEvent, to_event
from ksearch.store.events import Event, RunCreated, parse_event
from ksearch.store.fold import BrokenLog, RunState
from ksearch.store.log import EventLog, EventRow, InboxAnswer
from ksearch.tree.types import Change

if TYPE_CHECKING:
    from ksearch.judge.verdict import Verdict

Observer = Callable[[Event, RunState], None]


def read_state(log: EventLog, *, books: bool = True) -> RunState:
    """Fold a whole log; without `books` (ledger and beliefs) faster, for a look at it.

    Raises BrokenLog when the log doesn't start with run_created or contradicts itself.
    """
    follower = Follower(log, books=books)
    follower.follow()
    return follower.state


class Follower:
    """A state that grows with its log: `follow` folds what is new, up to event `seq`. Raises BrokenLog as `read_state` does."""

    def __init__(self, log: EventLog, *, books: bool = True) -> None:
        first = next(log.events(), None)
        header = None if first is None else parse_event(first.payload)
        if first is None or not isinstance(header, RunCreated):
            raise BrokenLog("the log does not begin with run_created")
        self._log, self.seq = log, first.seq
        self.state = RunState.begin(header, Settings.model_validate_json(log.get_blob(header.settings)), books=books)
        self.state.last_time = first.time

    def follow(self) -> None:
        state, seq = self.state, self.seq
        with no_collections():
            for stored in self._log.events(after=seq):
                state.replay(stored.seq, stored.payload, stored.time)
                seq = stored.seq
        self.seq = seq


@contextmanager
def no_collections() -> Iterator[None]:
    """Pause the cyclic garbage collector.

    Folding leaves nothing behind that only it would find: its passes over a growing state are wasted.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


@dataclass(slots=True)
class Held:
    """Recorded, and committed together with what follows."""

    rows: list[EventRow] = field(default_factory=list)
    answers: list[InboxAnswer] = field(default_factory=list)
    durable: bool = False

    def add(self, rows: Sequence[EventRow], answers: Sequence[InboxAnswer], *, durable: bool) -> None:
        self.rows += rows
        self.answers += answers
        self.durable = self.durable or durable


@dataclass
class Journal:
    """The only writer of a run. Not thread-safe: the search loop owns it."""

    log: EventLog
    state: RunState
    observers: list[Observer] = field(default_factory=list)
    _held: Held | None = None

    @classmethod
    def create(cls, log: EventLog, header: RunCreated, settings: Settings) -> Journal:
        now = time.time()
        log.append([_row(header, now)], durable=True)
        state = RunState.begin(header, settings)
        state.last_time = now
        return cls(log, state)

    @classmethod
    def reopen(cls, log: EventLog) -> Journal:
        return cls(log, read_state(log))

    def record(self, *events: Event, durable: bool = False, tree_done: bool = False, answers: Sequence[InboxAnswer] = ()) -> None:
        """Append in one transaction, then fold, then tell the observers. `answers` are given to the inbox with it."""
        now = time.time()
        rows = [_row(event, now) for event in events]
        if self._held is None:
            self.log.append(rows, durable=durable, answers=answers)
        else:
            self._held.add(rows, answers, durable=durable)
        for event in events:
            self.state.apply(event, now, tree_done=tree_done)
        for event in events:
            for observe in self.observers:
                observe(event, self.state)

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is recorded in here is committed as one transaction at the end, so that no interruption falls between.

        Only for what nobody outside acts on before the end: the state has it at once, the log and other processes then.
        """
        assert self._held is None, "transactions don't nest"
        held = self._held = Held()
        try:
            yield
        finally:
            self._held = None
            if held.rows or held.answers:
                self.log.append(held.rows, durable=held.durable, answers=held.answers)

    def record_changes(
        self,
        changes: Sequence[Change],
        *before: Event,
        gpu_seconds: float = 0.0,
        evaluations: int = 1,
        usd: float = 0.0,
        durable: bool = False,
        answers: Sequence[InboxAnswer] = (),
    ) -> None:
        """Log changes that the live tree has applied already, together with events that belong to the same step."""
        tree_events: tuple[TreeEvent, ...] = tuple(to_event(change, gpu_seconds, evaluations, usd) for change in changes)
        self.record(*before, *tree_events, durable=durable, tree_done=True, answers=answers)

    def put_blob(self, text: str) -> str:
        return self.log.put_blob(text.encode("utf-8", "surrogatepass"))

    def put_verdict(self, verdict: Verdict) -> str:
        return self.put_blob(verdict.model_dump_json())


def _row(event: Event, now: float) -> EventRow:
    return EventRow(event.type, event.model_dump_json(), now)
