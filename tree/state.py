"""The tree's data and what is legal now. Changed by `tree.fold.apply` alone; read by policies and views."""

from __future__ import annotations

import math

from ksearch.tree.answers import Answers
from ksearch.tree.constants import Constants
from ksearch.tree.credit import Credit
from ksearch.tree.errors import IllegalChange, UnknownNode
from ksearch.tree.evolution import Archive
from ksearch.tree.frontier import Frontier, Unkept
from ksearch.tree.node import Node
from ksearch.tree.outlook import Outlook
from ksearch.tree.statistics import Honesty, Scale, credible, to_units
from ksearch.tree.types import REFINE, ROOT, Action, NodeId, Propose, Ticket, TicketId, Write, WriteMode


class State:
    """`standing` and `queued` index every plan by its digest: the node it is, and the node in whose queue it waits.

    `pins` are the nodes that the user wants searched first, each with its visits when it was pinned; `bans` the techniques
    and action keys that the user wants no more of.
    `reached` does both by the digest of what a plan leads to, for the plans whose planner said so. `credits` holds what is
    known of each step that was ever opened, by the digest of its key; `outlook` what is expected of it next; `answers` what
    questions brought. `asking` holds,
    for each request for ideas in flight, how many attempts were settled when it was issued. `merges`: the planner merges.
    """

    def __init__(self, root_reward: float, sigma_noise: float, constants: Constants, max_depth: int) -> None:
        if not credible(root_reward):
            raise ValueError(f"the root's reward must be a finite number of nats, not {root_reward}: measure the starting kernel first")
        if not (math.isfinite(sigma_noise) and sigma_noise >= 0.0):
            raise ValueError(f"sigma_noise is a standard deviation in nats, finite and not negative, not {sigma_noise}")
        self.root_reward = root_reward
        self.root_units = to_units(root_reward)
        self.sigma_noise = sigma_noise
        self.constants = constants
        self.max_depth = max_depth
        self.root = _proven_root(root_reward)
        self.nodes: list[Node] = [self.root]
        self.standing: dict[int, Node] = {self.root.digest: self.root}
        self.queued: dict[int, Node] = {}
        self.reached: dict[int, Node] = {}
        self.tickets: dict[TicketId, Ticket] = {}
        self.next_ticket = TicketId(0)
        self.honesty = Honesty()
        self.scale = Scale()
        self.archive = Archive(self.root)
        self.credits: dict[int, Credit] = {}
        self.kin: dict[tuple[str, str], Credit] = {}
        self.outlook = Outlook()
        self.answers = Answers()
        self.merges = False
        self.asking: dict[TicketId, int] = {}
        self.pins: dict[NodeId, int] = {}
        self.bans: set[str] = set()
        self.kept: Frontier = Unkept()
        self.is_kept = False

    @property
    def frontier(self) -> Frontier:
        """What could be done next, indexed. The fold keeps it from the first look on, by `kept`."""
        if not self.is_kept:
            self.kept, self.is_kept = Frontier(), True
            self.kept.take_up(self.nodes, self.credits)
            for node in self.nodes:
                self.kept.place(node, may_write=self.can_write(node), may_ask=self.can_propose(node))
        return self.kept

    @property
    def start(self) -> Node:
        """Where a descent begins: the root, or the pinned node with something legal that had the fewest visits since it was pinned."""
        legal = (self.nodes[id] for id in self.pins if self.nodes[id].selectable)
        return min(legal, key=lambda node: node.visits + node.in_flight - self.pins[node.id], default=self.root)

    def is_banned(self, action: Action | None) -> bool:
        if not self.bans or action is None:
            return False
        named = {action.technique, action.key, *action.steps, *(part.technique for part in action.parts)}
        return not named.isdisjoint(self.bans)

    def node(self, id: NodeId) -> Node:
        if not 0 <= id < len(self.nodes):
            raise UnknownNode(id, len(self.nodes))
        return self.nodes[id]

    def can_write(self, node: Node) -> bool:
        """Unproven below proven plans, attempts left, its last step not banned, and nothing in flight: a repair needs its
        predecessor's evidence.
        """
        free = node.writing is None and node.proposing is None and not node.hanging
        open_to_writing = node.own is None and free and node.attempts < self.constants.attempts
        return open_to_writing and not self.is_banned(node.action)

    def can_propose(self, node: Node) -> bool:
        """Proven, above the depth limit, none in flight, and the last answers did not all come back empty."""
        return node.on_offer and node.proposing is None and node.fruitless < self.constants.fruitless_limit and node.depth < self.max_depth

    def can_issue(self, node: Node) -> bool:
        """Whether anything at or below `node` could be asked for now. Reads the children's counter, not the children."""
        if not node.on_offer:
            return self.can_write(node)
        return node.open_arms > 0 or bool(node.queue) or self.can_propose(node)

    def write_ticket(self, node: Node) -> Write:
        """The only one that may be issued for the node now. Raises IllegalChange when none may."""
        self._expect_write(node)
        mode, stage = _mode(node)
        return Write(self.next_ticket, node.id, node.plan(), mode, node.attempts + 1, stage)

    def propose_ticket(self, node: Node, count: int) -> Propose:
        self._expect_propose(node)
        return Propose(self.next_ticket, node.id, node.plan(), count)

    def check(self, ticket: Ticket, node: Node) -> None:
        """Raises IllegalChange unless this ticket may be issued for the node now. Makes no ticket to compare it with: a long log
        has many."""
        fits = ticket.ticket == self.next_ticket and ticket.plan == node.plan()
        if isinstance(ticket, Write):
            self._expect_write(node)
            fits = fits and ticket.attempt == node.attempts + 1 and (ticket.mode, ticket.failed_stage) == _mode(node)
        else:
            self._expect_propose(node)
        if not fits:
            legal = self.write_ticket(node) if isinstance(ticket, Write) else self.propose_ticket(node, ticket.count)
            raise IllegalChange(f"ticket {ticket.ticket} doesn't follow: the tree would issue {legal}")

    def _expect_write(self, node: Node) -> None:
        if not self.can_write(node):
            raise IllegalChange(f"node {node.id} takes no attempt now: it is proven, at its cap, banned, or has one in flight")

    def _expect_propose(self, node: Node) -> None:
        if not self.can_propose(node):
            raise IllegalChange(f"node {node.id} takes no proposals now: it is unproven, too deep, closed, or waits for some")


def _mode(node: Node) -> tuple[WriteMode, str | None]:
    if node.failed_stage is not None:
        return WriteMode.REPAIR, node.failed_stage
    if node.action is not None and node.action.technique == REFINE:
        return WriteMode.REFINE, None
    return WriteMode.FIRST, None


def _proven_root(reward: float) -> Node:
    """The starting kernel was measured before there was a tree: one settled attempt, and the origin of all rewards."""
    root = Node(ROOT, None, None, 0)
    root.visits = 1
    root.own = root.best = 0.0
    root.own_reward = root.best_reward = reward
    return root
