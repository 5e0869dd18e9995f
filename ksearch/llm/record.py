"""The model answers that a stored run holds."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from ksearch.llm.desk import REPLY, Intent
from ksearch.llm.types import Reply
from ksearch.store.events import ModelCallSettled, ModelCallStarted, parse_event
from ksearch.store.log import EventLog


@dataclass
class Answers:
    """Replies by the digest of their request, in the order in which they came. Each is given out once, the last again and again."""

    by_request: dict[str, deque[Reply]] = field(default_factory=dict)

    @classmethod
    def of(cls, log: EventLog) -> Answers:
        answers, requests = cls(), dict[int, str]()
        for stored in log.events():
            event = parse_event(stored.payload)
            if isinstance(event, ModelCallStarted):
                requests[event.call] = event.request
            elif isinstance(event, ModelCallSettled) and event.answer is not None:
                reply = REPLY.validate_json(log.get_blob(event.answer))
                answers.by_request.setdefault(requests[event.call], deque()).append(reply)
        return answers

    def take(self, intent: Intent, digest: str) -> Reply | None:
        known = self.by_request.get(digest)
        if not known:
            return None
        return known.popleft() if len(known) > 1 else known[0]
