"""The Monte Carlo tree: ask for tickets, tell their outcomes, read what stands.

Pure and synchronous: no clock, no I/O, no threads; the only randomness is the generator handed to `ask`. Several tickets
may be in flight and may be told in any order.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator

from ksearch.tree.constants import DEFAULTS, Constants
from ksearch.tree.errors import UnknownTicket
from ksearch.tree.fold import apply
from ksearch.tree.node import Refusal, best_below
from ksearch.tree.outlook import pair_chance
from ksearch.tree.policy import OpenArm, Policy, WriteAt
from ksearch.tree.snapshot import Snapshot, snapshot
from ksearch.tree.state import State
from ksearch.tree.types import (
    ROOT,
    Action,
    ArmOpened,
    Asked,
    Banned,
    Change,
    Issued,
    NodeId,
    Outcome,
    Pinned,
    Plan,
    Propose,
    Refuted,
    Settled,
    Ticket,
    TicketId,
    Unbanned,
    Unpinned,
)
from ksearch.tree.views import (
    ArmOutcome,
    Claimed,
    Explanation,
    KnownPlans,
    NodeView,
    OptionView,
    Reader,
    StepOutlook,
    claims,
    step_outlooks,
)


class Tree:
    """A pure fold of its changes: `apply` is the only mutator, and `ask` and `tell` go through it.

    `root_reward` is the measured reward of the starting kernel, ln(baseline time / its time), nats. `sigma_noise` is the
    standard deviation of a repeated measurement, nats; it is fixed, as a yardstick that moved would change past choices.
    """

    def __init__(self, root_reward: float, sigma_noise: float, policy: Policy, constants: Constants = DEFAULTS) -> None:
        self.policy = policy
        deepest = constants.max_depth if policy.max_depth is None else min(constants.max_depth, policy.max_depth)
        self._state = State(root_reward, sigma_noise, constants, deepest)

    def __len__(self) -> int:
        return len(self._state.nodes)

    def apply(self, change: Change) -> None:
        """Fold one change in, as when a log is replayed. Raises IllegalChange, with nothing altered, if it can't follow."""
        apply(self._state, change)

    def ask(self, n: int, rng: random.Random, most_asking: int | None = None) -> Asked:
        """At most `n` tickets: fewer when nothing more is legal now. Equal state and generator give an equal answer.

        With `most_asking` planners being asked already, a step that would ask one more ends the answer: it waits for their ideas.
        """
        if n < 0:
            raise ValueError(f"can't ask for {n} tickets")
        tickets: list[Ticket] = []
        changes: list[Change] = []
        while len(tickets) < n and self._state.root.selectable:
            issued = self._next(rng, changes, may_ask=most_asking is None or self._asking < most_asking)
            if issued is None:
                break
            tickets.append(issued.ticket)
        return Asked(tuple(tickets), tuple(changes), self.exhausted)

    def tell(self, ticket: TicketId, outcome: Outcome) -> tuple[Change, ...]:
        """Settle a ticket; the changes applied are returned for the log, none if it was settled before.

        Raises UnknownTicket if it was never issued, IllegalChange if the outcome doesn't fit its kind.
        """
        if ticket not in self._state.tickets:
            if 0 <= ticket < self._state.next_ticket:
                return ()
            raise UnknownTicket(ticket)
        change = Settled(ticket, outcome)
        self.apply(change)
        return (change,)

    @property
    def _asking(self) -> int:
        """Planners that are being asked for ideas."""
        return sum(isinstance(ticket, Propose) for ticket in self._state.tickets.values())

    def refute(self, nodes: tuple[NodeId, ...], stage: str) -> tuple[Change, ...]:
        """Plans that had passed failed the full judgement; the change is returned for the log.

        Raises IllegalChange for the root and for a plan that has not passed.
        """
        change = Refuted(nodes, stage)
        self.apply(change)
        return (change,)

    def _next(self, rng: random.Random, changes: list[Change], *, may_ask: bool) -> Issued | None:
        """Let the policy step until it names a ticket. Each step but the last takes a proposal off a finite queue."""
        opened, start = None, self._state.start
        pinned = "" if start.parent is None else f"node {start.id} is pinned; "
        while True:
            step = self.policy.step(self._state, opened, rng) if start.proven else WriteAt(start, "an attempt is due there")
            if isinstance(step, OpenArm):
                arm = ArmOpened(NodeId(len(self._state.nodes)), step.parent.id, step.action)
                self._record(arm, changes)
                opened = self._state.nodes[-1]
                continue
            if not isinstance(step, WriteAt) and not may_ask:
                return None
            if isinstance(step, WriteAt):
                issued = Issued(self._state.write_ticket(step.node), pinned + step.why)
            else:
                issued = Issued(self._state.propose_ticket(step.node, self._state.constants.proposals), pinned + step.why)
            self._record(issued, changes)
            return issued

    def _record(self, change: Change, changes: list[Change]) -> None:
        self.apply(change)
        changes.append(change)

    @property
    def exhausted(self) -> bool:
        """Nothing is legal and nothing is in flight."""
        return not self._state.root.selectable and not self._state.tickets

    @property
    def incumbent_reward(self) -> float:
        """M(root), the greatest measured reward: falls only when the plan that holds it is refuted."""
        reward = self._state.root.best_reward
        assert reward is not None, "the root is measured"
        return reward

    @property
    def honesty(self) -> float:
        """b: how far claimed gains came true, 0 to 1."""
        return self._state.honesty.value(self._state.constants)

    @property
    def scale(self) -> tuple[float, float]:
        """(lo, span) that map a value to [0, 1], nats, lo absolute."""
        low, span = self._state.scale.bounds(self._state.sigma_noise, self._state.constants)
        return self._state.root_reward + low, span

    @property
    def pins(self) -> tuple[NodeId, ...]:
        """Nodes that the user wants searched first, in the order they were pinned."""
        return tuple(self._state.pins)

    @property
    def bans(self) -> frozenset[str]:
        """Techniques and action keys that the user wants no more of."""
        return frozenset(self._state.bans)

    def is_banned(self, action: Action) -> bool:
        return self._state.is_banned(action)

    def guide(self, change: Pinned | Unpinned | Banned | Unbanned) -> tuple[Change, ...]:
        """Fold a wish of the user; the change is returned for the log, none when it already holds. Raises UnknownNode."""
        if isinstance(change, Pinned | Unpinned):
            holds = (self._state.node(change.node).id in self._state.pins) == isinstance(change, Pinned)
        else:
            holds = (change.idea in self._state.bans) == isinstance(change, Banned)
        if holds:
            return ()
        self.apply(change)
        return (change,)

    def node(self, id: NodeId) -> NodeView:
        return Reader(self._state, self.policy).view(self._state.node(id))

    def nodes(self, ids: Iterable[NodeId] | None = None) -> Iterator[NodeView]:
        """These nodes in this order; without `ids` all, in the order they were opened, the root first.

        What the views share is computed once. Don't apply changes while iterating.
        """
        reader = Reader(self._state, self.policy)
        chosen = self._state.nodes if ids is None else map(self._state.node, ids)
        return map(reader.view, chosen)

    def plan(self, id: NodeId) -> Plan:
        return self._state.node(id).plan()

    def parent(self, id: NodeId) -> NodeId:
        """The root is its own parent."""
        parent = self._state.node(id).parent
        return ROOT if parent is None else parent.id

    def children(self, id: NodeId) -> tuple[NodeId, ...]:
        """In the order they were opened."""
        return tuple(arm.id for arm in self._state.node(id).children)

    def own_best(self, id: NodeId) -> float | None:
        """The reward measured for the plan itself, nats; None unless it passed."""
        return self._state.node(id).own_reward

    def best(self, id: NodeId) -> float | None:
        """The greatest reward at or below a node, nats; None when nothing there passed."""
        return self._state.node(id).best_reward

    def best_node(self) -> NodeView:
        """The node of the greatest measured reward."""
        return self.node(best_below(self._state.root).id)

    def arms(self, id: NodeId) -> tuple[ArmOutcome, ...]:
        """What became of each arm of a node."""
        return Reader(self._state, self.policy).outcomes(self._state.node(id))

    def siblings(self, id: NodeId) -> tuple[ArmOutcome, ...]:
        """What became of a node's siblings; none for the root."""
        parent = self._state.node(id).parent
        if parent is None:
            return ()
        return tuple(arm for arm in Reader(self._state, self.policy).outcomes(parent) if arm.node != id)

    def refused(self, id: NodeId) -> tuple[Refusal, ...]:
        """Proposals at a node that were not queued, and why."""
        return tuple(self._state.node(id).refusals.values())

    def explain(self, id: NodeId) -> Explanation:
        return Reader(self._state, self.policy).explain(self._state.node(id))

    def options(self, id: NodeId) -> tuple[OptionView, ...]:
        """What a descent that comes to a node would weigh now, the greatest total first; empty if the policy compares no scores."""
        return Reader(self._state, self.policy).options(self._state.node(id))

    @property
    def start(self) -> NodeId:
        """Where a descent begins now: the root, or a pinned node."""
        return self._state.start.id

    def explanations(self, ids: Iterable[NodeId] | None = None) -> Iterator[Explanation]:
        """Of these nodes, in this order; without `ids` of all, in the order they were opened. What siblings share is computed once."""
        chosen = self._state.nodes if ids is None else map(self._state.node, ids)
        return map(Reader(self._state, self.policy).explain, chosen)

    def claims(self) -> Iterator[Claimed]:
        """What became of every plan's last step, in the order they were opened."""
        return claims(self._state)

    def known_plans(self) -> KnownPlans:
        """Canonical keys of all plans, queued ones included. Live: it follows the tree."""
        return KnownPlans(self._state)

    @property
    def pair_chance(self) -> float:
        """That two steps which pass alone pass together, from what became of merges."""
        return pair_chance(self._state)

    def outlooks(self) -> tuple[StepOutlook, ...]:
        """What is expected of each single step that was tried anywhere, alone or in a merge, the greatest gain first."""
        return step_outlooks(self._state)

    def open_tickets(self) -> tuple[Ticket, ...]:
        """Tickets in flight, in the order they were issued."""
        return tuple(self._state.tickets.values())

    def snapshot(self) -> Snapshot:
        """The full state as one comparable value: equal for two trees exactly when they are the same tree."""
        return snapshot(self._state)
