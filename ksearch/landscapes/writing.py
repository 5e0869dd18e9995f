"""From a sweep's records to landscapes."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ksearch.errors import BadInput
from ksearch.landscapes.landscape import Landscape, Point, RecordedTechnique, TimedWorkload
from ksearch.landscapes.records import Measured, Records, Setting
from ksearch.landscapes.spaces import Enumerated, regimes


def landscapes_of(space: Enumerated, records: Records) -> list[Landscape]:
    """One for each that the space names. Raises BadInput while codes are missing."""
    missing = [code for code in space.solutions if (code, 0) not in records.measured]
    if missing or not records.settings:
        raise BadInput(f"{records.path}: {len(missing)} of {len(space.solutions)} codes are not measured yet; sweep on")
    return [_landscape(space, records, ending, chosen) for ending, chosen in space.space.landscapes.items()]


def _landscape(space: Enumerated, records: Records, ending: str, chosen: tuple[str, ...]) -> Landscape:
    setting = records.settings[0]
    timed = _timed(space, setting, chosen)
    uuids = [workload.uuid for workload in timed]
    return Landscape(
        name=f"{space.space.name}.{ending}",
        definition=space.definition.name,
        family=space.space.family,
        device=space.space.device,
        device_name=setting.device_name,
        timer=setting.timer,
        recorded=setting.recorded,
        versions=setting.versions,
        language=",".join(space.space.languages),
        defaults=dict(space.catalogue.defaults),
        techniques=tuple(RecordedTechnique.of(technique) for technique in space.catalogue.techniques),
        workloads=timed,
        sigma_noise=sigma_noise(records, uuids),
        points=tuple(
            _point(config, records.measured[code, 0], uuids) for config, code in zip(space.configs, space.codes, strict=True)
        ),
        sources={
            code: tuple((source.path, source.content) for source in solution.sources) for code, solution in space.solutions.items()
        },
    )


def _timed(space: Enumerated, setting: Setting, chosen: tuple[str, ...]) -> tuple[TimedWorkload, ...]:
    regime_of = regimes(space)
    workloads = [workload for workload in space.workloads if not chosen or regime_of[workload.uuid] in chosen]
    members: dict[str, int] = {}
    for workload in workloads:
        members[regime_of[workload.uuid]] = members.get(regime_of[workload.uuid], 0) + 1
    return tuple(
        TimedWorkload(
            uuid=workload.uuid, regime=regime_of[workload.uuid], weight=1 / len(members) / members[regime_of[workload.uuid]],
            axes=dict(workload.axes), baseline_us=setting.baselines_us[workload.uuid],
        )
        for workload in workloads
    )  # fmt: skip


def _point(config: Mapping[str, str | int | bool], found: Measured, uuids: list[str]) -> Point:
    return Point(
        config=dict(config), code=found.code, status=found.status, stage=found.stage, message=found.message,
        latencies_us=tuple(found.latencies_us[uuid] for uuid in uuids) if found.passed else (), noise_ln=found.noise_ln,
        registers=found.registers, spill_bytes=found.spill_bytes, shared_bytes=found.shared_bytes,
        device_seconds=found.device_seconds, wall_seconds=found.wall_seconds,
    )  # fmt: skip


def sigma_noise(records: Records, uuids: list[str]) -> float:
    """Standard deviation of ln latency between two measurements of one code, pooled over codes and workloads.

    Two measurements differ by sqrt(2) standard deviations of one. Where nothing was measured twice: the median spread of
    repeats within a measurement, which misses what changes from one to the next.
    """
    squares = [
        math.log(again.latencies_us[uuid] / first.latencies_us[uuid]) ** 2 / 2
        for (code, turn), again in records.measured.items()
        if turn > 0 and again.passed and (first := records.measured[code, 0]).passed
        for uuid in uuids
    ]
    if squares:
        return math.sqrt(sum(squares) / len(squares))
    spreads = sorted(record.noise_ln for record in records.measured.values() if record.noise_ln is not None)
    return spreads[len(spreads) // 2] if spreads else 0.0
