"""Floors: no kernel can take less time than these, on a device with these ceilings.

    memory_us  = bytes that must move / bandwidth for that many bytes
    compute_us = the largest over units of operations / peak (units may work side by side)
    floor_us   = launch_us + max(memory_us, compute_us)

This is the roofline model (Williams, Waterman, Patterson, "Roofline", CACM 52(4), 2009, doi:10.1145/1498765.1498785) with one launch
added: a kernel that touches no memory takes `launch_us` from its first to its last cycle, and data begin to move only once it runs.

How far to believe a floor. Counts are of the operator, so they don't know of data that a kernel must read twice for want of room. Where
requests draw pages at random, distinct ones are counted as expected. Writes are counted at the memory's bandwidth though a cache may
take in some of them: on a GPU a kernel whose outputs fit into the L2 cache can come out a little under. On cpu the inputs of a call
may lie in a cache already; bandwidth is then measured for working sets of that size, on one core, which is what a candidate gets. It is
a loose floor there: few kernels come within a factor of two of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, TypeAlias

from ksearch.definitions.kits import kit_for
from ksearch.definitions.kits.work import Basis, Work
from ksearch.definitions.schema import Definition, Frozen
from ksearch.judge.verdict import JudgedWorkload, Objective
from ksearch.profiling.ceilings import Ceilings

Binding: TypeAlias = Literal["memory", "compute", "launch"]


class Floor(Frozen):
    """Of one workload, or the weighted mean over several. Microseconds, bytes, operations."""

    floor_us: float
    launch_us: float
    memory_us: float
    compute_us: float
    moved_bytes: float
    operations: float
    binds: Binding
    """What the largest part of the floor comes from."""


class WorkloadFloor(Floor):
    uuid: str
    regime: str
    weight: float


class RegimeFloor(Floor):
    """Weighted means over the regime's workloads; `weight` is its share of the objective."""

    regime: str
    weight: float
    workloads: int


class Bounds(Frozen):
    """What a device allows on a set of workloads. `floor` is over all of them, by their weights."""

    ceilings: Ceilings
    basis: Basis
    objective: Objective
    floor: Floor
    objective_floor_us: float
    """Of the objective: the weighted arithmetic mean for `mean`, the weighted geometric one for `geomean`."""
    regimes: tuple[RegimeFloor, ...]
    workloads: tuple[WorkloadFloor, ...]


def bounds_of(definition: Definition, workloads: Sequence[JudgedWorkload], ceilings: Ceilings, objective: Objective) -> Bounds:
    """Floors of every workload, of each regime and of the objective."""
    count = kit_for(definition).work
    works = [count(definition, judged.workload) for judged in workloads]
    rows = tuple(_row(judged, work, ceilings) for judged, work in zip(workloads, works, strict=True))
    return Bounds(
        ceilings=ceilings,
        basis=works[0].basis,
        objective=objective,
        floor=_mean(rows),
        objective_floor_us=weighted_mean({row.uuid: row.floor_us for row in rows}, rows, objective),
        regimes=tuple(_regime(name, rows) for name in dict.fromkeys(row.regime for row in rows)),
        workloads=rows,
    )


def floor_of(work: Work, ceilings: Ceilings) -> Floor:
    """Of one call."""
    memory = work.moved_bytes / ceilings.bandwidth_for(work.moved_bytes) * 1e6
    compute = max((count / ceilings.peak(unit) * 1e6 for unit, count in work.operations), default=0.0)
    return Floor(
        floor_us=ceilings.launch_us + max(memory, compute),
        launch_us=ceilings.launch_us,
        memory_us=memory,
        compute_us=compute,
        moved_bytes=work.moved_bytes,
        operations=work.total_operations,
        binds=binding(ceilings.launch_us, memory, compute),
    )


def binding(launch_us: float, memory_us: float, compute_us: float) -> Binding:
    """What takes most of a floor; a launch only where it takes more than memory and arithmetic do."""
    if launch_us > max(memory_us, compute_us):
        return "launch"
    return "memory" if memory_us >= compute_us else "compute"


def weighted_mean(values: Mapping[str, float], rows: Sequence[WorkloadFloor], objective: Objective) -> float:
    """Of values by workload, as the objective takes its mean. Raises KeyError when a workload has none."""
    total = sum(row.weight for row in rows)
    if objective == "mean":
        return sum(row.weight * values[row.uuid] for row in rows) / total
    return math.exp(sum(row.weight * math.log(values[row.uuid]) for row in rows) / total)


def above_floor(bounds: Bounds, latencies_us: Mapping[str, float]) -> float | None:
    """How far a kernel is above the floor, by the objective: 0.02 is two per cent slower than the hardware allows, a negative value is
    faster than that, and so disproves the floor or accuses the kernel. None when a workload's latency is missing, or its floor is 0."""
    rows = bounds.workloads
    if any(row.uuid not in latencies_us or row.floor_us <= 0 for row in rows):
        return None
    return weighted_mean(latencies_us, rows, bounds.objective) / bounds.objective_floor_us - 1.0


def _row(judged: JudgedWorkload, work: Work, ceilings: Ceilings) -> WorkloadFloor:
    floor = floor_of(work, ceilings)
    return WorkloadFloor(**floor.model_dump(), uuid=judged.workload.uuid, regime=judged.regime, weight=judged.weight)


def _regime(name: str, rows: Sequence[WorkloadFloor]) -> RegimeFloor:
    members = [row for row in rows if row.regime == name]
    return RegimeFloor(**_mean(members).model_dump(), regime=name, weight=sum(row.weight for row in members), workloads=len(members))


def _mean(rows: Sequence[WorkloadFloor]) -> Floor:
    """Each part its own weighted mean; `binds` is the part that takes most of them together."""
    launch = _average((row.weight, row.launch_us) for row in rows)
    memory = _average((row.weight, row.memory_us) for row in rows)
    compute = _average((row.weight, row.compute_us) for row in rows)
    return Floor(
        floor_us=_average((row.weight, row.floor_us) for row in rows),
        launch_us=launch,
        memory_us=memory,
        compute_us=compute,
        moved_bytes=_average((row.weight, row.moved_bytes) for row in rows),
        operations=_average((row.weight, row.operations) for row in rows),
        binds=binding(launch, memory, compute),
    )


def _average(pairs: Iterable[tuple[float, float]]) -> float:
    known = list(pairs)
    return sum(weight * value for weight, value in known) / sum(weight for weight, _ in known)
