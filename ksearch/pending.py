"""What is to be done next for an open ticket: a pure function of the run's state.

The loop only executes these steps, so that a resumed run is not a separate path: whatever the log shows as not yet
done is simply the next step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from ksearch.store.fold import CandidateState, RunState
from ksearch.tree.types import Failed, Measured, Propose, Ticket, TicketId, Write


@dataclass(frozen=True, slots=True)
class ProposeStep:
    ticket: Propose


@dataclass(frozen=True, slots=True)
class WriteStep:
    ticket: Write


@dataclass(frozen=True, slots=True)
class ForecastStep:
    candidate: int


@dataclass(frozen=True, slots=True)
class ForecastBatch:
    """Several ForecastSteps as one question: a language model answers them together."""

    candidates: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class JudgeStep:
    candidate: int


@dataclass(frozen=True, slots=True)
class RecallStep:
    """A ticket takes up a candidate that an earlier one left unmeasured."""

    ticket: TicketId
    candidate: int


@dataclass(frozen=True, slots=True)
class PromoteStep:
    candidate: int


@dataclass(frozen=True, slots=True)
class SettleStep:
    """Everything is known: tell the tree."""

    ticket: TicketId
    outcome: Measured | Failed


@dataclass(frozen=True, slots=True)
class WaitStep:
    """Another ticket comes first: the same code is being judged."""

    ticket: TicketId


Step: TypeAlias = ProposeStep | WriteStep | ForecastStep | ForecastBatch | JudgeStep | RecallStep | PromoteStep | SettleStep | WaitStep


def next_step(state: RunState, ticket: Ticket) -> Step:
    if isinstance(ticket, Propose):
        return ProposeStep(ticket)
    candidate = state.candidate_of(ticket.ticket)
    if candidate is None:
        return _step_without_code(state, ticket) if ticket.ticket in state.nothing_written else WriteStep(ticket)
    twin = state.twin_of(candidate)
    if twin.id != candidate.id and (step := _step_of_duplicate(state, ticket.ticket, twin)) is not None:
        return step
    return _step_of_candidate(state, ticket.ticket, candidate)


def _step_without_code(state: RunState, ticket: Write) -> Step:
    """The coder has no other code: what it wrote before and was never measured is measured now, else the try failed."""
    retired = {} if state.surrogate is None else state.surrogate.retired
    unmeasured = [candidate.id for candidate in state.candidates_of(ticket.node) if candidate.id in retired]
    return RecallStep(ticket.ticket, unmeasured[-1]) if unmeasured else SettleStep(ticket.ticket, Failed("write"))


def _step_of_duplicate(state: RunState, ticket: TicketId, twin: CandidateState) -> Step | None:
    """Identical code is never measured twice: it takes the outcome of the first. None when the first has no outcome to give."""
    if twin.settled is not None:
        return SettleStep(ticket, twin.settled)
    failed = next((verdict for verdict in twin.verdicts.values() if verdict.reward is None), None)
    if failed is not None:
        return SettleStep(ticket, Failed(failed.stage or failed.status))
    return WaitStep(ticket) if twin.ticket in state.open_tickets else None


def _step_of_candidate(state: RunState, ticket: TicketId, candidate: CandidateState) -> Step:
    """What was measured settles the ticket; whether it is promoted is decided apart from it (`ksearch.promotion`)."""
    judged = candidate.verdicts.get("evaluate")
    if _wants_forecast(state, candidate):
        return ForecastStep(candidate.id)
    if judged is None:
        return JudgeStep(candidate.id)
    failed = next((verdict for verdict in candidate.verdicts.values() if verdict.reward is None), None)
    if failed is not None:
        return SettleStep(ticket, Failed(failed.stage or failed.status))
    assert judged.reward is not None
    return SettleStep(ticket, Measured(judged.reward))


def _wants_forecast(state: RunState, candidate: CandidateState) -> bool:
    """Whether it is still to be asked for. A quick one is waited for even when the verdict came first, so that what the search
    knows doesn't depend on which of the two was faster, or on when it was interrupted.
    """
    if state.surrogate is None or candidate.running is not None or candidate.id in state.surrogate.made:
        return False
    return "evaluate" not in candidate.verdicts or state.surrogate.is_quick
