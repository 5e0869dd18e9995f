"""One plan of the tree: counts and sums only. Everything else is computed from them when read."""

from __future__ import annotations

import math
from bisect import insort
from dataclasses import dataclass

from ksearch.tree.constants import ATTEMPTS
from ksearch.tree.types import Action, NodeId, Plan, PlanKey

UNIT = 2.0**-40
"""Rewards are summed as whole multiples of this (about 1e-12 nats), so that the order of settling can't matter."""


def to_units(value: float) -> int:
    return round(value / UNIT)


class Counts:
    """Settled N, in flight O, skipped K, failed F, sum S (units) and best M of measured rewards."""

    __slots__ = ("F", "K", "M", "N", "O", "S")

    def __init__(self) -> None:
        self.N = self.O = self.K = self.F = self.S = 0
        self.M: float | None = None

    def measured(self, reward: float) -> None:
        self.N += 1
        self.S += to_units(reward)
        self.M = reward if self.M is None else max(self.M, reward)

    def as_tuple(self) -> tuple[int, int, int, int, int, float | None]:
        return self.N, self.O, self.K, self.F, self.S, self.M


@dataclass(frozen=True, slots=True, order=True)
class Queued:
    """A proposal waiting to become an arm; the smallest comes first."""

    rank: float
    key: str
    action: Action

    @classmethod
    def of(cls, action: Action) -> Queued:
        """Ordered by P(success) times claimed gain, largest first, then by key."""
        return cls(-action.p_success * action.gain_mean, action.key, action)


class Node:
    """A plan: its last action, its own candidates' counts and its subtree's."""

    __slots__ = (
        "action", "children", "depth", "failed_stage", "fruitless", "id", "idle", "own", "parent", "plan_key",
        "proposing", "queue", "refused", "subtree",
    )  # fmt: skip

    def __init__(self, id: NodeId, parent: Node | None, action: Action | None) -> None:
        self.id, self.parent, self.action = id, parent, action
        self.depth: int = 0 if parent is None else parent.depth + 1
        self.plan_key: PlanKey = frozenset() if parent is None or action is None else parent.plan_key | {action.key}
        self.children: list[Node] = []
        self.queue: list[Queued] = []
        self.refused: tuple[Action, ...] = ()
        self.own, self.subtree = Counts(), Counts()
        self.failed_stage: str | None = None
        self.fruitless = 0
        self.proposing = False
        self.idle = False
        """Nothing can be issued in this subtree until something in it changes."""

    @property
    def proven(self) -> bool:
        return self.own.M is not None

    @property
    def closed(self) -> bool:
        """Its attempts are used up and none passed."""
        return not self.proven and self.own.F + self.own.K >= ATTEMPTS

    @property
    def writable(self) -> bool:
        """A candidate may be written for it now: unproven, attempts left, none in flight (a repair needs evidence)."""
        return not self.proven and not self.closed and self.own.O == 0

    @property
    def attempts(self) -> int:
        return self.own.F + self.own.K

    def enqueue(self, action: Action) -> None:
        insort(self.queue, Queued.of(action))

    def path(self) -> list[Node]:
        """From this node up to the root."""
        nodes, node = [], self
        while True:
            nodes.append(node)
            if node.parent is None:
                return nodes
            node = node.parent

    def plan(self) -> Plan:
        return tuple(node.action for node in reversed(self.path()) if node.action is not None)


class Rewards:
    """All measured rewards of a run, sorted; gives the scale on which values are compared."""

    def __init__(self) -> None:
        self.sorted: list[float] = []

    def add(self, reward: float) -> None:
        insort(self.sorted, reward)

    def low_decile(self) -> float:
        return self.sorted[math.floor(0.1 * (len(self.sorted) - 1))]

    def best(self) -> float:
        return self.sorted[-1]
