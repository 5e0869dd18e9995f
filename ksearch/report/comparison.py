"""Several runs side by side. Latencies are set against each other only where they were measured alike."""

from __future__ import annotations

from collections.abc import Sequence

from ksearch.errors import BadInput
from ksearch.records.beliefs import PredictionRecord, SpendingRecord
from ksearch.records.model import IncumbentRecord, ProgressRow, Record, RunRecord, RunStatus
from ksearch.records.reading import StoredRun

NEAR = 1.05
"""Within 5 % of the best incumbent: about where a further step is worth less than a new search."""


PARTS = ("world_model", "memory", "merge")
"""Settings that switch one part of a search off, for comparisons."""


class Conditions(Record):
    """What must be equal for two latencies to be compared. `definition` and `workloads` are digests, weights included."""

    definition: str
    workloads: str
    device_name: str
    timer: str | None
    judge: str


class Reached(Record):
    """When a run's incumbent first came within 5 % of the best of its group."""

    evaluations: int
    at_s: float
    gpu_seconds: float
    usd: float


class RunSide(Record):
    """One run. `group` numbers the runs that were measured alike; `ratio` is its latency over the best of the group."""

    run: str
    definition: str
    device_name: str
    timer: str | None
    policy: str
    status: RunStatus
    evaluations: int
    wall_seconds: float
    gpu_seconds: float
    usd: float
    tokens: float
    incumbent: IncumbentRecord | None
    group: int
    ratio: float | None
    near_best: Reached | None
    """None: it never came near."""
    progress: tuple[ProgressRow, ...]
    without: tuple[str, ...] = ()
    """Parts of the search that were switched off, as the settings call them."""
    predictions: PredictionRecord | None = None
    """How its planner's claims came true."""
    spending: tuple[SpendingRecord, ...] = ()
    """What its models took, by role."""


class Group(Record):
    conditions: Conditions
    definition: str
    """Its name."""
    best_us: float | None


class Comparison(Record):
    """What `ksearch compare --json` prints. `differences`: in what the groups differ, in words; empty for one group."""

    format: int = 1
    groups: tuple[Group, ...]
    runs: tuple[RunSide, ...]
    differences: tuple[str, ...]


def comparison_of(runs: Sequence[StoredRun]) -> Comparison:
    """Raises BadInput for fewer than two runs, or one named twice."""
    records = [run.record() for run in runs]
    names = [record.run for record in records]
    if len(records) < 2:
        raise BadInput("compare: name at least two runs")
    if repeated := next((name for name in names if names.count(name) > 1), None):
        raise BadInput(f"compare: run {repeated} is named twice")
    conditions = [_conditions(run, record) for run, record in zip(runs, records, strict=True)]
    kinds = list(dict.fromkeys(conditions))
    groups = tuple(_group(kind, [record for record, mine in zip(records, conditions, strict=True) if mine == kind]) for kind in kinds)
    sides = tuple(
        _side(record, kinds.index(mine), groups[kinds.index(mine)].best_us) for record, mine in zip(records, conditions, strict=True)
    )
    return Comparison(groups=groups, runs=sides, differences=tuple(_differences(groups)))


def _conditions(run: StoredRun, record: RunRecord) -> Conditions:
    header = run.state().header
    return Conditions(
        definition=header.definition, workloads=header.workloads, device_name=record.device_name, timer=record.timer, judge=record.judge
    )


def _group(conditions: Conditions, records: Sequence[RunRecord]) -> Group:
    latencies = [record.incumbent.latency_us for record in records if record.incumbent is not None]
    return Group(conditions=conditions, definition=records[0].definition, best_us=min(latencies, default=None))


def _side(record: RunRecord, group: int, best_us: float | None) -> RunSide:
    incumbent, spent = record.incumbent, {name: budget.spent for name, budget in record.budget.items()}
    return RunSide(
        run=record.run, definition=record.definition, device_name=record.device_name, timer=record.timer,
        policy=str(record.settings.get("policy")), status=record.status, evaluations=record.evaluations,
        wall_seconds=record.wall_seconds, gpu_seconds=spent["gpu_seconds"], usd=spent["usd"], tokens=spent["tokens"],
        incumbent=incumbent, group=group, ratio=None if incumbent is None or best_us is None else incumbent.latency_us / best_us,
        near_best=None if best_us is None else _reached(record, best_us), progress=record.progress,
        without=tuple(part for part in PARTS if record.settings.get(part) is False), predictions=record.predictions,
        spending=record.spending,
    )  # fmt: skip


def _reached(record: RunRecord, best_us: float) -> Reached | None:
    near = (row for row in record.progress if row.incumbent_us is not None and row.incumbent_us <= best_us * NEAR)
    row = next(near, None)
    return None if row is None else Reached(evaluations=row.evaluations, at_s=row.at_s, gpu_seconds=row.gpu_seconds, usd=row.usd)


def _differences(groups: Sequence[Group]) -> list[str]:
    if len(groups) < 2:
        return []
    words = {
        "definition": "the definition", "workloads": "the set of workloads", "device_name": "the device", "timer": "the timer",
        "judge": "the judge's version",
    }  # fmt: skip
    return [word for field, word in words.items() if len({getattr(group.conditions, field) for group in groups}) > 1]
