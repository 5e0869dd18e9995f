"""A conversation as a run's log remembers it: the questions that were asked as the agent, and their answers."""

from __future__ import annotations

import json

from ksearch.llm.desk import REPLY
from ksearch.llm.types import Reply, Role
from ksearch.store.fold import RunState
from ksearch.store.log import EventLog
from ksearch.worldmodel.oracle import Turn


def turns_of(state: RunState, log: EventLog) -> tuple[Turn, ...]:
    """In the order in which they were asked; calls of tickets that are still open are not yet part of it."""
    turns = []
    for call in state.calls.values():
        done = call.settled
        if call.started.role != Role.AGENT or done is None or done.answer is None or call.started.ticket in state.open_tickets:
            continue
        request = json.loads(log.get_blob(call.started.request))
        asked = request["messages"][-1]["parts"][-1]["text"]
        turns.append(Turn(asked, _said(REPLY.validate_json(log.get_blob(done.answer)))))
    return tuple(turns)


def _said(reply: Reply) -> str:
    """Forms as text: an answer that is quoted back is no tool call any more."""
    parts = [reply.text] if reply.text.strip() else []
    parts += [f"{call.name}: {call.arguments}" for call in reply.calls]
    return "\n".join(parts) or "(no answer)"
