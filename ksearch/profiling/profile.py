"""A kernel held against what the hardware allows: times from the judge, floors, and the share of each ceiling that it reaches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ksearch.definitions.schema import Frozen
from ksearch.judge.verdict import CompileReport, Stage, Status, Verdict
from ksearch.profiling.bounds import Binding, Bounds, Floor, above_floor
from ksearch.profiling.ceilings import Ceilings
from ksearch.profiling.digest import Digest


class Share(Frozen):
    """Of one workload, or the weighted mean of a regime. Latencies in microseconds.

    `bandwidth_share` is the time that the bytes which must move take at full bandwidth over the time the kernel takes, `compute_share` the
    same for operations at peak: 1 is the ceiling. A kernel that moves bytes twice uses more bandwidth than this says.
    """

    floor_us: float
    latency_us: float | None
    baseline_us: float | None
    above_floor: float | None
    """Latency over floor, less one: 0.5 is half as long again as the hardware allows."""
    bandwidth_share: float | None
    compute_share: float | None
    moved_bytes: float
    operations: float
    binds: Binding


class WorkloadShare(Share):
    uuid: str
    regime: str
    weight: float
    axes: Mapping[str, int]


class RegimeShare(Share):
    regime: str
    weight: float
    workloads: int


class Profile(Frozen):
    """What `ksearch profile --json` prints. `missing` says in one line why there are no counters."""

    solution: str
    definition: str
    device: str
    status: Status
    stage: Stage | None
    message: str | None
    timer: str | None
    ceilings: Ceilings
    basis: str
    floor_us: float
    objective_floor_us: float
    latency_us: float | None
    above_floor: float | None
    """By the objective."""
    regimes: tuple[RegimeShare, ...]
    workloads: tuple[WorkloadShare, ...]
    compile: CompileReport | None
    counters: tuple[Digest, ...] = ()
    missing: str | None = None


def profile_of(name: str, definition: str, verdict: Verdict, bounds: Bounds, axes: Mapping[str, Mapping[str, int]]) -> Profile:
    """A verdict beside the floors of the same workloads; `axes` by uuid."""
    timed = {row.uuid: row.latency_us for row in verdict.workloads if row.latency_us is not None}
    baselines = {row.uuid: row.baseline_us for row in verdict.workloads if row.baseline_us is not None}
    rows = tuple(
        WorkloadShare(
            **_share(floor, timed.get(floor.uuid), baselines.get(floor.uuid)).model_dump(),
            uuid=floor.uuid, regime=floor.regime, weight=floor.weight, axes=dict(axes[floor.uuid]),
        )
        for floor in bounds.workloads
    )  # fmt: skip
    evidence = verdict.evidence
    return Profile(
        solution=name,
        definition=definition,
        device=bounds.ceilings.device if verdict.device is None else verdict.device.name,
        status=verdict.status,
        stage=verdict.stage,
        message=None if evidence is None else evidence.message,
        timer=verdict.timer,
        ceilings=bounds.ceilings,
        basis=bounds.basis,
        floor_us=bounds.floor.floor_us,
        objective_floor_us=bounds.objective_floor_us,
        latency_us=_mean([(row.weight, row.latency_us) for row in rows]),
        above_floor=above_floor(bounds, timed),
        regimes=tuple(_regime(floor.regime, floor, floor.workloads, rows) for floor in bounds.regimes),
        workloads=rows,
        compile=verdict.compile,
    )


def _share(floor: Floor, latency_us: float | None, baseline_us: float | None) -> Share:
    return Share(
        floor_us=floor.floor_us,
        latency_us=latency_us,
        baseline_us=baseline_us,
        above_floor=None if latency_us is None or floor.floor_us <= 0 else latency_us / floor.floor_us - 1.0,
        bandwidth_share=None if latency_us is None else floor.memory_us / latency_us,
        compute_share=None if latency_us is None else floor.compute_us / latency_us,
        moved_bytes=floor.moved_bytes,
        operations=floor.operations,
        binds=floor.binds,
    )


def _regime(name: str, floor: Floor, workloads: int, rows: Sequence[WorkloadShare]) -> RegimeShare:
    members = [row for row in rows if row.regime == name]
    latency, baseline = (_mean([(row.weight, getattr(row, field)) for row in members]) for field in ("latency_us", "baseline_us"))
    weight = sum(row.weight for row in members)
    return RegimeShare(**_share(floor, latency, baseline).model_dump(), regime=name, weight=weight, workloads=workloads)


def _mean(pairs: Sequence[tuple[float, float | None]]) -> float | None:
    """Weighted; None unless every value is known."""
    known = [(weight, value) for weight, value in pairs if value is not None]
    if not known or len(known) < len(pairs):
        return None
    return sum(weight * value for weight, value in known) / sum(weight for weight, _ in known)
