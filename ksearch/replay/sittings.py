"""A record cut into sittings, and each sitting into batches of what arrived between two turns of the loop.

Between the arrivals of one batch the log shows nothing that the loop did, so that they can be handed over together: asking
and advancing are functions of the state, and would have shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias, get_args

from ksearch.store.events import (
    ArmOpenedEvent,
    BoundsKnown,
    BudgetBlocked,
    BudgetChanged,
    CandidateWritten,
    EvaluationLost,
    EvaluationSettled,
    EvaluationStarted,
    Event,
    ForecastMade,
    IncumbentChanged,
    KnowledgeRecalled,
    ModelCallSettled,
    ModelCallStarted,
    NothingWritten,
    Opened,
    PlanningFailed,
    PlanRefuted,
    RequestAnswered,
    RootSettled,
    RunEnded,
    TicketIssued,
    TicketSettled,
    WorldModelRevised,
)

KILLED = "the process that ran it ended"
"""The reason that a later process gives for what an earlier one left in flight."""

Written: TypeAlias = CandidateWritten | NothingWritten | TicketSettled
Judged: TypeAlias = EvaluationSettled | EvaluationLost
Arrival: TypeAlias = ModelCallStarted | ModelCallSettled | BudgetBlocked | ForecastMade | Written | Judged | RequestAnswered
"""Events that came from outside the loop."""


LoopEvent: TypeAlias = ArmOpenedEvent | TicketIssued | TicketSettled | EvaluationStarted | IncumbentChanged | PlanRefuted
"""Events by which the loop's own turns show."""

_TURN = (CandidateWritten, ModelCallStarted, *get_args(LoopEvent))


@dataclass(frozen=True, slots=True)
class Sitting:
    """What one process did. `ending` None: it was killed. `changes`: limits that were changed before it began.

    `tail` counts what the loop itself did after the last arrival, before it ended.
    """

    batches: tuple[tuple[Arrival, ...], ...]
    ending: RunEnded | None
    settles_root: bool
    tail: int = 0
    changes: tuple[BudgetChanged, ...] = ()
    bounds: tuple[BoundsKnown, ...] = ()
    """What it learnt of the device before it began."""
    recalled: tuple[KnowledgeRecalled, ...] = ()
    """What it was told of earlier runs."""
    requests: tuple[RequestAnswered, ...] = ()
    """What had been asked of it by the time it began."""


def sittings_of(events: Sequence[Event]) -> Iterator[Sitting]:
    starts = [index for index, event in enumerate(events) if isinstance(event, Opened)]
    changes: tuple[BudgetChanged, ...] = ()
    for start, end in zip(starts, [*starts[1:], len(events)], strict=True):
        part = events[start + 1 : end]
        yield _sitting(part, changes)
        changes = tuple(_changed_between(events[start:end]))


def _changed_between(part: Sequence[Event]) -> Iterator[BudgetChanged]:
    """Limits that were changed while nobody searched: one that a running search was asked for follows its request."""
    for before, event in pairwise(part):
        if isinstance(event, BudgetChanged) and not isinstance(before, RequestAnswered):
            yield event


def _sitting(part: Sequence[Event], changes: tuple[BudgetChanged, ...]) -> Sitting:
    ending = next((event for event in part if isinstance(event, RunEnded)), None)
    batches: list[tuple[Arrival, ...]] = []
    current: list[Arrival] = []
    tail = 0
    requests = _asked_first(part)
    for event in _without_root(part):
        if event in requests or isinstance(event, WorldModelRevised | PlanningFailed):
            continue  # one answer with the ticket's settlement behind it
        if isinstance(event, Arrival) and _came_from_outside(event, ending):
            current.append(event)
            tail = 0
        else:
            tail += isinstance(event, LoopEvent)
            if current:
                batches.append(tuple(current))
                current = []
    if current:
        batches.append(tuple(current))
    bounds = tuple(event for event in part if isinstance(event, BoundsKnown))
    recalled = tuple(event for event in part if isinstance(event, KnowledgeRecalled))
    return Sitting(tuple(batches), ending, any(isinstance(event, RootSettled) for event in part), tail, changes, bounds, recalled, requests)


def _asked_first(part: Sequence[Event]) -> tuple[RequestAnswered, ...]:
    """Requests that were taken in before the loop's first turn: while the root was judged, or before anything else."""
    root = next((index for index, event in enumerate(part) if isinstance(event, RootSettled)), None)
    first = root if root is not None else next((index for index, event in enumerate(part) if isinstance(event, _TURN)), len(part))
    return tuple(event for event in part[:first] if isinstance(event, RequestAnswered))


def _without_root(part: Sequence[Event]) -> Sequence[Event]:
    """What settles the root is waited for by itself, before the loop begins."""
    last = next((index for index, event in enumerate(part) if isinstance(event, RootSettled)), None)
    if last is not None:
        return part[last + 1 :]
    searching = any(isinstance(event, TicketSettled | ModelCallStarted | NothingWritten) for event in part)
    written = any(isinstance(event, CandidateWritten) and event.ticket is None for event in part)
    return () if written and not searching else part


def _came_from_outside(event: Arrival, ending: RunEnded | None) -> bool:
    match event:
        case TicketSettled():
            return event.outcome in ("proposed", "cancelled")
        case EvaluationLost():
            return event.reason != KILLED and (ending is None or event.reason != ending.reason)
        case _:
            return True
