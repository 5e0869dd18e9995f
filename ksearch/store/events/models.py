"""What language models were asked and said, and what became of it."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal, TypeAlias

from ksearch.store.events.base import Digest, Frozen

CallEnding: TypeAlias = Literal["complete", "refused", "truncated", "broken", "failed"]
"""How a model call ended: with an answer (of three kinds), with one that broke off, or with none."""


class ModelCallStarted(Frozen):
    """A language model is asked. `usd` and `tokens` are the reservation: an upper bound of what the call can take."""

    type: Literal["model_call_started"] = "model_call_started"
    call: int
    role: str
    model: str
    ticket: int | None
    node: int | None
    request: Digest
    """Blob of the request's canonical JSON: its digest is the request's identity."""
    usd: Decimal
    tokens: int


class ModelCallSettled(Frozen):
    """The call ended. `answer` is the blob of the reply, None when there is none."""

    type: Literal["model_call_settled"] = "model_call_settled"
    call: int
    ending: CallEnding
    answer: Digest | None
    input: int
    cached: int
    written: int
    output: int
    usd: Decimal
    estimated: bool
    """The provider didn't say what it counted: for a broken answer these are its upper bounds."""
    tries: int
    seconds: float
    error: str | None = None
    reused: bool = False
    """Taken from another run's record: nothing was asked and nothing spent."""


class ModelCallLost(Frozen):
    """The process ended while the call was in flight: it is booked at its reservation."""

    type: Literal["model_call_lost"] = "model_call_lost"
    call: int
    reason: str


class EditRecord(Frozen):
    """One edit of the world model's document, flat; `op` decides which fields count (see worldmodel/document.py)."""

    op: Literal["insert", "update", "split", "merge", "prune"]
    kind: str = ""
    ids: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    refuted_by: str = ""
    nodes: tuple[int, ...] = ()


class WorldModelRevised(Frozen):
    """The planner's edits of the world model, of which only legal ones took effect; `refused` says why the others didn't."""

    type: Literal["world_model_revised"] = "world_model_revised"
    ticket: int
    edits: tuple[EditRecord, ...]
    refused: tuple[str, ...] = ()


class PlanningFailed(Frozen):
    """A planner's answer held nothing to try, and why; the ticket then settles with no proposals."""

    type: Literal["planning_failed"] = "planning_failed"
    ticket: int
    reason: str


class BudgetBlocked(Frozen):
    """A model call did not fit into what is left and was not made; no new work begins until a limit is raised."""

    type: Literal["budget_blocked"] = "budget_blocked"
    ticket: int | None
    resource: str
    reason: str
