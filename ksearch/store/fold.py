"""The state of a run as a pure fold of its events: `RunState` changes by `apply(event)` alone.

A live search folds each event as it writes it; a reader and a resume fold the same events from the log and arrive at
the same state. Nothing here reads a clock, a file or a random number.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ksearch.budget import Amounts, Ledger, LedgerError, Limits
from ksearch.settings import BudgetSettings, Settings
from ksearch.store.changes import TreeEvent, to_change, to_edit
from ksearch.store.errors import StoreError
from ksearch.store.events import (
    ArmOpenedEvent,
    BudgetBlocked,
    BudgetChanged,
    CandidateId,
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
    ModelCallLost,
    ModelCallSettled,
    ModelCallStarted,
    NodePinned,
    NodeUnpinned,
    NothingWritten,
    Opened,
    PlanningFailed,
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
from ksearch.store.forecasts import SurrogateState
from ksearch.translate import evidence
from ksearch.tree import Tree, policy_named
from ksearch.tree.types import Cancelled, Failed, Foreseen, Issued, Measured, NodeId, Settled, Ticket, Write
from ksearch.worldmodel.beliefs import Beliefs, revised
from ksearch.worldmodel.document import Document, edited
from ksearch.worldmodel.types import Belief, Evidence

ROOT_KEY = "root"
"""Ledger key of the evaluations that establish the root."""


class BrokenLog(StoreError):
    """The events contradict each other: the file was edited or written by a faulty program."""


@dataclass(slots=True)
class CandidateState:
    """What is known of one candidate so far. `settled` is its ticket's end; the root's own candidates have no ticket."""

    written: CandidateWritten
    running: str | None = None
    started_at: float | None = None
    verdicts: dict[str, EvaluationSettled] = field(default_factory=dict)
    losses: int = 0
    device_seconds: float = 0.0
    usd: float = 0.0
    settled: Measured | Failed | None = None
    ticket: int | None = None
    """The ticket that its verdict settles: the one it was written for, or a later one that recalled it."""

    @property
    def id(self) -> CandidateId:
        return self.written.candidate


@dataclass(slots=True)
class ModelCall:
    """One call of a language model: in flight until it is settled or lost."""

    started: ModelCallStarted
    settled: ModelCallSettled | None = None
    lost: bool = False

    @property
    def in_flight(self) -> bool:
        return self.settled is None and not self.lost


@dataclass(slots=True)
class Books:
    """What was spent and what was learnt: needed to go on searching, not to look at a run."""

    ledger: Ledger
    by_technique: dict[str, Belief] = field(default_factory=dict)

    def issued(self, event: TicketIssued) -> None:
        if event.kind == "write" and event.evaluations:
            self.ledger.hold(_key(event.ticket), _reserved(event, event.evaluations))

    def started(self, ticket: int, event: EvaluationStarted) -> None:
        """A candidate that waited in the surrogate's line reserves only now, when it is measured."""
        if not self._held(ticket):
            self.ledger.hold(_key(ticket), _reserved(event, 1))

    def forecast(self, event: ForecastMade) -> None:
        if event.tokens or event.usd:
            cost = Amounts.of(tokens=event.tokens, usd=event.usd)
            self.ledger.hold(f"forecast-{event.candidate}", cost)
            self.ledger.settle(f"forecast-{event.candidate}", cost)

    def _held(self, ticket: int) -> bool:
        return _key(ticket) in self.ledger.reservations

    def settled(self, ticket: Write, candidate: CandidateState | None) -> None:
        judged = candidate is not None and "evaluate" in candidate.verdicts
        if self._held(ticket.ticket):
            took = Amounts() if candidate is None else _taken(candidate, int(judged))
            self.ledger.settle(_key(ticket.ticket), took)

    def root_started(self, candidate: CandidateState, event: EvaluationStarted) -> None:
        if _root_key(candidate) not in self.ledger.reservations:
            self.ledger.hold(_root_key(candidate), _reserved(event, 1))

    def root_answered(self, candidate: CandidateState) -> None:
        self.ledger.settle(_root_key(candidate), _taken(candidate, 1))

    def call_started(self, event: ModelCallStarted) -> None:
        self.ledger.hold(_call_key(event.call), Amounts(usd=event.usd, tokens=event.tokens))

    def call_settled(self, event: ModelCallSettled) -> None:
        tokens = event.input + event.cached + event.written + event.output
        self.ledger.settle(_call_key(event.call), Amounts(usd=event.usd, tokens=tokens))

    def call_lost(self, event: ModelCallLost) -> None:
        self.ledger.settle(_call_key(event.call), self.ledger.reservations[_call_key(event.call)])

    def learn(self, taught: Evidence) -> None:
        if taught.followed:
            technique = taught.action.technique
            self.by_technique[technique] = revised(Beliefs(self.by_technique).belief(technique), taught)


@dataclass(slots=True)
class RunState:
    """One run. `tree` is None until the root's reward is known; `books` is None in a state read only to be looked at."""

    header: RunCreated
    settings: Settings
    books: Books | None
    tree: Tree | None = None
    candidates: dict[CandidateId, CandidateState] = field(default_factory=dict)
    by_ticket: dict[int, CandidateId] = field(default_factory=dict)
    by_digest: dict[str, CandidateId] = field(default_factory=dict)
    by_node: dict[int, list[CandidateId]] = field(default_factory=dict)
    open_tickets: dict[int, Ticket] = field(default_factory=dict)
    nothing_written: dict[int, str] = field(default_factory=dict)
    trouble: dict[int, str] = field(default_factory=dict)
    """Nodes whose last attempt gave no code, and why."""
    planning_failed: dict[int, str] = field(default_factory=dict)
    document: Document = field(default_factory=Document)
    refused_edits: tuple[str, ...] = ()
    """Of the planner's last answer: shown to it the next time."""
    calls: dict[int, ModelCall] = field(default_factory=dict)
    blocked: str | None = None
    """Why no model call fits the budget any more; None while calls fit or none was tried."""
    why: dict[int, str] = field(default_factory=dict)
    surrogate: SurrogateState | None = None
    incumbent: IncumbentChanged | None = None
    root: RootSettled | None = None
    ended: RunEnded | None = None
    openings: int = 0
    opened_at: float | None = None
    settled_tickets: int = 0
    wall_seconds: float = 0.0
    last_time: float | None = None

    @classmethod
    def begin(cls, header: RunCreated, settings: Settings, *, books: bool = True) -> RunState:
        return cls(header=header, settings=settings, books=Books(Ledger(_limits(settings.budget))) if books else None)

    # ------------------------------------------------------------------ reading

    def candidate_of(self, ticket: int) -> CandidateState | None:
        candidate = self.by_ticket.get(ticket)
        return None if candidate is None else self.candidates[candidate]

    def twin_of(self, candidate: CandidateState) -> CandidateState:
        """The first candidate with the same code (itself, when the code is new)."""
        return self.candidates[self.by_digest.get(candidate.written.digest, candidate.id)]

    def candidates_of(self, node: int) -> list[CandidateState]:
        return [self.candidates[candidate] for candidate in self.by_node.get(node, [])]

    def best_candidate_of(self, node: int) -> CandidateState | None:
        """The fastest candidate of a node that passed."""
        passed = [c for c in self.candidates_of(node) if isinstance(c.settled, Measured)]
        return max(passed, key=_settled_reward, default=None)

    @property
    def ledger(self) -> Ledger:
        return self._kept_books().ledger

    @property
    def beliefs(self) -> Beliefs:
        return Beliefs(self._kept_books().by_technique)

    def _kept_books(self) -> Books:
        if self.books is None:
            raise LookupError("this state was read without its books; read_state(log) keeps them")
        return self.books

    @property
    def incumbent_candidate(self) -> CandidateState | None:
        return None if self.incumbent is None else self.candidates[self.incumbent.candidate]

    @property
    def best_known(self) -> CandidateState | None:
        """What a promotion is paired with: the incumbent, or the root's candidate while there is none."""
        if self.incumbent is not None:
            return self.candidates[self.incumbent.candidate]
        return None if self.root is None or self.root.candidate is None else self.candidates[self.root.candidate]

    @property
    def evaluations(self) -> int:
        """Evaluations answered, the root's included (a duplicate served from the log is none)."""
        return sum("evaluate" in c.verdicts or (c.written.ticket is None and "promote" in c.verdicts) for c in self.candidates.values())

    # ------------------------------------------------------------------ folding

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
                candidate.device_seconds += event.device_seconds
                candidate.usd += event.usd
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
                    self.books.ledger.limits = _limits(event.budget)
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
            followed = candidate is not None and candidate.written.followed  # where no code was written, no technique was tried
            self._learn(ticket, change.outcome, followed)

    def _learn(self, ticket: Write, outcome: Measured | Failed, followed: bool) -> None:
        if self.books is None or self.tree is None or not ticket.plan:
            return
        reward = outcome.reward if isinstance(outcome, Measured) else None
        stage = outcome.stage if isinstance(outcome, Failed) else None
        parent = self.tree.parent(ticket.node)
        self.books.learn(evidence(ticket.node, ticket.plan[-1], reward, self.tree.own_best(parent), stage, followed))

    def _surrogate_event(self, event: ForecastMade | CandidateRetired | CandidateRecalled) -> None:
        if self.surrogate is None:
            raise BrokenLog(f"{event.type} in a run without a surrogate")
        self.surrogate.apply(event)
        candidate = self.candidates[event.candidate]
        if isinstance(event, ForecastMade):
            self._foresee(event)
            if self.books is not None:
                self.books.forecast(event)
            if (verdict := candidate.verdicts.get("evaluate")) is not None:
                self.surrogate.compare(verdict)
        elif isinstance(event, CandidateRetired):
            self._hand_over(candidate)
        elif isinstance(event, CandidateRecalled):
            candidate.ticket = event.ticket
            self.by_ticket[event.ticket] = candidate.id
            self.by_digest.setdefault(candidate.written.digest, candidate.id)

    def _foresee(self, event: ForecastMade) -> None:
        """A trusted forecast moves the plan's value in the tree: pi mu' + (1 - pi) of the parent's reward."""
        assert self.surrogate is not None
        assert self.tree is not None
        said, node = self.surrogate.said(event.candidate), NodeId(self.candidates[event.candidate].written.node)
        own = self.tree.own_best(self.tree.parent(node))
        if event.m > 1.0 and said is not None and own is not None and event.parent_reward is not None:
            self.tree.apply(Foreseen(node, own + said.pi * (said.mu - event.parent_reward), said.sigma))

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
        if event.ticket is not None:
            self.by_ticket[event.ticket] = event.candidate

    def _started(self, event: EvaluationStarted, time: float) -> None:
        candidate = self.candidates[event.candidate]
        candidate.running, candidate.started_at = event.kind, time
        if self.books is not None and candidate.ticket is None:
            self.books.root_started(candidate, event)
        elif self.books is not None and candidate.ticket is not None:
            self.books.started(candidate.ticket, event)
        if self.surrogate is not None and event.kind == "evaluate":
            self.surrogate.started(event.candidate)

    def _answered(self, event: EvaluationSettled) -> None:
        candidate = self.candidates[event.candidate]
        candidate.running = None
        candidate.device_seconds += event.device_seconds
        candidate.usd += event.usd
        candidate.verdicts[event.kind] = event
        if self.surrogate is not None and event.kind == "evaluate":
            self.surrogate.answered(event)
        if self.books is not None and candidate.written.ticket is None:
            self.books.root_answered(candidate)

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
        policy, kept = policy_named(tree_policy(self.settings.policy, self.header.judge_version)), self.books is not None
        self.tree = Tree(root_reward=event.reward, sigma_noise=event.sigma_noise, policy=policy, asked=kept)
        if event.candidate is not None:
            self.candidates[event.candidate].settled = Measured(event.reward)


def tree_policy(policy: str, judge_version: str) -> str:
    """The tree's policy behind a setting: a single conversation has no tree, its turns are arms of the root one after the other.

    In runs of the first judge `puct` was what `puct-mean` is now; why they went where they went is told by its figures.
    """
    if policy == "puct" and judge_version == "1":
        return "puct-mean"
    return "best-of-n" if policy == "single-agent" else policy


def _reserved(event: TicketIssued | EvaluationStarted, evaluations: int) -> Amounts:
    return Amounts.of(evaluations=evaluations, gpu_seconds=event.gpu_seconds, usd=event.usd)


def _taken(candidate: CandidateState, evaluations: int) -> Amounts:
    return Amounts.of(evaluations=evaluations, gpu_seconds=candidate.device_seconds, usd=candidate.usd)


def _key(ticket: int) -> str:
    return f"ticket-{ticket}"


def _call_key(call: int) -> str:
    return f"call-{call}"


def _root_key(candidate: CandidateState) -> str:
    return f"{ROOT_KEY}-{candidate.id}"


def _settled_reward(candidate: CandidateState) -> float:
    assert isinstance(candidate.settled, Measured)
    return candidate.settled.reward


def _limits(budget: BudgetSettings) -> Limits:
    return Limits.of(
        evaluations=budget.max_evaluations,
        gpu_seconds=budget.max_gpu_seconds,
        usd=budget.max_usd,
        tokens=budget.max_tokens,
        wall_seconds=budget.max_time_s,
    )
