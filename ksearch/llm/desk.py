"""Where model calls are booked: threads that ask models post here, the loop that owns the log answers.

A call is opened, which reserves its upper bound or refuses it, and settled with what it took. A call that would fit if
others in flight ended below their bounds waits for them; one that can't fit any more is refused before it is made.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TypeAlias

from pydantic import TypeAdapter

from ksearch.budget import Resource
from ksearch.llm.prices import Bound
from ksearch.llm.types import Cancelled, Reply, Request, Role, Usage
from ksearch.store.events import BudgetBlocked, CallEnding, ModelCallSettled, ModelCallStarted
from ksearch.store.journal import Journal

REPLY: TypeAdapter[Reply] = TypeAdapter(Reply)
UNITS = {Resource.USD: "US dollars", Resource.TOKENS: "tokens"}


class OutOfBudget(Exception):
    """The call could exceed a limit, so it was not made."""


@dataclass(frozen=True, slots=True)
class Intent:
    """A call that somebody wants to make, for a ticket of the search (None: for no particular one)."""

    role: Role
    model: str
    ticket: int | None
    node: int | None
    request: Request
    bound: Bound


@dataclass(frozen=True, slots=True)
class Opening:
    """`reply` is an answer that the record already holds; then there is nothing to send and nothing to settle."""

    call: int
    reply: Reply | None = None


@dataclass(frozen=True, slots=True)
class Settlement:
    """How a call ended; `reply` None for one that broke off or failed."""

    call: int
    ending: CallEnding
    reply: Reply | None
    usage: Usage
    usd: Decimal
    estimated: bool
    tries: int
    seconds: float
    error: str | None = None


Record: TypeAlias = Callable[[Intent, str], Reply | None]
"""Looks an answer up in another run's record, by the intent and its request's digest."""


@dataclass(slots=True)
class Posted:
    """A call that somebody wants to make, and where the permission goes."""

    intent: Intent
    answer: Future[Opening]


class Desk:
    """`open` and `settle` are for the asking threads, everything else for the thread that owns the journal."""

    def __init__(self, record: Record | None = None) -> None:
        self.bell: Future[None] = Future()
        """Done as soon as something was posted; replaced by each `serve`."""
        self.cancelled = threading.Event()
        self._posted: queue.SimpleQueue[Posted | Settlement] = queue.SimpleQueue()
        self._waiting: deque[Posted] = deque()
        self._served: set[int] = set()
        self._record = record

    # ------------------------------------------------------------------ asking threads

    def open(self, intent: Intent) -> Opening:
        """Blocks until the call may be made. Raises OutOfBudget, or Cancelled when the run is ending."""
        post = Posted(intent, Future())
        self._post(post)
        if self.cancelled.is_set():
            raise Cancelled("the run is ending")
        return post.answer.result()

    def settle(self, settlement: Settlement) -> None:
        self._post(settlement)

    def _post(self, message: Posted | Settlement) -> None:
        self._posted.put(message)
        with suppress(InvalidStateError):
            self.bell.set_result(None)

    # ------------------------------------------------------------------ the journal's thread

    def serve(self, journal: Journal) -> None:
        """Book what was posted since the last time, in order; then let in what was waiting for room."""
        self.bell = Future()
        while not self._posted.empty():
            message = self._posted.get()
            if isinstance(message, Posted):
                self._waiting.append(message)
            else:
                self._settle(journal, message)
        self._let_in(journal)

    def book_answered(self, journal: Journal) -> None:
        """Book the answers that came since the last time, and let nobody in: for the end of a run."""
        while not self._posted.empty():
            message = self._posted.get()
            if isinstance(message, Posted):
                self._waiting.append(message)
            elif journal.state.calls[message.call].in_flight:
                self._settle(journal, message)

    def close(self) -> None:
        """Send everybody away: calls in flight are given up, calls not yet made are cancelled."""
        self.cancelled.set()
        while not self._posted.empty():
            message = self._posted.get()
            if isinstance(message, Posted):
                self._waiting.append(message)
        while self._waiting:
            self._waiting.popleft().answer.set_exception(Cancelled("the run is ending"))

    def _let_in(self, journal: Journal) -> None:
        """First come, first served: a large call isn't starved by small ones."""
        while self._waiting:
            post = self._waiting[0]
            try:
                opening = self._opened(journal, post.intent)
            except OutOfBudget as refusal:
                post.answer.set_exception(refusal)
            else:
                if opening is None:
                    return
                post.answer.set_result(opening)
            self._waiting.popleft()

    def _opened(self, journal: Journal, intent: Intent) -> Opening | None:
        """None: not now, but perhaps when others have settled."""
        digest = journal.put_blob(intent.request.canonical())
        known = self._answered_before(journal, intent, digest)
        if known is not None:
            return known
        number = len(journal.state.calls)
        recorded = self._record(intent, digest) if self._record is not None else None
        if recorded is not None:
            self._start(journal, number, replace(intent, bound=Bound(Usage(), Decimal(0))), digest)
            self._settle(journal, Settlement(number, recorded.ending.value, recorded, Usage(), Decimal(0), False, 0, 0.0), reused=True)
            return Opening(number, recorded)
        if not self._fits(journal, intent):
            return None
        self._start(journal, number, intent, digest)
        return Opening(number)

    def _answered_before(self, journal: Journal, intent: Intent, digest: str) -> Opening | None:
        """The answer to the same question of the same ticket, asked before the run was interrupted. Each is given out once."""
        for number, call in journal.state.calls.items():
            done, same = call.settled, call.started.ticket == intent.ticket and call.started.request == digest
            if same and intent.ticket is not None and done is not None and done.answer is not None and number not in self._served:
                self._served.add(number)
                return Opening(number, REPLY.validate_json(journal.log.get_blob(done.answer)))
        return None

    def _fits(self, journal: Journal, intent: Intent) -> bool:
        """Raises OutOfBudget when no settlement of others could make room."""
        ledger, bound = journal.state.ledger, intent.bound
        for resource in (Resource.USD, Resource.TOKENS):
            limit, wanted = ledger.limits[resource], bound.amounts[resource]
            if limit is not None and ledger.spent[resource] + wanted > limit:
                left = limit - ledger.spent[resource]
                reason = f"{left:f} {UNITS[resource]} are left and the next model call may take up to {wanted:f}"
                if intent.role is not Role.SURROGATE:  # without forecasts the search goes on: everything is measured
                    journal.record(BudgetBlocked(ticket=intent.ticket, resource=resource, reason=reason), durable=True)
                raise OutOfBudget(reason)
        # A limit of something else that was lowered below what is promised must not keep a call from the ticket that holds the promise.
        return not any(bound.amounts[resource] > 0 for resource in ledger.blocking(bound.amounts))

    def _start(self, journal: Journal, number: int, intent: Intent, digest: str) -> None:
        journal.record(
            ModelCallStarted(
                call=number, role=intent.role, model=intent.model, ticket=intent.ticket, node=intent.node, request=digest,
                usd=intent.bound.usd, tokens=intent.bound.usage.total,
            ),
            durable=True,
        )  # fmt: skip

    def _settle(self, journal: Journal, end: Settlement, *, reused: bool = False) -> None:
        self._served.add(end.call)
        answer = None if end.reply is None else journal.put_blob(REPLY.dump_json(end.reply).decode("utf-8", "surrogatepass"))
        usage = end.usage
        journal.record(
            ModelCallSettled(
                call=end.call, ending=end.ending, answer=answer, input=usage.input, cached=usage.cached, written=usage.written,
                output=usage.output, usd=end.usd, estimated=end.estimated, tries=end.tries, seconds=round(end.seconds, 3),
                error=end.error, reused=reused,
            ),
            durable=True,
        )  # fmt: skip
