"""The events of a run, as pydantic models told apart by `type`. State is a pure fold of them (see ksearch/store/fold.py).

An event records what happened, never what should happen next; sources, verdicts and other large texts are blobs named
by their SHA-256. The modules here hold them by subject.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field, TypeAdapter

from ksearch.store.events.base import CandidateId, Digest, Kind
from ksearch.store.events.candidates import (
    CandidateWritten,
    EvaluationLost,
    EvaluationSettled,
    EvaluationStarted,
    IncumbentChanged,
    NothingWritten,
    PlanRefuted,
    RootSettled,
)
from ksearch.store.events.memory import KnowledgeRecalled, RecalledLesson, RecalledTechnique
from ksearch.store.events.models import (
    BudgetBlocked,
    CallEnding,
    EditRecord,
    ModelCallLost,
    ModelCallSettled,
    ModelCallStarted,
    PlanningFailed,
    WorldModelRevised,
)
from ksearch.store.events.plans import (
    ArmOpenedEvent,
    IdeaBanned,
    IdeaUnbanned,
    NodePinned,
    NodeUnpinned,
    TicketIssued,
    TicketSettled,
)
from ksearch.store.events.run import (
    BoundsKnown,
    BudgetChanged,
    Opened,
    Origin,
    RegimeBound,
    RequestAnswered,
    RunCreated,
    RunEnded,
)
from ksearch.store.events.surrogates import (
    CandidateRecalled,
    CandidateRetired,
    ForecastMade,
    PastForecast,
    SurrogateOpened,
)

__all__ = [
    "ArmOpenedEvent",
    "BoundsKnown",
    "BudgetBlocked",
    "BudgetChanged",
    "CallEnding",
    "CandidateId",
    "CandidateRecalled",
    "CandidateRetired",
    "CandidateWritten",
    "Digest",
    "EditRecord",
    "EvaluationLost",
    "EvaluationSettled",
    "EvaluationStarted",
    "Event",
    "ForecastMade",
    "IdeaBanned",
    "IdeaUnbanned",
    "IncumbentChanged",
    "Kind",
    "KnowledgeRecalled",
    "ModelCallLost",
    "ModelCallSettled",
    "ModelCallStarted",
    "NodePinned",
    "NodeUnpinned",
    "NothingWritten",
    "Opened",
    "Origin",
    "PastForecast",
    "PlanRefuted",
    "PlanningFailed",
    "RecalledLesson",
    "RecalledTechnique",
    "RegimeBound",
    "RequestAnswered",
    "RootSettled",
    "RunCreated",
    "RunEnded",
    "SurrogateOpened",
    "TicketIssued",
    "TicketSettled",
    "WorldModelRevised",
    "parse_event",
]

Event: TypeAlias = (
    RunCreated
    | Opened
    | KnowledgeRecalled
    | BoundsKnown
    | CandidateWritten
    | NothingWritten
    | SurrogateOpened
    | ForecastMade
    | CandidateRetired
    | CandidateRecalled
    | EvaluationStarted
    | EvaluationSettled
    | EvaluationLost
    | RootSettled
    | ArmOpenedEvent
    | TicketIssued
    | TicketSettled
    | PlanRefuted
    | IncumbentChanged
    | ModelCallStarted
    | ModelCallSettled
    | ModelCallLost
    | WorldModelRevised
    | PlanningFailed
    | BudgetBlocked
    | NodePinned
    | NodeUnpinned
    | IdeaBanned
    | IdeaUnbanned
    | RequestAnswered
    | BudgetChanged
    | RunEnded
)

EVENT: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="type")])


_VALIDATOR = EVENT.validator
"""Without the adapter's own layer of options, which costs as much as a small event's validation."""


def parse_event(payload: str) -> Event:
    """Raises pydantic.ValidationError for a payload that no version of this schema wrote."""
    event: Event = _VALIDATOR.validate_json(payload)
    return event
