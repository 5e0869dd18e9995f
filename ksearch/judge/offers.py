"""Promotions taken up where the judge is, without asking the search first.

The search would promote the best candidate of a round against its incumbent, then the next best against the winner. What it
will ask is decided here by the same rule, so that its question finds an answer waiting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ksearch.definitions.schema import Solution
from ksearch.judge.verdict import Job, Status, Verdict
from ksearch.translate import reward


@dataclass(frozen=True, slots=True)
class Judged:
    job: Job
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Won:
    """A promotion that was won: who won it, and by how much (nats)."""

    winner: Solution
    gain: float


def next_offer(judged: Sequence[Judged]) -> Job | None:
    """The promotion of the best candidate that deserves one and has had none; None when there is no more."""
    promotions = [one for one in judged if one.job.kind == "promote"]
    asked = {one.job.job for one in promotions}
    won = _wins(promotions)
    due = [(gained, one) for one in judged if (gained := _reward_of(one)) is not None and one.job.offer is not None]
    for gained, one in sorted(due, key=lambda pair: (-pair[0], pair[1].job.job)):
        assert one.job.offer is not None
        promotion, above = _against_the_best(one.job.offer.promotion, one.job.offer.above, won)
        if promotion.job not in asked and gained > above:
            return promotion
    return None


def _wins(promotions: Sequence[Judged]) -> dict[tuple[str, str], Won]:
    """By the run and the digest of who lost: several runs may begin with the same kernel in one folder."""
    found = {}
    for one in promotions:
        paired, opponent = one.verdict.paired, one.job.opponent
        if one.verdict.status is Status.PASSED and paired is not None and paired.promoted and opponent is not None:
            found[_run_of(one.job), opponent.digest] = Won(one.job.solution, paired.mean)
    return found


def _against_the_best(promotion: Job, above: float, won: dict[tuple[str, str], Won]) -> tuple[Job, float]:
    """The opponent may have lost meanwhile: then it is who won, with as much more to beat."""
    run, opponent, seen = _run_of(promotion), promotion.opponent, set[str]()
    while opponent is not None and (run, opponent.digest) in won and opponent.digest not in seen:
        seen.add(opponent.digest)
        step = won[run, opponent.digest]
        opponent, above = step.winner, above + step.gain
    return promotion.model_copy(update={"opponent": opponent}), above


def _run_of(job: Job) -> str:
    """A search calls its jobs RUN/candidate/kind."""
    return job.job.rsplit("/", 2)[0]


def _reward_of(one: Judged) -> float | None:
    """Of an evaluation that passed."""
    if one.job.kind != "evaluate" or one.verdict.status is not Status.PASSED:
        return None
    weights = {judged.workload.uuid: judged.weight for judged in one.job.workloads}
    return reward(one.verdict, weights, one.job.objective)
