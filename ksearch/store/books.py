"""What a run has spent and promised, and what it has learnt of techniques."""

from __future__ import annotations

from dataclasses import dataclass, field

from ksearch.budget import Amounts, Ledger, Limits
from ksearch.settings import BudgetSettings
from ksearch.store.candidates import CandidateState
from ksearch.store.events import EvaluationStarted, ModelCallLost, ModelCallSettled, ModelCallStarted, TicketIssued
from ksearch.tree.types import Write
from ksearch.worldmodel.beliefs import Beliefs, revised
from ksearch.worldmodel.memory import Knowledge, priors
from ksearch.worldmodel.types import Belief, Evidence

ROOT_KEY = "root"
"""Ledger key of the evaluations that establish the root."""


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
        if not self.ledger.holds(_key(ticket)):
            self.ledger.hold(_key(ticket), _reserved(event, 1))

    def settled(self, ticket: Write, candidate: CandidateState | None) -> None:
        judged, key = candidate is not None and "evaluate" in candidate.verdicts, _key(ticket.ticket)
        if self.ledger.holds(key):
            self.ledger.settle(key, Amounts() if candidate is None else _taken(candidate, int(judged)))

    def promotion_started(self, candidate: CandidateState, event: EvaluationStarted) -> None:
        """It costs no evaluation: it belongs to the one that asked for it."""
        if not self.ledger.holds(_promotion_key(candidate)):
            self.ledger.hold(_promotion_key(candidate), _reserved(event, 0))

    def promotion_answered(self, candidate: CandidateState) -> None:
        self.ledger.settle(_promotion_key(candidate), Amounts.of(gpu_seconds=candidate.promoting_seconds, usd=candidate.promoting_usd))

    def root_started(self, candidate: CandidateState, event: EvaluationStarted) -> None:
        if not self.ledger.holds(_root_key(candidate)):
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

    def recall(self, knowledge: Knowledge) -> None:
        """Begin with what earlier runs would predict."""
        self.by_technique |= {prior.technique: prior for prior in priors(knowledge)}

    def learn(self, taught: Evidence) -> None:
        if taught.followed:
            technique = taught.action.technique
            self.by_technique[technique] = revised(Beliefs(self.by_technique).belief(technique), taught)


def _reserved(event: TicketIssued | EvaluationStarted, evaluations: int) -> Amounts:
    return Amounts.of(evaluations=evaluations, gpu_seconds=event.gpu_seconds, usd=event.usd)


def _taken(candidate: CandidateState, evaluations: int) -> Amounts:
    return Amounts.of(evaluations=evaluations, gpu_seconds=candidate.device_seconds, usd=candidate.usd)


def limits_of(budget: BudgetSettings) -> Limits:
    return Limits.of(
        evaluations=budget.max_evaluations,
        gpu_seconds=budget.max_gpu_seconds,
        usd=budget.max_usd,
        tokens=budget.max_tokens,
        wall_seconds=budget.max_time_s,
    )


def _key(ticket: int) -> str:
    return f"ticket-{ticket}"


def _promotion_key(candidate: CandidateState) -> str:
    return f"promotion-{candidate.id}"


def _call_key(call: int) -> str:
    return f"call-{call}"


def _root_key(candidate: CandidateState) -> str:
    return f"{ROOT_KEY}-{candidate.id}"
