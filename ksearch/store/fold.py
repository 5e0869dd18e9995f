"""The state of a run as a pure fold of its events: `RunState` changes by `apply(event)` alone.

A live search folds each event as it writes it; a reader and a resume fold the same events from the log and arrive at
the same state. Nothing here reads a clock, a file or a random number.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ksearch.budget import LedgerError
from ksearch.store.books import Books, limits_of
from ksearch.store.candidates import CandidateState, ModelCall
from ksearch.store.changes import TreeEvent, facts_of, to_change, to_edit, to_knowledge
from ksearch.store.errors import StoreError
from ksearch.store.events import (
    ArmOpenedEvent,
    BoundsKnown,
    BudgetBlocked,
    BudgetChanged,
    CandidateRecalled,
    CandidateRetired,
    CandidateWritten,
    EvaluationLost,
    EvaluationSettled,
    EvaluationStarted,
    Event,
    ForecastMade,
    IdeaBanned,
    IdeaUnbanned,
    IncumbentChanged,
    KnowledgeRecalled,
    ModelCallLost,
    ModelCallSettled,
    ModelCallStarted,
    NodePinned,
    NodeUnpinned,
    NothingWritten,
    Opened,
    PlanningFailed,
    PlanRefuted,
    RequestAnswered,
    RootSettled,
    RunCreated,
    RunEnded,
    SurrogateOpened,
    TicketIssued,
    TicketSettled,
    WorldModelRevised,
    parse_event,
)
from ksearch.store.facts import RunFacts
from ksearch.store.forecasts import SurrogateState
from ksearch.tree import Tree, policy_named
from ksearch.tree.types import Cancelled, Failed, Foreseen, Issued, Measured, NodeId, Refuted, Settled, Write
from ksearch.worldmodel.beliefs import evidence
from ksearch.worldmodel.document import edited

__all__ = ["Books", "BrokenLog", "CandidateState", "ModelCall", "RunState", "tree_policy"]


class BrokenLog(StoreError):
    """The events contradict each other: the file was edited or written by a faulty program."""


@dataclass(slots=True)
class RunState(RunFacts):
    """One run, as far as its events have been folded in. Changes by `apply` alone."""

    def replay(self, seq: int, payload: str, time: float) -> Event:
        """Fold a stored event, which anybody may have written. Raises BrokenLog when it can't follow from those before it."""
        try:
            event = parse_event(payload)
            self.apply(event, time)
        except (LookupError, TypeError, ValueError, OverflowError, LedgerError) as error:
            raise BrokenLog(f"run {self.header.run}: event {seq} doesn't follow from those before it: {error}") from error
        return event

    def apply(self, event: Event, time: float, *, tree_done: bool = False) -> None:
        """Fold one event. `tree_done`: the live search has put this change into the tree already (by ask or tell)."""
        self._book_wall(event, time)
        match event:
            case ArmOpenedEvent() | TicketIssued() | TicketSettled() | NodePinned() | NodeUnpinned() | IdeaBanned() | IdeaUnbanned():
                self._tree_event(event, tree_done)
            case RequestAnswered():
                pass  # what it changed are events of their own
            case CandidateWritten():
                self._written(event)
            case NothingWritten():
                self.nothing_written[event.ticket] = event.reason
                if event.ticket in self.open_tickets:
                    self.trouble[self.open_tickets[event.ticket].node] = event.reason
            case SurrogateOpened():
                assert self.root is not None, "candidates are forecast once there is a tree"
                self.surrogate = SurrogateState.begin(event, self.root.sigma_noise, self.settings.surrogate_budget)
            case ForecastMade() | CandidateRetired() | CandidateRecalled():
                self._surrogate_event(event)
            case EvaluationStarted():
                self._started(event, time)
            case EvaluationSettled():
                self._answered(event)
            case EvaluationLost():
                candidate = self.candidates[event.candidate]
                candidate.running, candidate.losses = None, candidate.losses + 1
                self._book_device(candidate, event)
            case PlanRefuted():
                self._refuted(event, tree_done)
            case BoundsKnown():
                self.bounds = event
                self.document = replace(self.document, operator=facts_of(event))
            case KnowledgeRecalled():
                self.recalled, self.knowledge = event, to_knowledge(event)
                if self.books is not None:
                    self.books.recall(self.knowledge)
            case RootSettled():
                self._root(event)
            case IncumbentChanged():
                if event.candidate not in self.candidates:
                    raise BrokenLog(f"candidate {event.candidate} became the incumbent before it was written")
                self.incumbent = event
            case ModelCallStarted() | ModelCallSettled() | ModelCallLost():
                self._call(event)
            case WorldModelRevised():
                self.refused_edits = event.refused
                for edit in event.edits:
                    self.document = edited(self.document, to_edit(edit))
            case PlanningFailed():
                self.planning_failed[event.ticket] = event.reason
            case BudgetBlocked():
                self.blocked = event.reason
            case BudgetChanged():
                self.blocked = None
                self.settings = self.settings.model_copy(update={"budget": event.budget})
                if self.books is not None:
                    self.books.ledger.limits = limits_of(event.budget)
            case RunEnded():
                self.ended = event
            case Opened():
                self.openings, self.ended, self.opened_at = self.openings + 1, None, time
            case RunCreated():
                raise BrokenLog("a second run_created event")

    def _book_wall(self, event: Event, time: float) -> None:
        """Wall-clock is the time between events of one opening: what passed while the run was closed doesn't count."""
        last = self.last_time
        if last is not None and time > last and not isinstance(event, Opened):
            self.wall_seconds += time - last
        self.last_time = time

    def _tree_event(self, event: TreeEvent, tree_done: bool) -> None:
        if self.tree is None:
            raise BrokenLog(f"{event.type} before the root settled")
        plan = self.tree.plan(NodeId(event.node)) if isinstance(event, TicketIssued) else ()
        change = to_change(event, plan)
        if not tree_done:
            self.tree.apply(change)
        if isinstance(change, Issued):
            self.open_tickets[change.ticket.ticket] = change.ticket
            self.why[change.ticket.ticket] = change.why
            if self.books is not None and isinstance(event, TicketIssued):
                self.books.issued(event)
        elif isinstance(change, Settled):
            self._ticket_settled(change)

    def _ticket_settled(self, change: Settled) -> None:
        ticket = self.open_tickets.pop(change.ticket)
        self.settled_tickets += 0 if isinstance(change.outcome, Cancelled) else 1
        if not isinstance(ticket, Write):
            return
        candidate = self.candidate_of(change.ticket)
        if self.books is not None:
            self.books.settled(ticket, candidate)
        if isinstance(change.outcome, Measured | Failed):
            if candidate is not None:
                candidate.settled = change.outcome
                if isinstance(change.outcome, Measured) and "evaluate" in candidate.verdicts and "promote" not in candidate.verdicts:
                    self.promotions.measured(candidate.id, change.outcome.reward)
            followed = candidate is not None and candidate.written.followed  # where no code was written, no technique was tried
            self._learn(ticket.node, change.outcome, followed)

    def _learn(self, node: NodeId, outcome: Measured | Failed, followed: bool) -> None:
        if self.books is None or self.tree is None or not (plan := self.tree.plan(node)):
            return
        reward = outcome.reward if isinstance(outcome, Measured) else None
        stage = outcome.stage if isinstance(outcome, Failed) else None
        parent = self.tree.parent(node)
        self.books.learn(evidence(node, plan[-1], reward, self.tree.own_best(parent), stage, followed))

    def _surrogate_event(self, event: ForecastMade | CandidateRetired | CandidateRecalled) -> None:
        if self.surrogate is None:
            raise BrokenLog(f"{event.type} in a run without a surrogate")
        self.surrogate.apply(event)
        candidate = self.candidates[event.candidate]
        if isinstance(event, ForecastMade):
            self._foresee(event)
            if (verdict := candidate.verdicts.get("evaluate")) is not None:
                self.surrogate.compare(verdict)
        elif isinstance(event, CandidateRetired):
            self._hand_over(candidate)
        elif isinstance(event, CandidateRecalled):
            candidate.ticket = event.ticket
            self.by_ticket[event.ticket] = candidate.id
            self._take_over(candidate)

    def _foresee(self, event: ForecastMade) -> None:
        """A trusted forecast moves the plan's value in the tree: pi mu' + (1 - pi) of the parent's reward."""
        assert self.surrogate is not None
        assert self.tree is not None
        said, node = self.surrogate.said(event.candidate), NodeId(self.candidates[event.candidate].written.node)
        own = self.tree.own_best(self.tree.parent(node))
        if event.m > 1.0 and said is not None and own is not None and event.parent_reward is not None:
            self.tree.apply(Foreseen(node, own + said.pi * (said.mu - event.parent_reward), said.sigma))

    def _take_over(self, recalled: CandidateState) -> None:
        """It is measured now, so candidates with the same code wait for it, unless one of them was first: two that wait for each
        other would never end."""
        standing = self.candidates.get(self.by_digest.get(recalled.written.digest, -1))
        if standing is None or (standing.running is None and not standing.verdicts):
            self.by_digest[recalled.written.digest] = recalled.id

    def _hand_over(self, retired: CandidateState) -> None:
        """The next candidate with the same code stands for it from now on: the retired one will have no verdict."""
        digest = retired.written.digest
        if self.by_digest.get(digest) != retired.id:
            return
        del self.by_digest[digest]
        for ticket in self.open_tickets:
            other = self.candidate_of(ticket)
            if other is not None and other.id != retired.id and other.written.digest == digest:
                self.by_digest[digest] = min(other.id, self.by_digest.get(digest, other.id))

    def _written(self, event: CandidateWritten) -> None:
        if event.candidate in self.candidates:
            raise BrokenLog(f"candidate {event.candidate} written twice")
        self.candidates[event.candidate] = CandidateState(event, ticket=event.ticket)
        self.by_digest.setdefault(event.digest, event.candidate)
        self.by_node.setdefault(event.node, []).append(event.candidate)
        self.trouble.pop(event.node, None)
        if self.surrogate is not None:
            self.surrogate.written(event.candidate, event.digest)
        if event.ticket is not None:
            self.by_ticket[event.ticket] = event.candidate

    def _started(self, event: EvaluationStarted, time: float) -> None:
        candidate = self.candidates[event.candidate]
        candidate.running, candidate.started_at = event.kind, time
        if self.books is not None and self._is_apart(candidate, event.kind):
            self.books.promotion_started(candidate, event)
        elif self.books is not None and candidate.ticket is None:
            self.books.root_started(candidate, event)
        elif self.books is not None and candidate.ticket is not None:
            self.books.started(candidate.ticket, event)
        if self.surrogate is not None and event.kind == "evaluate":
            self.surrogate.started(event.candidate)

    def _answered(self, event: EvaluationSettled) -> None:
        candidate = self.candidates[event.candidate]
        candidate.running = None
        self._book_device(candidate, event)
        candidate.verdicts[event.kind] = event
        ordinary = candidate.verdicts.get("evaluate", event)
        self.promotions.judged(event, ordinary.reward, root=candidate.written.ticket is None)
        if self.surrogate is not None and event.kind == "evaluate":
            self.surrogate.answered(event)
        if self.books is not None and candidate.written.ticket is None:
            self.books.root_answered(candidate)
        elif self.books is not None and self._is_apart(candidate, event.kind):
            self.books.promotion_answered(candidate)

    def _is_apart(self, candidate: CandidateState, kind: str) -> bool:
        """Whether this is a promotion after its ticket settled, with books of its own; in older runs it came before."""
        return kind == "promote" and candidate.ticket is not None and candidate.ticket not in self.open_tickets

    def _book_device(self, candidate: CandidateState, event: EvaluationSettled | EvaluationLost) -> None:
        if self._is_apart(candidate, event.kind):
            candidate.promoting_seconds += event.device_seconds
            candidate.promoting_usd += event.usd
        else:
            candidate.device_seconds += event.device_seconds
            candidate.usd += event.usd

    def _refuted(self, event: PlanRefuted, tree_done: bool) -> None:
        if self.tree is None:
            raise BrokenLog(f"{event.type} before the root settled")
        if not tree_done:
            self.tree.apply(Refuted(tuple(map(NodeId, event.nodes)), event.stage))
        for candidate in [candidate for node in event.nodes for candidate in self.candidates_of(node)]:
            if isinstance(candidate.settled, Measured):
                candidate.settled = Failed(event.stage)
                self.promotions.drop(candidate.id)
        cause = self.candidates[event.candidate].written
        self._learn(NodeId(cause.node), Failed(event.stage), cause.followed)

    def _call(self, event: ModelCallStarted | ModelCallSettled | ModelCallLost) -> None:
        match event:
            case ModelCallStarted():
                self.calls[event.call] = ModelCall(event)
                if self.books is not None:
                    self.books.call_started(event)
            case ModelCallSettled():
                self.calls[event.call].settled = event
                if self.books is not None:
                    self.books.call_settled(event)
            case ModelCallLost():
                self.calls[event.call].lost = True
                if self.books is not None:
                    self.books.call_lost(event)

    def _root(self, event: RootSettled) -> None:
        self.root = event
        self.promotions.bar, self.promotions.sigma = event.reward, event.sigma_noise
        policy = policy_named(tree_policy(self.settings.policy, self.header.judge_version))
        self.tree = Tree(root_reward=event.reward, sigma_noise=event.sigma_noise, policy=policy)
        if event.candidate is not None:
            self.candidates[event.candidate].settled = Measured(event.reward)


def tree_policy(policy: str, judge_version: str) -> str:
    """The tree's policy behind a setting: a single conversation has no tree, its turns are arms of the root one after the other.

    In runs of the first judge `puct` was what `puct-mean` is now; why they went where they went is told by its figures.
    """
    if policy == "puct" and judge_version == "1":
        return "puct-mean"
    return "best-of-n" if policy == "single-agent" else policy
