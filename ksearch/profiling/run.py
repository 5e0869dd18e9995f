"""Bounds as part of a run: found when it begins, logged, and held against its incumbent."""

from __future__ import annotations

import math

from ksearch.evaluators.places import kind_of
from ksearch.judge.verdict import Verdict
from ksearch.prepare import Setup
from ksearch.profiling.bounds import Bounds, bounds_of
from ksearch.profiling.devices import NotMeasured, ceilings_of
from ksearch.store.events import BoundsKnown, RegimeBound
from ksearch.store.fold import RunState
from ksearch.store.journal import Journal
from ksearch.store.log import EventLog

MEASUREMENT_ERROR = 0.05
"""A kernel this share faster than its floor may be at it: bandwidths repeat to a few per cent."""


def learn_bounds(journal: Journal, setup: Setup) -> None:
    """Log what the device allows, unless the log has it or nothing is known of the device. Before anything is timed: measuring a device
    while candidates run would disturb both."""
    if journal.state.bounds is None and (found := bounds_for(setup)) is not None:
        journal.record(event_of(found, setup.definition.op_type, journal.put_blob(found.model_dump_json())))


def bounds_for(setup: Setup) -> Bounds | None:
    """None with the fake evaluator, whose latencies are no device's, and for a device elsewhere that no table knows."""
    kind = kind_of(setup.settings.evaluator)
    if kind == "fake":
        return None
    try:
        ceilings = ceilings_of(setup.device, here=kind == "local")
    except NotMeasured:
        return None
    return bounds_of(setup.definition, setup.full, ceilings, setup.settings.objective)


def is_at_floor(above: float | None, limit: float | None) -> bool:
    """Whether a kernel `above` the floor (0.02: two per cent) is within the limit. One far *below* the floor is not: it proves the floor
    wrong, or that something was not measured as it should be, and neither is a reason to stop."""
    return above is not None and limit is not None and -MEASUREMENT_ERROR <= above <= limit


def event_of(bounds: Bounds, op_class: str, digest: str) -> BoundsKnown:
    rows = tuple(RegimeBound.model_validate(row.model_dump(include=set(RegimeBound.model_fields))) for row in bounds.regimes)
    return BoundsKnown(
        bounds=digest,
        op_class=op_class,
        source=bounds.ceilings.source,
        basis=bounds.basis,
        floor_us=bounds.floor.floor_us,
        objective_floor_us=bounds.objective_floor_us,
        binds=bounds.floor.binds,
        regimes=rows,
    )


def incumbent_above_floor(state: RunState, log: EventLog) -> float | None:
    """How far the incumbent is above the floor by the objective: 0.02 is two per cent. None without bounds or incumbent."""
    best, bounds = state.incumbent_candidate, state.bounds
    if best is None or bounds is None or bounds.objective_floor_us <= 0:
        return None
    verdict = Verdict.model_validate_json(log.get_blob(best.verdicts["promote"].verdict))
    timed = [(row.weight, row.latency_us) for row in verdict.workloads if row.latency_us is not None]
    total = sum(weight for weight, _ in timed)
    if state.settings.objective == "mean":
        latency = sum(weight * value for weight, value in timed) / total
    else:
        latency = math.exp(sum(weight * math.log(value) for weight, value in timed) / total)
    return latency / bounds.objective_floor_us - 1.0
