"""What the fold forgets and a view wants: when each thing happened, and how far the search was then."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from ksearch.records.beliefs import RevisionRecord
from ksearch.records.learning import Learnt, learnt_from, revision_record
from ksearch.records.model import IncumbentRecord
from ksearch.store.events import (
    ArmOpenedEvent,
    CandidateWritten,
    EvaluationSettled,
    Event,
    IncumbentChanged,
    NothingWritten,
    Opened,
    PlanRefuted,
    TicketIssued,
    TicketSettled,
    WorldModelRevised,
)
from ksearch.store.fold import RunState
from ksearch.tree.types import NodeId
from ksearch.worldmodel.types import Belief


class Moment(NamedTuple):
    """An event's number, and the seconds of searching before it."""

    seq: int
    at_s: float


START = Moment(0, 0.0)
"""Before anything happened."""


class Answer(NamedTuple):
    """Where the search stood after one answer of the judge: what a `ProgressRow` is made of, once somebody asks for it."""

    seq: int
    at_s: float
    evaluations: int
    gpu_seconds: Decimal
    """Of settled tickets; `open_seconds` of those in flight."""
    open_seconds: float
    usd: Decimal
    candidate: int
    reward: float | None
    best: float
    incumbent_us: float | None


@dataclass(slots=True)
class Decision:
    """A ticket's life."""

    issued: TicketIssued
    at: Moment
    settled: TicketSettled | None = None
    settled_at: Moment | None = None


@dataclass(slots=True)
class History:
    """Filled by `note` after each event has been folded into the state."""

    last: Moment = START
    environment: dict[str, str] = field(default_factory=dict)
    opened: dict[int, Moment] = field(default_factory=dict)
    written: dict[int, Moment] = field(default_factory=dict)
    answered: dict[tuple[int, str], Moment] = field(default_factory=dict)
    decisions: dict[int, Decision] = field(default_factory=dict)
    by_node: dict[int, list[int]] = field(default_factory=dict)
    nothing: dict[int, str] = field(default_factory=dict)
    progress: list[Answer] = field(default_factory=list)
    incumbents: list[IncumbentRecord] = field(default_factory=list)
    evaluations: int = 0
    beliefs: list[Learnt] = field(default_factory=list)
    believed: dict[str, Belief] = field(default_factory=dict)
    revisions: list[RevisionRecord] = field(default_factory=list)
    refuted: bool = False
    """The best so far was taken back since the last answer."""

    def note(self, seq: int, event: Event, state: RunState) -> None:
        now = self.last = Moment(seq, state.wall_seconds)
        match event:
            case Opened():
                self.environment = dict(event.environment)
            case ArmOpenedEvent():
                self.opened[event.node] = now
            case CandidateWritten():
                self.written[event.candidate] = now
            case NothingWritten():
                self.nothing[event.ticket] = event.reason
            case TicketIssued():
                self.decisions[event.ticket] = Decision(event, now)
                self.by_node.setdefault(event.node, []).append(event.ticket)
            case TicketSettled():
                decision = self.decisions[event.ticket]
                decision.settled, decision.settled_at = event, now
                self._learnt(decision.issued.node, event.outcome, now, state)
            case EvaluationSettled():
                self._answered(event, now, state)
            case WorldModelRevised():
                node = self.decisions[event.ticket].issued.node
                self.revisions.append(revision_record(event, state, node, now.seq, now.at_s, self.evaluations))
            case IncumbentChanged():
                self.incumbents.append(_incumbent(event, now, state))
                # The answer that won the promotion was noted an event earlier: it is what changed the incumbent.
                if self.progress and self.progress[-1].candidate == event.candidate:
                    self.progress[-1] = self.progress[-1]._replace(incumbent_us=event.latency_us)
            case PlanRefuted():
                self.refuted = True
                self._learnt(state.candidates[event.candidate].written.node, "failed", now, state)
            case _:
                pass

    def _learnt(self, node: int, outcome: str, now: Moment, state: RunState) -> None:
        """Notes the belief in a node's technique when its outcome changed it."""
        plan = state.tree.plan(NodeId(node)) if state.tree is not None and outcome in ("measured", "failed") else ()
        belief = state.beliefs.by_technique.get(plan[-1].technique) if plan else None
        if belief is not None and belief is not self.believed.get(belief.technique):
            self.believed[belief.technique] = belief
            self.beliefs.append(learnt_from(belief, state, node, outcome, now.seq, now.at_s, self.evaluations))

    def _answered(self, event: EvaluationSettled, now: Moment, state: RunState) -> None:
        self.answered[event.candidate, event.kind] = now
        ticket = state.candidates[event.candidate].written.ticket
        first = (event.candidate, "evaluate") not in self.answered if event.kind == "promote" else True
        self.evaluations += int(event.kind == "evaluate" or (ticket is None and first))
        spent = state.ledger.spent
        open_seconds = sum(c.device_seconds for c in map(state.candidate_of, state.open_tickets) if c is not None)
        before = self.progress[-1].best if self.progress and not self.refuted else None
        self.refuted = False
        incumbent_us = None if state.incumbent is None else state.incumbent.latency_us
        best = _best(state, event, before)
        self.progress.append(
            Answer(*now, self.evaluations, spent.gpu_seconds, open_seconds, spent.usd, event.candidate, event.reward, best, incumbent_us)
        )


def _best(state: RunState, event: EvaluationSettled, before: float | None) -> float:
    """Before the tree begins, the reference's own reward 0 stands; a promotion's answer settles an event later."""
    if state.tree is None:
        return event.reward or 0.0
    known = state.tree.incumbent_reward
    return known if before is None else max(before, known)


def _incumbent(event: IncumbentChanged, now: Moment, state: RunState) -> IncumbentRecord:
    return IncumbentRecord(
        candidate=event.candidate, node=state.candidates[event.candidate].written.node, latency_us=event.latency_us,
        baseline_us=event.baseline_us, speedup=event.baseline_us / event.latency_us, seq=now.seq, at_s=now.at_s,
    )  # fmt: skip
