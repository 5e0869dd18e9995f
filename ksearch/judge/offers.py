"""Promotions taken up where the judge is, without asking the search first.

The search will have the fastest candidate of a round judged in full against its incumbent, and the next one only if that fails. What
it will ask is decided here by the same rule, so that its question finds an answer waiting.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ksearch.definitions.schema import Solution
from ksearch.judge.verdict import Job, Offer, Status, Verdict
from ksearch.store.promotions import LEAST_GAIN_LN
from ksearch.translate import over_baselines, reward


@dataclass(frozen=True, slots=True)
class Judged:
    job: Job
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Due:
    """A candidate that passed its evaluation with an offer; `gained` is its reward."""

    gained: float
    offer: Offer


def next_offer(judged: Sequence[Judged]) -> Job | None:
    """The promotion of the fastest candidate of a run that deserves one and had none; None when there is no more."""
    runs = dict.fromkeys(_run_of(one.job) for one in judged)
    found = (_next_of_run([one for one in judged if _run_of(one.job) == run]) for run in runs)
    return next((promotion for promotion in found if promotion is not None), None)


def _next_of_run(judged: Sequence[Judged]) -> Job | None:
    """Runs that begin with the same kernel in one folder have incumbents of their own."""
    promotions = {one.job.job: one for one in judged if one.job.kind == "promote"}
    due = sorted(filter(None, map(_due, judged)), key=lambda one: (-one.gained, one.offer.promotion.job))
    stood = [one.gained for one in due if _passed(promotions.get(one.offer.promotion.job))]
    for one in due:
        if one.offer.promotion.job not in promotions and one.gained > max(one.offer.bar, *stood, -math.inf) + LEAST_GAIN_LN:
            return _against_the_best(one.offer.promotion, list(promotions.values()))
    return None


def _against_the_best(promotion: Job, promotions: Sequence[Judged]) -> Job:
    """The opponent may have lost meanwhile: then it is who won."""
    winners = {one.job.opponent.digest: one.job.solution for one in promotions if _won(one) and one.job.opponent is not None}
    opponent, seen = promotion.opponent, set[str]()
    while opponent is not None and opponent.digest in winners and opponent.digest not in seen:
        seen.add(opponent.digest)
        opponent = winners[opponent.digest]
    return _facing(promotion, opponent)


def _facing(promotion: Job, opponent: Solution | None) -> Job:
    return promotion.model_copy(update={"opponent": opponent})


def _passed(one: Judged | None) -> bool:
    return one is not None and one.verdict.status is Status.PASSED


def _won(one: Judged) -> bool:
    return _passed(one) and one.verdict.paired is not None and one.verdict.paired.promoted


def _run_of(job: Job) -> str:
    """A search calls its jobs RUN/candidate/kind."""
    return job.job.rsplit("/", 2)[0]


def _due(one: Judged) -> Due | None:
    job = one.job
    if job.kind != "evaluate" or job.offer is None or not _passed(one):
        return None
    weights = {judged.workload.uuid: judged.weight for judged in job.workloads}
    return Due(reward(over_baselines(one.verdict, job.offer.baselines), weights, job.objective), job.offer)
