"""What is known of a run at one moment, and the questions that the search and the views ask of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

from ksearch.budget import Ledger
from ksearch.settings import Settings
from ksearch.store.books import Books, limits_of
from ksearch.store.candidates import CandidateState, ModelCall
from ksearch.store.events import (
    BoundsKnown,
    CandidateId,
    IncumbentChanged,
    KnowledgeRecalled,
    RootSettled,
    RunCreated,
    RunEnded,
)
from ksearch.store.forecasts import SurrogateState
from ksearch.store.promotions import Promotions
from ksearch.tree import Tree
from ksearch.tree.types import Measured, Ticket
from ksearch.worldmodel.beliefs import Beliefs
from ksearch.worldmodel.document import Document
from ksearch.worldmodel.memory import Knowledge


@dataclass(slots=True)
class RunFacts:
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
    promotions: Promotions = field(default_factory=Promotions)
    recalled: KnowledgeRecalled | None = None
    """What earlier runs taught; None where nobody asked them."""
    knowledge: Knowledge = field(default_factory=Knowledge)
    """The same, as the world model reads it."""
    bounds: BoundsKnown | None = None
    """None in logs older than bounds, and where nothing is known of the device."""
    incumbent: IncumbentChanged | None = None
    root: RootSettled | None = None
    ended: RunEnded | None = None
    openings: int = 0
    opened_at: float | None = None
    settled_tickets: int = 0
    wall_seconds: float = 0.0
    last_time: float | None = None

    @classmethod
    def begin(cls, header: RunCreated, settings: Settings, *, books: bool = True) -> Self:
        return cls(header=header, settings=settings, books=Books(Ledger(limits_of(settings.budget))) if books else None)

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
    def fastest(self) -> CandidateState | None:
        """The best that is known to pass an evaluation: who waits for promotion, else what was promoted."""
        contender = self.promotions.contender
        return self.best_known if contender is None else self.candidates[contender.candidate]

    @property
    def evaluations(self) -> int:
        """Evaluations answered, the root's included (a duplicate served from the log is none)."""
        return sum("evaluate" in c.verdicts or (c.written.ticket is None and "promote" in c.verdicts) for c in self.candidates.values())


def _settled_reward(candidate: CandidateState) -> float:
    assert isinstance(candidate.settled, Measured)
    return candidate.settled.reward
