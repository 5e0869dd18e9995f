"""What the events say of promotions: who waits for one, what the evaluations and promotions so far took."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from ksearch.store.events import CandidateId, EvaluationSettled

LEAST_GAIN_LN = math.log(1.005)
"""A candidate this close above what stood a full judgement can't reach the 1 % that promotion asks for; its promotion isn't paid."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A candidate that was measured faster than everything promoted. `seen` counts the evaluations answered by then."""

    candidate: CandidateId
    reward: float
    seen: int


@dataclass(slots=True)
class Promotions:
    """`bar` is the greatest reward, by the ordinary evaluation, of whatever stood a full judgement (the root at first).

    `waiting` are the measured candidates above it. Seconds are the judge's own, as verdicts tell them.
    """

    bar: float = -math.inf
    waiting: dict[CandidateId, Contender] = field(default_factory=dict)
    answered: int = 0
    """Evaluations answered since the tree began."""
    evaluating_s: float = 0.0
    count: int = 0
    """Promotions answered since the tree began: the root's own judgement is none."""
    last: CandidateId | None = None
    last_s: float = 0.0
    last_device_s: float = 0.0
    last_usd: float = 0.0
    """Of the latest full judgement, the root's included."""

    @property
    def contender(self) -> Contender | None:
        """The fastest in waiting; the first measured among equals."""
        return max(self.waiting.values(), key=lambda one: (one.reward, -one.seen, -one.candidate), default=None)

    @property
    def evaluation_s(self) -> float:
        """Of an evaluation on average; 0 before the first."""
        return self.evaluating_s / self.answered if self.answered else 0.0

    def measured(self, candidate: CandidateId, reward: float) -> None:
        if reward > self.bar + LEAST_GAIN_LN:
            self.waiting[candidate] = Contender(candidate, reward, self.answered)

    def judged(self, event: EvaluationSettled, reward: float | None, *, root: bool) -> None:
        """A verdict came. `reward` is what the candidate's ordinary evaluation measured (the root's own: in full)."""
        if event.kind == "evaluate":
            self.answered += 1
            self.evaluating_s += event.wall_seconds
            return
        self.count += not root
        self.last, self.last_s, self.last_device_s, self.last_usd = event.candidate, event.wall_seconds, event.device_seconds, event.usd
        self.drop(event.candidate)
        if event.reward is not None and reward is not None:
            self._raise(reward)

    def drop(self, candidate: CandidateId) -> None:
        self.waiting.pop(candidate, None)

    def _raise(self, reward: float) -> None:
        """Whoever is not faster than this has nothing to be promoted for."""
        self.bar = max(self.bar, reward)
        self.waiting = {id: one for id, one in self.waiting.items() if one.reward > self.bar + LEAST_GAIN_LN}
