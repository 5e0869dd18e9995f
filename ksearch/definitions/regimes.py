"""Regimes of workloads, the weights that make a subset stand for the full set, and what --workloads selects.

A regime is a part of the workloads where the same things bound a kernel: for dsa_topk, rows short enough to need no
scoring, rows a little over topk, and far over it.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence

from ksearch.definitions.generate import check_axes
from ksearch.definitions.kits import kit_for
from ksearch.definitions.schema import Definition, Workload
from ksearch.judge.verdict import JudgedWorkload


def regime_of(definition: Definition, workload: Workload) -> str:
    check_axes(definition, workload)
    return kit_for(definition).regime(definition, workload)


def regime_counts(definition: Definition, workloads: Sequence[Workload]) -> dict[str, int]:
    """Members of each regime, smallest regime (by its smallest workload) first."""
    ordered = sorted(workloads, key=lambda workload: _size(definition, workload))
    return dict(Counter(regime_of(definition, workload) for workload in ordered))


def weighted(definition: Definition, workloads: Sequence[Workload]) -> tuple[JudgedWorkload, ...]:
    """All workloads, each counting the same: the plain mean over the full set."""
    return judged(definition, [(workload, 1.0) for workload in workloads])


def stratified(definition: Definition, workloads: Sequence[Workload], k: int, seed: int) -> tuple[JudgedWorkload, ...]:
    """A fixed subset that stands for the full set: about `k` workloads, of every regime its smallest and largest.

    The places left after those go to the regimes by their share, drawn with `seed`. A chosen workload's weight is its
    regime's share of the full set over the regime's chosen, so that the weighted mean estimates the mean over all.
    More than `k` come back only when `k` is too few for two of each regime; in the order of the full set.
    """
    strata: dict[str, list[Workload]] = {}
    for workload in sorted(workloads, key=lambda workload: (_size(definition, workload), workload.uuid)):
        strata.setdefault(regime_of(definition, workload), []).append(workload)
    quotas = _quotas({regime: len(members) for regime, members in strata.items()}, k)
    rng = random.Random(seed)
    weights: dict[str, float] = {}
    for regime, members in strata.items():
        ends = [members[0], members[-1]] if len(members) > 1 else members
        chosen = [*ends, *rng.sample(members[1:-1], quotas[regime] - len(ends))]
        weights.update({workload.uuid: len(members) / len(chosen) for workload in chosen})
    return judged(definition, [(workload, weights[workload.uuid]) for workload in workloads if workload.uuid in weights])


def _quotas(members: Mapping[str, int], k: int) -> dict[str, int]:
    """How many of each regime: two (or its only one), then one at a time to the regime that is furthest below its share."""
    quotas = {regime: min(2, count) for regime, count in members.items()}
    while sum(quotas.values()) < min(k, sum(members.values())):
        open_regimes = [regime for regime in members if quotas[regime] < members[regime]]
        quotas[max(open_regimes, key=lambda regime: members[regime] / quotas[regime])] += 1
    return quotas


def _size(definition: Definition, workload: Workload) -> float:
    return kit_for(definition).size(definition, workload)


def judged(definition: Definition, weights: Sequence[tuple[Workload, float]]) -> tuple[JudgedWorkload, ...]:
    """Workloads with their regimes, the weights scaled to sum to 1."""
    total = sum(weight for _, weight in weights)
    return tuple(
        JudgedWorkload(workload=workload, regime=regime_of(definition, workload), weight=weight / total) for workload, weight in weights
    )
