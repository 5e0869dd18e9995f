"""What the events say of one candidate, and of one call of a language model."""

from __future__ import annotations

from dataclasses import dataclass, field

from ksearch.store.events import (
    CandidateId,
    CandidateWritten,
    EvaluationSettled,
    ModelCallSettled,
    ModelCallStarted,
)
from ksearch.tree.types import Failed, Measured


@dataclass(slots=True)
class CandidateState:
    """What is known of one candidate so far. `settled` is its ticket's end; the root's own candidates have no ticket."""

    written: CandidateWritten
    running: str | None = None
    started_at: float | None = None
    verdicts: dict[str, EvaluationSettled] = field(default_factory=dict)
    losses: int = 0
    device_seconds: float = 0.0
    promoting_seconds: float = 0.0
    """Device time of its promotion, where that came after its ticket settled; not among `device_seconds`."""
    usd: float = 0.0
    """Paid for a rented machine; `promoting_usd` for the promotion apart, as with seconds."""
    promoting_usd: float = 0.0
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
