"""Drives a tree with arbitrary outcomes, several tickets in flight, as hypothesis or a seed decides."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from ksearch.tree import Tree, policy_named
from ksearch.tree.types import (
    Action,
    Cancelled,
    Change,
    Failed,
    Measured,
    Outcome,
    Propose,
    Proposed,
    Skipped,
    Ticket,
    Write,
)


def action(name: str, gain: float = 0.3, p_success: float = 0.8) -> Action:
    return Action(name, "t", "", "", gain, 0.3, p_success, 1, "")


@dataclass
class Driver:
    """`pick(low, high)` supplies every arbitrary choice."""

    pick: Callable[[int, int], int]
    policy: str = "puct"
    root_reward: float = 0.0
    workers: int = 4
    names: int = 12
    tree: Tree = field(init=False)
    changes: list[Change] = field(default_factory=list)
    flight: list[Ticket] = field(default_factory=list)
    exhausted: bool = False

    def __post_init__(self) -> None:
        self.tree = Tree(self.root_reward, 0.02, policy_named(self.policy))

    def ask(self) -> None:
        asked = self.tree.ask(self.workers - len(self.flight), random.Random(len(self.changes)))
        self.changes += asked.changes
        self.flight += asked.tickets
        self.exhausted = asked.exhausted

    def settle(self) -> None:
        ticket = self.flight.pop(self.pick(0, len(self.flight) - 1))
        self.changes += self.tree.tell(ticket.ticket, self.outcome(ticket))

    def outcome(self, ticket: Ticket) -> Outcome:
        kind = self.pick(0, 9)
        if isinstance(ticket, Propose):
            if kind == 0:
                return Cancelled("test")
            names = {self.pick(0, self.names - 1) for _ in range(self.pick(0, ticket.count))}
            return Proposed(tuple(action(f"a{name}", self.pick(-2, 6) / 10) for name in sorted(names)))
        if kind == 0:
            return Cancelled("test")
        if kind == 1:
            return Skipped("test")
        return Failed("compile") if kind <= 4 else Measured(self.measured(ticket))

    def measured(self, ticket: Write) -> float:
        parent = self.tree.own_best(self.tree.parent(ticket.node))
        assert parent is not None
        return parent + self.pick(-5, 5) / 10

    def run(self, steps: int) -> None:
        for _ in range(steps):
            self.ask()
            if not self.flight:
                return
            self.settle()
        while self.flight:
            self.settle()
