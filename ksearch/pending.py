"""What is to be done next for an open ticket: a pure function of the run's state.

The loop only executes these steps, so that a resumed run is not a separate path: whatever the log shows as not yet
done is simply the next step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from ksearch.store.fold import CandidateState, RunState
from ksearch.translate import deserves_promotion
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
    """Everything is known: tell the tree. `promoted` names the candidate that becomes the incumbent, if any."""

    ticket: TicketId
    outcome: Measured | Failed
    promoted: int | None = None


@dataclass(frozen=True, slots=True)
class WaitStep:
    """Another ticket comes first (the same code is being judged, or a promotion is under way)."""

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
    judged = candidate.verdicts.get("evaluate")
    if judged is None:
        return ForecastStep(candidate.id) if _wants_forecast(state, candidate) else JudgeStep(candidate.id)
    if judged.reward is None:
        return SettleStep(ticket, Failed(judged.stage or judged.status))
    if "promote" in candidate.verdicts:
        return _step_after_promotion(state, ticket, candidate)
    if not deserves_promotion(judged.reward, _incumbent_reward(state)):
        return SettleStep(ticket, Measured(min(judged.reward, _incumbent_reward(state))))
    return PromoteStep(candidate.id) if _first_in_line(state, candidate) else WaitStep(ticket)


def _wants_forecast(state: RunState, candidate: CandidateState) -> bool:
    """A forecast made while the verdict is on its way could not be told from one that knew it."""
    if state.surrogate is None or candidate.running is not None or candidate.losses:
        return False
    return candidate.id not in state.surrogate.made


def _step_after_promotion(state: RunState, ticket: TicketId, candidate: CandidateState) -> Step:
    """One promotion at a time, so the incumbent is still the one that the candidate was paired with."""
    promotion, judged = candidate.verdicts["promote"], candidate.verdicts["evaluate"]
    if promotion.reward is None:
        return SettleStep(ticket, Failed(promotion.stage or promotion.status))
    best = _incumbent_reward(state)
    if promotion.promoted:
        gain = promotion.paired_gain if promotion.paired_gain is not None else max(0.0, promotion.reward - best)
        return SettleStep(ticket, Measured(best + gain), promoted=candidate.id)
    assert judged.reward is not None
    return SettleStep(ticket, Measured(min(judged.reward, best)))


def _incumbent_reward(state: RunState) -> float:
    assert state.tree is not None
    return state.tree.incumbent_reward


def _first_in_line(state: RunState, candidate: CandidateState) -> bool:
    """One promotion at a time: a running one first, then the candidate measured fastest. Once it is promoted, most of those behind
    it are no better than the incumbent and settle without a promotion of their own."""
    for ticket in state.open_tickets:
        other = state.candidate_of(ticket)
        if other is None or other.id == candidate.id:
            continue
        if other.running == "promote" or "promote" in other.verdicts:
            return False
        if _wants_promotion(state, other) and _place_in_line(other) < _place_in_line(candidate):
            return False
    return True


def _place_in_line(candidate: CandidateState) -> tuple[float, int]:
    reward = candidate.verdicts["evaluate"].reward
    assert reward is not None, "a candidate that failed wants no promotion"
    return -reward, candidate.id


def _wants_promotion(state: RunState, candidate: CandidateState) -> bool:
    judged = candidate.verdicts.get("evaluate")
    return judged is not None and judged.reward is not None and deserves_promotion(judged.reward, _incumbent_reward(state))
