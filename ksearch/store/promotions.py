"""What the events say of promotions: who waits for one, what the evaluations and promotions so far took."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from ksearch.store.events import CandidateId, EvaluationSettled

LEAST_GAIN_LN = math.log(1.005)
"""A candidate this close above what stood a full judgement can't reach the 1 % that promotion asks for; its promotion isn't paid."""

BLOCKS = 5
"""Of a paired judgement: its mean gain has this share of a single measurement's variance."""

KINDS_DIFFER = 0.02
"""Standard deviation (nats) between a gain on the full set of workloads and on the part that evaluations see."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A candidate that was measured faster than everything promoted. `seen` counts the evaluations answered by then."""

    candidate: CandidateId
    reward: float
    seen: int


@dataclass(slots=True)
class Promotions:
    """`bar` is what an ordinary evaluation of the incumbent would find (the root's reward at first), `doubt` its variance (nats^2),
    and `sigma` the standard deviation of a repeated measurement.

    Who becomes the incumbent was measured faster than all before, and often was lucky: on a machine that repeats to 11 % a
    bar at its own measurement keeps better candidates from ever being judged in full. So the bar is filtered from its
    measurements and from what each pairing with another candidate told.

    `waiting` are the measured candidates above the bar. Seconds are the judge's own, as verdicts tell them.
    """

    bar: float = -math.inf
    doubt: float = math.inf
    sigma: float = 0.0
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
            self._stood(reward, event.paired_gain, promoted=event.promoted)

    def drop(self, candidate: CandidateId) -> None:
        self.waiting.pop(candidate, None)

    def _stood(self, reward: float, gain: float | None, *, promoted: bool) -> None:
        """Whoever waits and was measured no faster has nothing to be promoted for: a search would else end with a row of promotions."""
        highest = max(self.bar, reward)
        if gain is None:
            self.bar = highest
        else:
            self._filter(reward, gain, promoted=promoted)
            self.bar = min(self.bar, highest)
        self.waiting = {id: one for id, one in self.waiting.items() if one.reward > highest + LEAST_GAIN_LN}

    def _filter(self, reward: float, gain: float, *, promoted: bool) -> None:
        """Kalman's update of what is known of the incumbent. `gain` is the candidate's over the one that stood before."""
        measured, paired = self.sigma**2, self.sigma**2 / BLOCKS + KINDS_DIFFER**2
        if promoted:
            self.bar, self.doubt = _combined(self.bar + gain, self.doubt + paired, reward, measured)
        else:
            self.bar, self.doubt = _combined(self.bar, self.doubt, reward - gain, measured + paired)


def _combined(one: float, its_variance: float, other: float, others_variance: float) -> tuple[float, float]:
    """Two estimates of the same, weighed by their precision; the first may know nothing."""
    if math.isinf(its_variance):
        return other, others_variance
    share = its_variance / (its_variance + others_variance)
    return one + share * (other - one), share * others_variance
