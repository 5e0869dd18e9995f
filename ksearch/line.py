"""The line before the device: who of the written and forecast candidates is measured, who goes unmeasured.

Decisions read the run's state alone, so a resumed run decides as the first one would have. While the forecaster is not
trusted (m = 1) there is no line: everyone is measured in the order of their tickets, exactly as without a surrogate.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from ksearch.pending import JudgeStep
from ksearch.store.fold import CandidateState, RunState
from ksearch.surrogates.acquisition import (
    Waiting,
    chance_of_better,
    choose,
    expired,
    hopeless,
    log_expected_improvement,
    room_in_line,
)
from ksearch.surrogates.quantities import Estimate
from ksearch.tree.constants import DEFAULTS
from ksearch.tree.types import NodeId

PREFERRED = "others were preferred"
UNTRUSTED = "the forecaster that had put it off lost its trust"


@dataclass(frozen=True, slots=True)
class Retirement:
    """A candidate that goes unmeasured; `reason` is shown to the user."""

    candidate: int
    how: Literal["skipped", "expired", "untrusted", "unaffordable"]
    reason: str


def room_for_more(state: RunState, workers: int) -> int:
    """Tickets that may be asked for now.

    With a choice, no more than are to be considered before the free devices measure next: the budget is a share of all that is
    considered, and a plan that is considered later is chosen by a tree that knows more.
    """
    surrogate, tickets = state.surrogate, len(state.open_tickets)
    if surrogate is None or surrogate.m <= 1.0:
        return room_in_line(1.0, workers) - tickets
    last = sum(surrogate.is_waiting(number) and is_last_chance(state, state.candidates[number]) for number in _open_candidates(state))
    unseen = sum(not surrogate.has_forecast(number) for number in _open_candidates(state))
    on_their_way = unseen + tickets - len(list(_open_candidates(state)))
    wanted = surrogate.short + math.ceil(surrogate.m * (workers - 1) - 1e-9) - on_their_way
    return min(room_in_line(surrogate.m, workers) - (tickets - last), wanted)


def _open_candidates(state: RunState) -> Iterator[int]:
    """What was written for open tickets."""
    found = (state.candidate_of(ticket) for ticket in state.open_tickets)
    return (candidate.id for candidate in found if candidate is not None)


def under_judgement(state: RunState) -> int:
    """Open tickets whose candidate was handed to the judge."""
    candidates = (state.candidate_of(ticket) for ticket in state.open_tickets)
    return sum(candidate is not None and bool(candidate.running or candidate.verdicts) for candidate in candidates)


class Line:
    """The candidates ready to be measured now, with what is known of them."""

    def __init__(self, state: RunState, ready: Sequence[JudgeStep], workers: int) -> None:
        assert state.surrogate is not None
        self.state, self.surrogate, self.workers = state, state.surrogate, workers
        candidates = [state.candidates[step.candidate] for step in ready]
        self.ready = [one for one in candidates if one.running is None and one.id not in state.surrogate.retired]
        self.free = workers - under_judgement(state)

    def next_to_measure(self, affordable: int, *, filling: bool) -> CandidateState | None:
        """The candidate that a free device takes, if any. `filling`: more are on their way into the line.

        A device waits until as many more were considered as the budget has for a measurement; an audit needs no comparison and
        doesn't wait, nor does one whose measurement was begun before.
        """
        begun = next((candidate for candidate in self.ready if candidate.losses), None)
        if self.free <= 0 or not self.ready:
            return None
        if begun is not None:
            return begun
        if self.surrogate.m <= 1.0:
            put_off = {one.candidate for one in self._waiting() if one.passed_over and not one.audit}
            return next((one for one in self.ready if one.id not in put_off and self._paid(one, affordable)), None)
        line = [one for one in self._waiting() if self._paid(self.state.candidates[one.candidate], affordable)]
        forced = [one for one in line if one.must_be_measured]
        if filling and not forced and self.surrogate.short > 0:
            return None
        chosen = choose(forced or line, self._best)
        return None if chosen is None else self.state.candidates[chosen.candidate]

    def retirements(self) -> Iterator[Retirement]:
        """Who leaves the line now, the hopeless first, then the worst of those passed over, as far as the budget allows."""
        m, waiting = self.surrogate.m, self._waiting()
        if m <= 1.0:
            # To measure now what a forecaster had put off would let one that lost its trust decide for as long as its line is.
            yield from (Retirement(one.candidate, "untrusted", UNTRUSTED) for one in waiting if one.passed_over and not one.audit)
        else:
            leaving = [_skipped(one, one.estimate) for one in waiting if hopeless(one) and one.estimate is not None]
            left = [one for one in waiting if not hopeless(one)]
            leaving += [Retirement(one.candidate, "expired", PREFERRED) for one in expired(left, self._best, m, self.workers)]
            yield from leaving[: self.surrogate.may_drop]

    def unaffordable(self) -> Iterator[Retirement]:
        """Everyone left in line when the budget can't pay another measurement."""
        for candidate in self.ready:
            if not self._reserved(candidate):
                yield Retirement(candidate.id, "unaffordable", "the budget ended before it was measured")

    def stand_in(self, chosen: CandidateState) -> CandidateState:
        """On a plan's last attempt, the best-forecast of its candidates is measured, also one that was retired before."""
        if not is_last_chance(self.state, chosen):
            return chosen
        others = [other for other in self.state.candidates_of(chosen.written.node) if other.id in self.surrogate.retired]
        return max([chosen, *others], key=lambda candidate: (self._worth(candidate), candidate.id == chosen.id))

    # ------------------------------------------------------------------ reading

    @property
    def _best(self) -> float:
        assert self.state.tree is not None
        return self.state.tree.incumbent_reward

    def _waiting(self) -> list[Waiting]:
        """In the order of their candidates; those with little to hope for are told by their estimates."""
        return [self._view(candidate) for candidate in sorted(self.ready, key=lambda candidate: candidate.id)]

    def _view(self, candidate: CandidateState) -> Waiting:
        made = self.surrogate.made.get(candidate.id)
        return Waiting(
            candidate=candidate.id,
            estimate=self.surrogate.said(candidate.id),
            parent_reward=0.0 if made is None or made.parent_reward is None else made.parent_reward,
            audit=made is not None and made.audit,
            passed_over=self.surrogate.waiting.get(candidate.id, 0),
            seconds=expected_seconds(self.state, candidate),
            last_chance=is_last_chance(self.state, candidate),
        )

    def _worth(self, candidate: CandidateState) -> float:
        said = self.surrogate.said(candidate.id)
        return -math.inf if said is None else log_expected_improvement(said, self._best)

    def _paid(self, candidate: CandidateState, affordable: int) -> bool:
        return affordable > 0 or self._reserved(candidate)

    def _reserved(self, candidate: CandidateState) -> bool:
        return candidate.ticket is not None and f"ticket-{candidate.ticket}" in self.state.ledger.reservations


def is_last_chance(state: RunState, candidate: CandidateState) -> bool:
    """Whether its plan would close unmeasured without it: the attempts are used up, or its coder has no other code."""
    assert state.tree is not None
    assert state.surrogate is not None
    plan = state.tree.node(NodeId(candidate.written.node))
    return plan.own.visits == 0 and (plan.attempts + 1 >= DEFAULTS.attempts or candidate.id in state.surrogate.recalled)


def _skipped(one: Waiting, estimate: Estimate) -> Retirement:
    chance = chance_of_better(estimate, one.parent_reward)
    return Retirement(one.candidate, "skipped", f"{chance:.1%} chance of being faster than its parent")


def expected_seconds(state: RunState, candidate: CandidateState) -> float:
    """GPU-seconds that measuring it takes, from what candidates of its language took; all alike while none is known."""
    took = [
        other.verdicts["evaluate"].device_seconds
        for other in state.candidates.values()
        if "evaluate" in other.verdicts and other.written.language == candidate.written.language
    ]
    known = [seconds for seconds in took if seconds > 0.0]
    return fmean(known) if known else 1.0
