"""Asking a model: book, send, wait out what passes, settle. The only place that calls a provider."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from decimal import Decimal

from ksearch.errors import Unavailable
from ksearch.llm.desk import Desk, Intent, Opening, Settlement
from ksearch.llm.names import ModelName
from ksearch.llm.prices import Bound, Price, bound_of
from ksearch.llm.retry import Backoff
from ksearch.llm.types import Broken, Cancelled, Fatal, Message, Part, Provider, Reply, Request, Role, Tool, Transient, Usage
from ksearch.store.events import CallEnding

CANCEL_POLL_S = 0.1
NOTHING = Bound(Usage(), Decimal(0))


@dataclass(frozen=True, slots=True)
class Line:
    """A role's connection to its model."""

    name: ModelName
    provider: Provider
    price: Price
    max_output_tokens: int
    effort: str | None


@dataclass(frozen=True, slots=True)
class Inquiry:
    """What a role asks, for the ticket and node that it is booked on."""

    role: Role
    ticket: int | None
    node: int | None
    system: tuple[Part, ...]
    messages: tuple[Message, ...]
    tools: tuple[Tool, ...]


@dataclass
class Asker:
    """Blocks the thread that asks, never the loop. Several threads may ask; `slots` bounds the calls in flight."""

    lines: Mapping[Role, Line]
    desk: Desk
    backoff: Backoff
    slots: threading.Semaphore

    def ask(self, inquiry: Inquiry) -> Reply:
        """The model's answer. Raises OutOfBudget, Unavailable (after all retries) or Cancelled (the run is ending)."""
        line = self.lines[inquiry.role]
        request = Request(line.name.model, inquiry.system, inquiry.messages, inquiry.tools, line.max_output_tokens, line.effort)
        intent = Intent(inquiry.role, str(line.name), inquiry.ticket, inquiry.node, request, bound_of(request, line.price))
        breaks = 0
        while True:
            opening = self.desk.open(intent)
            if opening.reply is not None:
                return opening.reply
            try:
                return self._attempt(opening, intent, line)
            except Broken as error:
                breaks += 1
                self._pause(breaks, None, error, line)

    def close(self) -> None:
        for line in self.lines.values():
            line.provider.close()

    def _attempt(self, opening: Opening, intent: Intent, line: Line) -> Reply:
        """One booked call. Unbilled failures are waited out within it; a broken answer ends it at its bound."""
        began, failures = time.monotonic(), 0
        while True:
            try:
                reply = self._send(line.provider, intent.request)
            except Transient as error:
                failures += 1
                try:
                    self._pause(failures, error.retry_after_s, error, line)
                except Unavailable:
                    self._settle(opening, "failed", None, NOTHING, failures, began, str(error))
                    raise
            except Fatal as error:
                self._settle(opening, "failed", None, NOTHING, failures + 1, began, str(error))
                raise Unavailable(f"model {line.name.short}: {error}") from error
            except Broken as error:
                self._settle(opening, "broken", None, _most(error, intent, line), failures + 1, began, str(error))
                raise
            else:
                cost = Bound(reply.usage, line.price.cost(reply.usage))
                self._settle(opening, reply.ending.value, reply, cost, failures + 1, began, None)
                return reply

    def _settle(
        self, opening: Opening, ending: CallEnding, reply: Reply | None, cost: Bound, tries: int, began: float, error: str | None
    ) -> None:
        estimated = ending == "broken" or (reply is not None and reply.estimated)
        seconds = time.monotonic() - began
        self.desk.settle(Settlement(opening.call, ending, reply, cost.usage, cost.usd, estimated, tries, seconds, error))

    def _pause(self, failures: int, asked_s: float | None, error: Exception, line: Line) -> None:
        wait = self.backoff.wait_s(failures, asked_s, random.Random())
        if wait is None:
            raise Unavailable(f"model {line.name.short}: gave up after {failures} tries, the last: {error}") from error
        if self.desk.cancelled.wait(wait):
            raise Cancelled("the run is ending")

    def _send(self, provider: Provider, request: Request) -> Reply:
        """In a thread of its own that nobody waits for at exit: a silent connection can't hold up an ending run."""
        answer: Future[Reply] = Future()

        def call() -> None:
            try:
                answer.set_result(provider.send(request, self.desk.cancelled))
            except BaseException as error:  # noqa: BLE001 - handed to the thread that asked, which raises it
                answer.set_exception(error)

        with self.slots:
            if self.desk.cancelled.is_set():
                raise Cancelled("the run is ending")
            threading.Thread(target=call, name="model-call", daemon=True).start()
            while True:
                try:
                    return answer.result(timeout=CANCEL_POLL_S)
                except TimeoutError:
                    if answer.done():
                        raise
                    if self.desk.cancelled.is_set():
                        raise Cancelled("the run is ending") from None


def _most(error: Broken, intent: Intent, line: Line) -> Bound:
    """What a broken answer may have cost at most: the input as counted, if it was, and the longest answer."""
    if error.usage is None:
        return intent.bound
    usage = replace(error.usage, output=max(error.usage.output, intent.request.max_output_tokens))
    return Bound(usage, line.price.cost(usage))
