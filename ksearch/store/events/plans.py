"""What happens to the tree: arms, tickets, the wishes of the user. `ksearch.store.changes` turns them into its changes and back."""

from __future__ import annotations

from typing import Literal

from ksearch.store.events.base import Frozen
from ksearch.tree.types import Action


class ArmOpenedEvent(Frozen):
    type: Literal["arm_opened"] = "arm_opened"
    node: int
    parent: int
    action: Action


class TicketIssued(Frozen):
    type: Literal["ticket_issued"] = "ticket_issued"
    ticket: int
    node: int
    kind: Literal["write", "propose"]
    mode: str | None
    attempt: int | None
    failed_stage: str | None
    count: int | None
    gpu_seconds: float
    why: str
    evaluations: int = 1
    """What a write ticket reserves at once; 0 when it waits in the surrogate's line, and reserves when it is measured."""
    usd: float = 0.0
    """What a write ticket reserves for a rented machine."""


class TicketSettled(Frozen):
    type: Literal["ticket_settled"] = "ticket_settled"
    ticket: int
    outcome: Literal["measured", "failed", "skipped", "proposed", "cancelled"]
    reward: float | None = None
    reason: str | None = None
    actions: tuple[Action, ...] = ()


class NodePinned(Frozen):
    """The search goes to this plan first from now on."""

    type: Literal["node_pinned"] = "node_pinned"
    node: int


class NodeUnpinned(Frozen):
    type: Literal["node_unpinned"] = "node_unpinned"
    node: int


class IdeaBanned(Frozen):
    """A technique, or one action by its key, is neither proposed nor tried from now on."""

    type: Literal["idea_banned"] = "idea_banned"
    idea: str


class IdeaUnbanned(Frozen):
    type: Literal["idea_unbanned"] = "idea_unbanned"
    idea: str
