"""Samples for the forecasters out of what the rest of the program has: candidates of a run, points of a landscape."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Literal

from ksearch.definitions.catalog import load_definition, workloads_for
from ksearch.definitions.kits import kit_for
from ksearch.definitions.schema import Definition
from ksearch.errors import BadInput
from ksearch.forecasting.shapes import axes_of, moved_bytes, shapes_of
from ksearch.landscapes.landscape import Landscape, Point, TimedWorkload
from ksearch.profiling.bounds import floor_of
from ksearch.profiling.datasheets import datasheet_of
from ksearch.surrogates.sources import strip_comments
from ksearch.surrogates.types import Compiled, Regime, Sample, Step
from ksearch.tree.types import Action, Part, Plan
from ksearch.worldmodel.catalogue import Value


def steps_of(plan: Plan) -> tuple[Step, ...]:
    """A merge's parts stand for it, each with the claim it would have alone."""
    return tuple(step_of(part) for action in plan for part in action.parts or (action,))


def step_of(one: Action | Part) -> Step:
    return Step(one.technique, one.target, one.parameter, one.gain_mean, one.gain_sd, one.p_success)


def taken(plan: Plan) -> int:
    """How many steps its last action stands for."""
    return len(plan[-1].steps) if plan else 0


def stripped(sources: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """Texts by path, in the order of the paths, without comments."""
    return tuple(strip_comments(path, text) for path, text in sorted(sources))


def walk(landscape: Landscape, seed: int, most: int | None = None) -> tuple[Sample, ...]:
    """A landscape's points as a search could have met them: each a legal step from a plan that passed before it.

    The order is drawn from the seed; every code comes once, the root's own first. Judged samples, at most `most`.
    """
    return tuple(_take(_walk(landscape, random.Random(seed)), most))


def _take(samples: Iterator[Sample], most: int | None) -> Iterator[Sample]:
    for count, sample in enumerate(samples):
        if most is not None and count >= most:
            return
        yield sample


def _walk(landscape: Landscape, rng: random.Random) -> Iterator[Sample]:
    root = landscape.at(landscape.defaults)
    seen = {root.code}
    proven: list[tuple[Mapping[str, Value], Plan, Point]] = [(landscape.defaults, (), root)]
    yield landscape_sample(landscape, (), root, None)
    front = [(0, index) for index in range(len(landscape.catalogue.techniques))]
    while front:
        place = rng.randrange(len(front))
        front[place], front[-1] = front[-1], front[place]
        parent, index = front.pop()
        config, plan, parent_point = proven[parent]
        technique = landscape.catalogue.techniques[index]
        if any(config[name] not in allowed for name, allowed in technique.needs.items()):
            continue
        point = landscape.at({**config, **technique.sets})
        if point.code in seen:
            continue
        seen.add(point.code)
        longer: Plan = (*plan, technique.action())
        yield landscape_sample(landscape, longer, point, parent_point)
        if point.passed:
            proven.append((dict(point.config), longer, point))
            front += [(len(proven) - 1, index) for index in range(len(landscape.catalogue.techniques))]


def landscape_sample(landscape: Landscape, plan: Plan, point: Point, parent: Point | None) -> Sample:
    """One point with its outcome. The root has no parent; its own reward stands for it."""
    before = point if parent is None else parent
    return Sample(
        candidate=point.code,
        definition=landscape.definition,
        device=landscape.device_name,
        plan=tuple(key for action in plan for key in action.steps),
        sources=stripped(landscape.sources[point.code]),
        parent=None if parent is None else parent.code,
        parent_reward=landscape_reward(landscape, before) if before.passed else None,
        passed=point.passed,
        reward=landscape_reward(landscape, point) if point.passed else None,
        language=landscape.language,
        steps=steps_of(plan),
        regimes=_regimes(landscape, before),
        compiled=_compiled(point),
        parent_sources=stripped(landscape.sources[before.code]),
        parent_compiled=_compiled(before),
        taken=taken(plan),
    )


def landscape_reward(landscape: Landscape, point: Point) -> float:
    """ln(mean baseline / mean latency), the workloads' weights as the landscape has them."""
    baseline = sum(workload.weight * workload.baseline_us for workload in landscape.workloads)
    latency = sum(workload.weight * value for workload, value in zip(landscape.workloads, point.latencies_us, strict=True))
    return math.log(baseline / latency)


def _compiled(point: Point) -> Compiled | None:
    report = Compiled(point.registers, point.spill_bytes, point.shared_bytes)
    return report if report != Compiled() else None


def _regimes(landscape: Landscape, parent: Point) -> tuple[Regime, ...]:
    members: dict[str, list[int]] = {}
    for index, workload in enumerate(landscape.workloads):
        members.setdefault(workload.regime, []).append(index)
    return tuple(_regime(landscape, parent, name, indices) for name, indices in members.items())


def _regime(landscape: Landscape, parent: Point, name: str, indices: Sequence[int]) -> Regime:
    workloads = [landscape.workloads[index] for index in indices]
    weight = sum(workload.weight for workload in workloads)
    definition = _definition(landscape.definition)
    axes = [workload.axes for workload in workloads]
    traffic = [] if definition is None else [w.weight * moved_bytes(definition, w.axes) for w in workloads]
    return Regime(
        name=name,
        weight=weight,
        shapes=axes_of(axes) if definition is None else shapes_of(definition, axes),
        moved_bytes=sum(traffic) / weight if traffic else None,
        floor_us=_floor(landscape, workloads),
        baseline_us=sum(workload.weight * workload.baseline_us for workload in workloads) / weight,
        parent_us=sum(landscape.workloads[i].weight * parent.latencies_us[i] for i in indices) / weight if parent.passed else None,
    )


def _floor(landscape: Landscape, workloads: Sequence[TimedWorkload]) -> float | None:
    """By the device's datasheet: a landscape doesn't hold what was measured of its device. None unless every workload's is known."""
    floors = _floors(landscape.definition, landscape.device_name, landscape.device)
    if any(workload.uuid not in floors for workload in workloads):
        return None
    return sum(workload.weight * floors[workload.uuid] for workload in workloads) / sum(workload.weight for workload in workloads)


@cache
def _floors(definition: str, device_name: str, device: Literal["cpu", "cuda"]) -> Mapping[str, float]:
    """Of the definition's own workloads, by uuid."""
    found, ceilings = _definition(definition), datasheet_of(device_name)
    if found is None or ceilings is None:
        return {}
    count, workloads = kit_for(found).work, workloads_for(found, device)
    return {workload.uuid: floor_of(count(found, workload), ceilings).floor_us for workload in workloads}


@cache
def _definition(name: str) -> Definition | None:
    """None for one that isn't bundled: a landscape may come from elsewhere."""
    try:
        return load_definition(name)
    except BadInput:
        return None
