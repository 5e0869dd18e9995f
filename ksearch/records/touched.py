"""Which rows of a record a few events change: what somebody who follows a large run is sent in place of the whole."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ksearch.records.history import History
from ksearch.store.events import (
    ArmOpenedEvent,
    CandidateRecalled,
    CandidateRetired,
    CandidateWritten,
    EvaluationLost,
    EvaluationSettled,
    Event,
    ForecastMade,
    IdeaBanned,
    IdeaUnbanned,
    IncumbentChanged,
    NothingWritten,
    PlanRefuted,
    RootSettled,
    RunCreated,
    SurrogateOpened,
    TicketIssued,
    TicketSettled,
)
from ksearch.store.fold import RunState
from ksearch.tree.types import ROOT, NodeId


@dataclass(slots=True)
class Touched:
    """Numbers of rows. `everything`: an event among them changes rows all over the tree.

    A measured reward moves the planner's honesty, the scale of values and a forecaster's calibration, and with them the values,
    scores and forecasts of every plan a little; such plans aren't listed.
    """

    nodes: set[int] = field(default_factory=set)
    candidates: set[int] = field(default_factory=set)
    tickets: set[int] = field(default_factory=set)
    everything: bool = False


def touched_by(events: Iterable[Event], state: RunState, history: History) -> Touched:
    """`state` is the fold of all events up to the last of these."""
    found = Touched()
    for event in events:
        _note(found, event, state, history)
    _with_those_above(found.nodes, state)
    _with_twins(found.candidates, state)
    return found


def _note(found: Touched, event: Event, state: RunState, history: History) -> None:
    match event:
        case ArmOpenedEvent():
            found.nodes |= {event.node, event.parent}
        case TicketIssued():
            found.nodes.add(event.node)
            found.tickets.add(event.ticket)
        case NothingWritten():
            found.tickets.add(event.ticket)
        case TicketSettled():
            found.nodes.add(history.decisions[event.ticket].issued.node)
            _ticket(found, event.ticket, state)
        case CandidateWritten() | CandidateRecalled():
            _candidate(found, event.candidate, state)
            found.tickets |= set() if event.ticket is None else {event.ticket}
        case ForecastMade() | CandidateRetired() | EvaluationSettled() | EvaluationLost():
            _candidate(found, event.candidate, state)
        case IncumbentChanged():
            for won in history.incumbents:  # the one before is it no more
                _candidate(found, won.candidate, state)
        case RunCreated() | RootSettled() | SurrogateOpened() | PlanRefuted() | IdeaBanned() | IdeaUnbanned():
            found.everything = True
        case _:
            pass


def _ticket(found: Touched, ticket: int, state: RunState) -> None:
    found.tickets.add(ticket)
    candidate = state.by_ticket.get(ticket)
    if candidate is not None:
        _candidate(found, candidate, state)


def _candidate(found: Touched, candidate: int, state: RunState) -> None:
    found.candidates.add(candidate)
    found.nodes.add(state.candidates[candidate].written.node)


def _with_those_above(nodes: set[int], state: RunState) -> None:
    """Counts and values of a plan are sums over what is below it."""
    if state.tree is None:
        return
    for node in tuple(nodes):
        at = node
        while at != ROOT and (at := state.tree.parent(NodeId(at))) not in nodes:
            nodes.add(at)


def _with_twins(candidates: set[int], state: RunState) -> None:
    """One verdict stands for all candidates with the same code."""
    digests = {state.candidates[candidate].written.digest for candidate in candidates}
    candidates |= {candidate.id for candidate in state.candidates.values() if candidate.written.digest in digests}
