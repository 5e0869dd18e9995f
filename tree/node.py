"""One node: counts and sums only. Whatever can be computed from them is computed when read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

from ksearch.tree.types import Action, NodeId, Plan, PlanKey, TicketId


@dataclass(frozen=True, slots=True)
class Refusal:
    """A proposed action that the tree did not queue. `standing` is the node that already is that plan, or that queues it."""

    action: Action
    reason: str
    standing: NodeId | None = None


class Node:
    """A plan: its last action and its parent. The whole plan is kept too, 8 bytes a step: every ticket names it.

    `visits`, `in_flight`, `skipped`, `failed`, `total_units` and `best` are of the subtree (N, O, K, F, S and M);
    names starting with `own_` are of the plan itself. `own` and `best` are relative to the root's reward, `own_reward` and
    `best_reward` as they were told, `foreseen` a relative forecast and its standard deviation. An attempt that passed proves
    a plan and is its last, hence one own reward. `hanging` says that a plan above was refuted and has not passed again.

    A plain slotted class, not a dataclass: there are as many as plans, and selection reads them in its inner loop.
    """

    __slots__ = (
        "_plan",
        "action",
        "asked_knowing",
        "best",
        "best_reward",
        "children",
        "claim",
        "depth",
        "digest",
        "failed",
        "failed_stage",
        "foreseen",
        "frontier_claim",
        "fruitless",
        "gain",
        "hanging",
        "id",
        "in_flight",
        "in_line",
        "open_arms",
        "own",
        "own_failed",
        "own_reward",
        "own_skipped",
        "parent",
        "proposing",
        "queue",
        "refusals",
        "selectable",
        "skipped",
        "step",
        "total_units",
        "visits",
        "writing",
    )

    def __init__(self, id: NodeId, parent: Node | None, action: Action | None, step: int) -> None:
        """`step` is the `step_digest` of the last action; the root's is 0."""
        self.id = id
        self.parent = parent
        self.action = action
        self._plan: Plan = () if parent is None or action is None else (*parent._plan, action)
        self.depth: int = 0 if parent is None else parent.depth + 1
        self.step = step
        self.digest: int = step if parent is None else parent.digest ^ step
        self.gain: float = 0.0 if action is None else action.gain_mean
        self.claim: float = 0.0 if parent is None or action is None else parent.claim + expected_gain(action)
        self.children: list[Node] = []

        self.visits = 0
        self.in_flight = 0
        self.skipped = 0
        self.failed = 0
        self.total_units = 0
        self.best: float | None = None
        self.best_reward: float | None = None

        self.own: float | None = None
        self.own_reward: float | None = None
        self.own_failed = 0
        self.own_skipped = 0
        self.failed_stage: str | None = None
        self.writing: TicketId | None = None
        self.foreseen: tuple[float, float] | None = None

        self.queue: list[Action] = []
        self.proposing: TicketId | None = None
        self.fruitless = 0
        self.asked_knowing = 0
        self.refusals: dict[str, Refusal] = {}

        self.selectable = True
        self.open_arms = 0
        self.frontier_claim: float | None = None
        self.in_line = 0
        self.hanging = False

    @property
    def proven(self) -> bool:
        return self.own is not None

    @property
    def own_visits(self) -> int:
        return self.own_failed + (self.own is not None)

    @property
    def attempts(self) -> int:
        """Settled attempts that count towards the cap: passed, failed, or written and skipped."""
        return self.own_visits + self.own_skipped

    @property
    def on_offer(self) -> bool:
        """Whether its queued proposals may be taken up: it is proven, and so is everything above it."""
        return self.own is not None and not self.hanging

    @property
    def base(self) -> Node:
        """The nearest proven plan above: the parent, unless that was refuted. The root is measured against itself."""
        at = self if self.parent is None else self.parent
        while at.own is None:
            assert at.parent is not None, "the root is proven"
            at = at.parent
        return at

    @property
    def parent_own(self) -> float:
        """M_own of what its gain is counted from."""
        own = self.base.own
        assert own is not None
        return own

    def path(self) -> Iterator[Node]:
        """This node and its ancestors, the root last."""
        at: Node | None = self
        while at is not None:
            yield at
            at = at.parent

    def plan(self) -> Plan:
        return self._plan

    def taken(self) -> set[int]:
        """Digests of the single steps of this plan."""
        steps, at = set[int](), self
        while at.parent is not None:
            assert at.action is not None
            steps.update((key_digest(part.key) for part in at.action.parts) if at.action.parts else (at.step,))
            at = at.parent
        return steps


def best_below(root: Node) -> Node:
    """The node whose own candidate is the incumbent: the first opened among those that share the best reward."""
    at = root
    while at.own_reward != at.best_reward:
        at = next(arm for arm in at.children if arm.best_reward == at.best_reward)
    return at


def expected_gain(action: Action) -> float:
    """P(success) g: what queued proposals are ordered by, and what the greedy policy believes."""
    return action.p_success * action.gain_mean


def queue_order(action: Action) -> tuple[float, str]:
    return -expected_gain(action), action.key


def step_digest(action: Action) -> int:
    """What a node's digest differs by from its parent's: the exclusive or over the steps of its action."""
    if not action.parts:
        return key_digest(action.key)
    digest = 0
    for part in action.parts:
        digest ^= key_digest(part.key)
    return digest


@lru_cache(maxsize=4096)
def key_digest(key: str) -> int:
    """128 bits of one action key. Lone surrogates pass: text from a language model's JSON may hold them."""
    return int.from_bytes(blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).digest(), "big")


def plan_digest(key: PlanKey) -> int:
    """128 bits of a canonical plan key: the exclusive or of its members, so that a child's costs one more hash.

    Storing this in place of the set of strings keeps a deep plan as small as a shallow one.
    """
    digest = 0
    for member in key:
        digest ^= key_digest(member)
    return digest
