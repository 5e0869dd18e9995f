"""The tree: a pure fold of its changes, with ask and tell on top.

`apply` is the only way in which a tree changes, so the changes that `ask` and `tell` return, replayed in order into a
fresh tree, give the same tree. There is no clock, no I/O and no randomness but the generator handed to `ask`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from ksearch.tree import constants as c
from ksearch.tree import statistics as formulas
from ksearch.tree.node import UNIT, Node, Rewards, to_units
from ksearch.tree.selection import Choice, OpenArm, Policy, ProposeAt, Puct
from ksearch.tree.types import (
    REFINE,
    ROOT,
    Action,
    ArmOpened,
    Asked,
    Cancelled,
    Change,
    Failed,
    Issued,
    Measured,
    NodeId,
    Outcome,
    Plan,
    PlanKey,
    Propose,
    Proposed,
    Settled,
    Skipped,
    Ticket,
    TicketId,
    Write,
    WriteMode,
)


class UnknownTicket(KeyError):
    """A ticket that this tree never issued."""


class IllegalChange(ValueError):
    """A change that can't happen to this tree: the log is not this tree's, or is out of order."""


@dataclass
class _Honesty:
    """Sums of g y and g^2 over proven plans, in units, so that their order can't matter."""

    gy: int = 0
    gg: int = 0

    def value(self) -> float:
        return formulas.honesty(self.gy * UNIT, self.gg * UNIT)


class Tree:
    """`root_reward`: measured reward of the starting kernel, in nats. `sigma_noise`: standard deviation of ln latency."""

    def __init__(self, root_reward: float, sigma_noise: float, policy: Policy | None = None) -> None:
        self.root_reward, self.sigma_noise = root_reward, sigma_noise
        self.policy: Policy = policy if policy is not None else Puct()
        self.root = Node(ROOT, None, None)
        self.root.own.measured(root_reward)
        self.root.subtree.measured(root_reward)
        self.nodes_by_id: list[Node] = [self.root]
        self.open: dict[TicketId, Ticket] = {}
        self.issued = 0
        self._known: dict[PlanKey, NodeId] = {frozenset(): ROOT}
        self._proven: list[Node] = [self.root]
        self._rewards = Rewards()
        self._rewards.add(root_reward)
        self._honesty = _Honesty()
        self._scale = formulas.scale(self._rewards, root_reward, sigma_noise)
        self._b = self._honesty.value()

    # ------------------------------------------------------------------ ask and tell

    def ask(self, n: int, rng: random.Random) -> Asked:
        """At most `n` tickets; fewer when nothing more is legal. The changes are applied already and must be logged."""
        tickets: list[Ticket] = []
        changes: list[Change] = []
        while len(tickets) < n and (choice := self.policy.choose(self, rng)) is not None:
            for change in self._changes_of(choice):
                self.apply(change)
                changes.append(change)
                if isinstance(change, Issued):
                    tickets.append(change.ticket)
        return Asked(tuple(tickets), tuple(changes), exhausted=not tickets and not self.open)

    def tell(self, ticket: TicketId, outcome: Outcome) -> tuple[Change, ...]:
        """Settle a ticket once; a second settlement has no effect. Raises UnknownTicket for a ticket never issued."""
        if ticket not in self.open:
            if 0 <= ticket < self.issued:
                return ()
            raise UnknownTicket(ticket)
        change = Settled(ticket, outcome)
        self.apply(change)
        return (change,)

    def _changes_of(self, choice: Choice) -> Iterator[Change]:
        node = choice.node
        if isinstance(choice, ProposeAt):
            yield Issued(Propose(TicketId(self.issued), node.id, node.plan(), c.PROPOSALS), choice.why)
            return
        if isinstance(choice, OpenArm):
            opened = ArmOpened(NodeId(len(self.nodes_by_id)), node.id, node.queue[0].action)
            yield opened
            node = self.nodes_by_id[opened.node]
        yield Issued(self._write_ticket(node), choice.why)

    def _write_ticket(self, node: Node) -> Write:
        attempt = node.attempts + 1
        mode = WriteMode.FIRST if node.failed_stage is None else WriteMode.REPAIR
        if node.failed_stage is None and node.action is not None and node.action.technique == REFINE:
            mode = WriteMode.REFINE
        return Write(TicketId(self.issued), node.id, node.plan(), mode, attempt, node.failed_stage)

    # ------------------------------------------------------------------ the fold

    def apply(self, change: Change) -> None:
        """The only mutator. Raises IllegalChange for a change that doesn't fit this tree."""
        match change:
            case ArmOpened():
                self._open_arm(change)
            case Issued(ticket):
                self._issue(ticket)
            case Settled(ticket_id, outcome):
                self._settle(ticket_id, outcome)

    def _open_arm(self, change: ArmOpened) -> None:
        parent = self.node(change.parent)
        if change.node != len(self.nodes_by_id) or not parent.proven:
            raise IllegalChange(f"{change}: nodes are numbered in order and only plans that passed have children")
        parent.queue = [queued for queued in parent.queue if queued.key != change.action.key]
        child = Node(change.node, parent, change.action)
        parent.children.append(child)
        self.nodes_by_id.append(child)
        self._known[child.plan_key] = child.id
        _wake(parent)

    def _issue(self, ticket: Ticket) -> None:
        node = self.node(ticket.node)
        if ticket.ticket != self.issued:
            raise IllegalChange(f"ticket {ticket.ticket} where {self.issued} comes next")
        self.issued += 1
        self.open[ticket.ticket] = ticket
        if isinstance(ticket, Propose):
            node.proposing = True
        else:
            node.own.O += 1
            for ancestor in node.path():
                ancestor.subtree.O += 1

    def _settle(self, ticket_id: TicketId, outcome: Outcome) -> None:
        if ticket_id not in self.open:
            raise IllegalChange(f"ticket {ticket_id} is not open")
        ticket = self.open.pop(ticket_id)
        node = self.node(ticket.node)
        _wake(node)
        if isinstance(ticket, Propose):
            node.proposing = False
            if isinstance(outcome, Proposed):
                self._queue(node, outcome.actions)
            elif not isinstance(outcome, Cancelled):
                raise IllegalChange(f"propose ticket {ticket_id} can't be {type(outcome).__name__}")
            return
        if isinstance(outcome, Proposed):
            raise IllegalChange(f"write ticket {ticket_id} can't be Proposed")
        self._back_up(node, outcome)

    def _queue(self, node: Node, actions: tuple[Action, ...]) -> None:
        """Queue what is new; a plan whose key stands anywhere in the tree is refused."""
        fresh = False
        for action in actions:
            key = node.plan_key | {action.key}
            if key in self._known:
                node.refused = (*node.refused, action)
                continue
            self._known[key] = node.id
            node.enqueue(action)
            fresh = True
        node.fruitless = 0 if fresh else node.fruitless + 1

    def _back_up(self, node: Node, outcome: Measured | Failed | Skipped | Cancelled) -> None:
        path = node.path()
        for counts in (node.own, *(ancestor.subtree for ancestor in path)):
            counts.O -= 1
            match outcome:
                case Measured(reward):
                    counts.measured(reward)
                case Failed():
                    counts.N += 1
                    counts.F += 1
                case Skipped():
                    counts.K += 1
                case Cancelled():
                    pass
        if isinstance(outcome, Failed):
            node.failed_stage = outcome.stage
        elif isinstance(outcome, Measured):
            self._learn(node, outcome.reward)

    def _learn(self, node: Node, reward: float) -> None:
        """A plan has passed for the first time: its gain tells how honest the claim was."""
        self._rewards.add(reward)
        if node.own.N - node.own.F == 1 and node.parent is not None and node.action is not None:
            self._proven.append(node)
            claimed, gain = node.action.gain_mean, reward - formulas.own_best(node.parent)
            self._honesty.gy += to_units(claimed * gain)
            self._honesty.gg += to_units(claimed * claimed)
        self._scale = formulas.scale(self._rewards, self.root_reward, self.sigma_noise)
        self._b = self._honesty.value()

    # ------------------------------------------------------------------ reading

    def node(self, node: NodeId) -> Node:
        """Raises IllegalChange for a node that doesn't exist."""
        if not 0 <= node < len(self.nodes_by_id):
            raise IllegalChange(f"node {node} does not exist")
        return self.nodes_by_id[node]

    def plan(self, node: NodeId) -> Plan:
        return self.node(node).plan()

    def parent(self, node: NodeId) -> NodeId:
        """The root is its own parent."""
        parent = self.node(node).parent
        return ROOT if parent is None else parent.id

    def own_best(self, node: NodeId) -> float | None:
        return self.node(node).own.M

    @property
    def incumbent_reward(self) -> float:
        """M(root): monotone, because promotion decides what a candidate may settle at."""
        assert self.root.subtree.M is not None
        return self.root.subtree.M

    def scale(self) -> formulas.Scale:
        return self._scale

    def honesty(self) -> float:
        """b: how much of their claimed gains plans have delivered."""
        return self._b

    def proven_nodes(self) -> tuple[Node, ...]:
        """In the order of their numbers, so that the order of settling can't matter."""
        return tuple(sorted(self._proven, key=lambda node: node.id))

    def known_plans(self) -> frozenset[PlanKey]:
        """Canonical keys of every plan in the tree, queued proposals included."""
        return frozenset(self._known)


def _wake(node: Node) -> None:
    for ancestor in node.path():
        ancestor.idle = False
