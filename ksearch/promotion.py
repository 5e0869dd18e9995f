"""When a measured candidate gets its full judgement: a pure function of the run's state.

A promotion takes as long as ten ordinary evaluations on a GPU, and early in a search what was promoted is beaten a minute
later. So a candidate settles at what its evaluation measured, the tree goes on from there, and the fastest such candidate
waits: until nothing better has come for a few evaluations and promotions have not taken more than their share, or until the
search ends. Nothing is an incumbent, or is called promoted, before it has stood the full judgement.
"""

from __future__ import annotations

from dataclasses import dataclass

from ksearch.pending import PromoteStep
from ksearch.store.fold import CandidateState, RunState
from ksearch.tree.types import Measured, NodeId

PATIENCE = 4
"""Evaluations that may bring something better before the fastest in waiting is promoted: early in a search every second one
does, and what waits is then a few evaluations away from being beaten."""

EVALUATIONS_FOR_EACH = 6.0
"""The first promotion comes when the evaluations have taken as long as one takes, each further one when they have taken six times as
long again. On an H200, where a promotion costs ten evaluations, a search of 64 then pays for one on its way and one at its
end: under a quarter of its time."""

SLACK = 1.25
"""A promotion is given this much more time before a limit than the latest one took."""

FIRST_SLACK = 2.5
"""While only the root's own judgement is known, which had no opponent to be paired with: the contest takes about as long again."""


@dataclass(frozen=True, slots=True)
class CrownStep:
    """A candidate won its promotion and is not yet logged as the incumbent."""

    candidate: int


@dataclass(frozen=True, slots=True)
class RefuteStep:
    """A candidate failed the full judgement and the tree still holds what it measured. `nodes` are the plans that fall with it."""

    candidate: int
    nodes: tuple[NodeId, ...]
    stage: str


def aftermath(state: RunState) -> CrownStep | RefuteStep | None:
    """What the latest promotion's verdict has not yet led to."""
    last = state.promotions.last
    if last is None or state.tree is None:
        return None
    candidate, verdict = state.candidates[last], state.candidates[last].verdicts["promote"]
    if verdict.promoted and (state.incumbent is None or state.incumbent.candidate != last):
        return CrownStep(last)
    if verdict.reward is None and isinstance(candidate.settled, Measured):
        return RefuteStep(last, _fallen(state, candidate), verdict.stage or verdict.status)
    return None


def promotion(state: RunState, *, at_once: bool) -> PromoteStep | None:
    """Who is to be judged in full now, if anybody. One at a time: who wins is paired with the incumbent."""
    contender = state.promotions.contender
    if contender is None or aftermath(state) is not None:
        return None
    if (running := _under_promotion(state)) is not None:
        return PromoteStep(running)
    return PromoteStep(contender.candidate) if at_once or _due(state) else None


def seconds_kept(state: RunState, ahead: int) -> float:
    """Wall-clock seconds before a time limit at which nothing new begins, so that what waits can still be promoted.

    `ahead` evaluations may be under way by then, and are answered first. Never more than half of the time there is.
    """
    limit, promotions = state.settings.budget.max_time_s, state.promotions
    slack = SLACK if promotions.count else FIRST_SLACK
    return 0.0 if limit is None else min(slack * promotions.last_s + ahead * promotions.evaluation_s, limit / 2)


def gpu_seconds_kept(state: RunState) -> float:
    """GPU-seconds that evaluations must leave for a promotion: none while nobody waits, as a reservation covers its own."""
    return state.promotions.last_device_s if state.promotions.waiting else 0.0


def usd_kept(state: RunState) -> float:
    """As `gpu_seconds_kept`, in dollars for a rented machine."""
    return state.promotions.last_usd if state.promotions.waiting else 0.0


def _due(state: RunState) -> bool:
    """An incumbent at all is worth a promotion at once: until then there is nothing to take away."""
    promotions, contender = state.promotions, state.promotions.contender
    assert contender is not None
    if state.incumbent is None:
        return True
    calm = promotions.answered - contender.seen >= PATIENCE
    return calm and promotions.evaluating_s >= promotions.last_s * (1.0 + EVALUATIONS_FOR_EACH * promotions.count)


def _under_promotion(state: RunState) -> int | None:
    return next((one for one in state.promotions.waiting if state.candidates[one].running == "promote"), None)


def _fallen(state: RunState, refuted: CandidateState) -> tuple[NodeId, ...]:
    """The plans whose code it is, and all proven ones built on them: up to those that stood the full judgement, and with them what
    was built on those."""
    assert state.tree is not None
    same = [one for one in state.candidates.values() if one.written.digest == refuted.written.digest]
    line = [NodeId(one.written.node) for one in same if isinstance(one.settled, Measured)]
    fallen, seen, here = list[NodeId](), set(line), 0
    while here < len(line):
        node = line[here]
        here += 1
        if _stood(state, node):
            continue
        if state.tree.own_best(node) is not None:
            fallen.append(node)
        below = [child for child in state.tree.children(node) if child not in seen]
        seen.update(below)
        line += below
    return tuple(sorted(fallen))


def _stood(state: RunState, node: NodeId) -> bool:
    return any("promote" in one.verdicts and one.verdicts["promote"].reward is not None for one in state.candidates_of(node))
