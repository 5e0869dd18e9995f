"""The full state of a tree as one value, to compare a replayed tree with the live one."""

from __future__ import annotations

from dataclasses import dataclass

from ksearch.tree.answers import Brought
from ksearch.tree.constants import Constants
from ksearch.tree.node import Node, Refusal
from ksearch.tree.state import State
from ksearch.tree.types import Action, NodeId, Ticket, TicketId


@dataclass(frozen=True, slots=True)
class NodeSnapshot:
    id: NodeId
    parent: NodeId | None
    action: Action | None
    children: tuple[NodeId, ...]
    subtree: tuple[int, int, int, int, int, float | None]
    """N, O, K, F, S in fixed-point units relative to the root, M as told."""
    own: tuple[int, int, float | None]
    """Failed, skipped, reward as told."""
    failed_stage: str | None
    writing: TicketId | None
    proposing: TicketId | None
    fruitless: int
    asked_knowing: int
    queue: tuple[Action, ...]
    refusals: tuple[Refusal, ...]
    selectable: bool
    foreseen: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that later choices depend on; caches left out."""

    root_reward: float
    sigma_noise: float
    constants: Constants
    max_depth: int
    nodes: tuple[NodeSnapshot, ...]
    tickets: tuple[Ticket, ...]
    next_ticket: TicketId
    honesty_sums: tuple[int, int]
    rewards: tuple[float, ...]
    standing: frozenset[int]
    queued: frozenset[int]
    pins: tuple[tuple[NodeId, int], ...]
    bans: frozenset[str]
    reached: frozenset[int]
    asking: tuple[tuple[TicketId, int], ...]
    answers: tuple[Brought, ...]
    merges: bool


def snapshot(state: State) -> Snapshot:
    return Snapshot(
        root_reward=state.root_reward,
        sigma_noise=state.sigma_noise,
        constants=state.constants,
        max_depth=state.max_depth,
        nodes=tuple(_node(node) for node in state.nodes),
        tickets=tuple(state.tickets[id] for id in sorted(state.tickets)),
        next_ticket=state.next_ticket,
        honesty_sums=(state.honesty.claimed_measured, state.honesty.claimed_claimed),
        rewards=tuple(state.scale.rewards()),
        standing=frozenset(state.standing),
        queued=frozenset(state.queued),
        pins=tuple(state.pins.items()),
        bans=frozenset(state.bans),
        reached=frozenset(state.reached),
        asking=tuple(sorted(state.asking.items())),
        answers=tuple(state.answers.brought),
        merges=state.merges,
    )


def _node(node: Node) -> NodeSnapshot:
    return NodeSnapshot(
        id=node.id,
        parent=None if node.parent is None else node.parent.id,
        action=node.action,
        children=tuple(arm.id for arm in node.children),
        subtree=(node.visits, node.in_flight, node.skipped, node.failed, node.total_units, node.best_reward),
        own=(node.own_failed, node.own_skipped, node.own_reward),
        failed_stage=node.failed_stage,
        writing=node.writing,
        proposing=node.proposing,
        fruitless=node.fruitless,
        asked_knowing=node.asked_knowing,
        queue=tuple(node.queue),
        refusals=tuple(node.refusals.values()),
        selectable=node.selectable,
        foreseen=node.foreseen,
    )
