"""What a person, a planner or a report reads off a tree. Immutable copies; rewards are absolute, in nats."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Container, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Literal, NamedTuple

from ksearch.tree.node import Node, Refusal, expected_gain, key_digest, plan_digest
from ksearch.tree.outlook import expected_of
from ksearch.tree.policy import Option, Policy
from ksearch.tree.scoring import Terms, Yardstick, arm_terms, node_mean, node_prior_value, node_value, sibling_priors, visits_below
from ksearch.tree.state import State
from ksearch.tree.statistics import from_units, normalised
from ksearch.tree.types import Action, NodeId, Part, Plan, PlanKey, Ticket, plan_key


class NodeStatus(StrEnum):
    ROOT = "root"
    UNPROVEN = "unproven"
    """No candidate has passed yet, attempts are left."""
    PROVEN = "proven"
    """A candidate passed."""
    CLOSED = "closed"
    """Its attempts are spent, or its last step is banned, and none passed."""
    EXHAUSTED = "exhausted"
    """Proven, and nothing at or below it can ever be asked for again."""


@dataclass(frozen=True, slots=True)
class Counts:
    """`visits` N are settled attempts, of which `failed` F; `in_flight` O; `skipped` K; `total` S and `best` M of measured
    rewards, `best` None when nothing was measured."""

    visits: int
    in_flight: int
    skipped: int
    failed: int
    total: float
    best: float | None


@dataclass(frozen=True, slots=True)
class QueuedProposal:
    """`score` is P(success) g, what the queue is ordered by."""

    action: Action
    score: float


@dataclass(frozen=True, slots=True)
class NodeView:
    """One node as it stands now.

    `prior` is P among its siblings, `prior_value` V0, `mean` and `value` (Q) as selection computes them, `q` the value
    normalised to [0, 1] before virtual loss. `attempts` are settled ones that count towards the cap; `fruitless` are the last
    answers in a row that proposed nothing new here, of which three close the widening.
    """

    id: NodeId
    parent: NodeId | None
    children: tuple[NodeId, ...]
    action: Action | None
    plan: Plan
    depth: int
    status: NodeStatus
    own: Counts
    subtree: Counts
    prior_value: float
    mean: float
    value: float
    q: float
    prior: float
    attempts: int
    failed_stage: str | None
    fruitless: int
    queued: tuple[QueuedProposal, ...]
    refused: tuple[Refusal, ...]
    open_tickets: tuple[Ticket, ...]


@dataclass(frozen=True, slots=True)
class ArmOutcome:
    """One arm as a planner is shown it. `gain` is measured, M_own(arm) - M_own(parent); None unless it passed."""

    node: NodeId
    action: Action
    status: NodeStatus
    attempts: int
    gain: float | None
    failed_stage: str | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a node would or wouldn't be chosen among its siblings now, by the tree's policy.

    total = q_tilde + exploration. For `puct`, q = q_tilde is the expected improvement of the best step on offer below, relative
    to the best at its parent, `prior` is even over what can be done there, and exploration is `tree.promise`'s. For the others q is
    the normalised value, q_tilde = q (N + 1) / (N + 1 + O), exploration = c prior sqrt(arms) sqrt(max(1, visits_beside)) /
    (1 + N + O + K), `visits_beside` the sum of N + O over all siblings and itself. `rank` counts from 1 among the `arms`.
    `legal` says whether anything at or below it can be asked for now.
    """

    node: NodeId
    parent: NodeId | None
    legal: bool
    honesty: float
    prior_value: float
    mean: float
    value: float
    q: float
    q_tilde: float
    prior: float
    arms: int
    visits_beside: int
    exploration: float
    total: float
    rank: int


@dataclass(frozen=True, slots=True)
class OptionView:
    """One of what a descent weighs at a node: going to an arm (`node`), or the node's own move: opening the queued `action`,
    writing another attempt, or asking for ideas (`node` is then None). The legal one with the greatest `total` is taken.

    `value` + `exploration` = `total`; `value` is the expected improvement relative to the best option's for `puct`, the
    normalised value after virtual loss for `puct-mean`.
    """

    move: Literal["arm", "open", "write", "ask"]
    node: NodeId | None
    action: Action | None
    legal: bool
    value: float
    prior: float
    exploration: float
    total: float


@dataclass(frozen=True, slots=True)
class StepOutlook:
    """What is expected of a single step that was tried, alone or in a merge: its gain with standard deviation (nats), P(passes), and
    how often it passed alone."""

    step: Action | Part
    gain: float
    sd: float
    p_success: float
    measured: int


class KnownPlans(Collection[PlanKey]):
    """Canonical keys of all plans that stand in the tree or are queued: a live view, membership without a walk."""

    def __init__(self, state: State) -> None:
        self._state = state

    def __contains__(self, key: object) -> bool:
        if not isinstance(key, frozenset):
            return False
        digest = plan_digest(key)
        return digest in self._state.standing or digest in self._state.queued

    def __len__(self) -> int:
        return len(self._state.standing) + len(self._state.queued)

    def now(self) -> KnownNow:
        """As they are at this moment, to be read by another thread; a copy of digests, not of plans."""
        return KnownNow(frozenset(self._state.standing) | self._state.queued.keys(), Digests(frozenset(self._state.reached)))

    def __iter__(self) -> Iterator[PlanKey]:
        for node in self._state.nodes:
            key = plan_key(node.plan())
            yield key
            for action in node.queue:
                yield key | set(action.steps)


@dataclass(frozen=True, slots=True)
class Digests(Container[str]):
    """Texts known by their digest."""

    digests: frozenset[int]

    def __contains__(self, text: object) -> bool:
        return isinstance(text, str) and key_digest(text) in self.digests


@dataclass(frozen=True, slots=True)
class KnownNow(Container[PlanKey]):
    """Which plans were known at one moment, and which `outcomes` (`Action.leads_to`) plans were known to lead to."""

    plans: frozenset[int]
    outcomes: Digests

    def __contains__(self, key: object) -> bool:
        return isinstance(key, frozenset) and plan_digest(key) in self.plans


class Claimed(NamedTuple):
    """A plan's last step, what the plan gained over its parent's (nats; None unless both were measured), and whether it passed (None
    while that is open)."""

    action: Action
    gain: float | None
    passed: bool | None


def claims(state: State) -> Iterator[Claimed]:
    """Of every plan but the root. Quicker than views of all nodes, which compute their values."""
    for node in state.nodes:
        if node.action is not None and node.parent is not None:
            own, above = node.own_reward, node.parent.own_reward
            passed = True if node.proven else False if node.attempts and _closed(state, node) else None
            yield Claimed(node.action, None if own is None or above is None else own - above, passed)


class Reader:
    """Views of many nodes at one moment: what they share is computed once."""

    def __init__(self, state: State, policy: Policy) -> None:
        self._state = state
        self._policy = policy
        self._yardstick = Yardstick.of(state)
        self._priors: dict[NodeId, dict[NodeId, float]] = {}
        self._rows: dict[NodeId, dict[NodeId, Terms]] = {}
        self._totals: dict[NodeId | None, list[float]] = {}

    @cached_property
    def _exhausted(self) -> set[NodeId]:
        """Children have greater numbers than their parents, so one pass backwards sees them first."""
        found: set[NodeId] = set()
        for node in reversed(self._state.nodes):
            if not node.proven or _may_still_issue(self._state, node):
                continue
            if all(arm.id in found or _closed(self._state, arm) for arm in node.children):
                found.add(node.id)
        return found

    def status(self, node: Node) -> NodeStatus:
        if node.parent is None:
            return NodeStatus.ROOT
        if not node.proven:
            return NodeStatus.CLOSED if _closed(self._state, node) else NodeStatus.UNPROVEN
        alive = node.selectable or node.in_flight > 0 or node.id not in self._exhausted
        return NodeStatus.PROVEN if alive else NodeStatus.EXHAUSTED

    def view(self, node: Node) -> NodeView:
        state, honesty, root_reward = self._state, self._yardstick.honesty, self._state.root_reward
        value = node_value(state, node, honesty)
        return NodeView(
            id=node.id,
            parent=None if node.parent is None else node.parent.id,
            children=tuple(arm.id for arm in node.children),
            action=node.action,
            plan=node.plan(),
            depth=node.depth,
            status=self.status(node),
            own=_own_counts(node),
            subtree=_subtree_counts(state, node),
            prior_value=root_reward + node_prior_value(state, node, honesty),
            mean=root_reward + node_mean(state, node, honesty),
            value=root_reward + value,
            q=normalised(value, self._yardstick.low, self._yardstick.span),
            prior=self._prior(node),
            attempts=node.attempts,
            failed_stage=node.failed_stage,
            fruitless=node.fruitless,
            queued=tuple(QueuedProposal(action, expected_gain(action)) for action in node.queue),
            refused=tuple(node.refusals.values()),
            open_tickets=tuple(state.tickets[id] for id in (node.writing, node.proposing) if id is not None),
        )

    def outcomes(self, parent: Node) -> tuple[ArmOutcome, ...]:
        return tuple(self._outcome(arm) for arm in parent.children)

    def explain(self, node: Node) -> Explanation:
        beside = node.visits + node.in_flight if node.parent is None else visits_below(node.parent)
        rows = self._terms(node)
        mine = rows[node.id]
        honesty, root_reward = self._yardstick.honesty, self._state.root_reward
        return Explanation(
            node=node.id,
            parent=None if node.parent is None else node.parent.id,
            legal=node.selectable,
            honesty=honesty,
            prior_value=root_reward + node_prior_value(self._state, node, honesty),
            mean=root_reward + node_mean(self._state, node, honesty),
            value=root_reward + node_value(self._state, node, honesty),
            q=mine.q,
            q_tilde=mine.q_tilde,
            prior=mine.prior,
            arms=len(rows),
            visits_beside=beside,
            exploration=mine.exploration,
            total=mine.total,
            rank=self._rank(node, rows, mine.total),
        )

    def _rank(self, node: Node, rows: dict[NodeId, Terms], total: float) -> int:
        """Siblings' totals are sorted once: a root of a thousand arms would otherwise be compared a million times."""
        parent = None if node.parent is None else node.parent.id
        if parent not in self._totals:
            self._totals[parent] = sorted(row.total for row in rows.values())
        return 1 + len(rows) - bisect_right(self._totals[parent], total)

    def options(self, at: Node) -> tuple[OptionView, ...]:
        found = sorted(self._policy.options(self._state, at), key=lambda option: -option.terms.total)
        return tuple(map(_option_view, found))

    def _terms(self, node: Node) -> dict[NodeId, Terms]:
        """Of the node and all its siblings. The root has none and is never chosen: it is shown as the only arm of nothing."""
        if node.parent is None:
            return {node.id: arm_terms(self._state, [node], node.visits + node.in_flight, self._yardstick)[0]}
        if node.parent.id not in self._rows:
            rows = self._policy.terms(self._state, node.parent)
            self._rows[node.parent.id] = {arm.id: row for arm, row in zip(node.parent.children, rows, strict=True)}
        return self._rows[node.parent.id]

    def _outcome(self, arm: Node) -> ArmOutcome:
        assert arm.action is not None, "arms are never the root"
        gain = None if arm.own is None else arm.own - arm.parent_own
        return ArmOutcome(arm.id, arm.action, self.status(arm), arm.attempts, gain, arm.failed_stage)

    def _prior(self, node: Node) -> float:
        parent = node.parent
        if parent is None:
            return 1.0
        if parent.id not in self._priors:
            shares = sibling_priors(self._state, parent, self._yardstick.honesty)
            self._priors[parent.id] = {arm.id: share for arm, share in zip(parent.children, shares, strict=True)}
        return self._priors[parent.id][node.id]


def _option_view(option: Option) -> OptionView:
    arm, terms = option.move == "arm", option.terms
    return OptionView(
        move=option.move,
        node=option.node.id if arm else None,
        action=option.action,
        legal=option.node.selectable if arm else True,
        value=terms.q_tilde,
        prior=terms.prior,
        exploration=terms.exploration,
        total=terms.total,
    )


def step_outlooks(state: State) -> tuple[StepOutlook, ...]:
    rows = [_step_outlook(state, step, digest) for digest, step in state.outlook.claims.items()]
    return tuple(sorted(rows, key=lambda row: (-row.gain, row.step.key)))


def _step_outlook(state: State, step: Action | Part, digest: int) -> StepOutlook:
    expected, credit = expected_of(state, step), state.credits.get(digest)
    return StepOutlook(step, expected.gain, expected.sd, expected.success, 0 if credit is None else credit.passed)


def _closed(state: State, node: Node) -> bool:
    if node.proven:
        return False
    return node.attempts >= state.constants.attempts or (node.writing is None and state.is_banned(node.action))


def _may_still_issue(state: State, node: Node) -> bool:
    """Whether `node` itself, leaving its arms aside, can be asked for something now or after its proposals come in."""
    return bool(node.queue) or node.proposing is not None or state.can_propose(node)


def _own_counts(node: Node) -> Counts:
    total = 0.0 if node.own_reward is None else node.own_reward
    return Counts(node.own_visits, int(node.writing is not None), node.own_skipped, node.own_failed, total, node.own_reward)


def _subtree_counts(state: State, node: Node) -> Counts:
    total = from_units(node.total_units + (node.visits - node.failed) * state.root_units)
    return Counts(node.visits, node.in_flight, node.skipped, node.failed, total, node.best_reward)
