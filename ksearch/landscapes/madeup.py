"""Landscapes with a made-up cost model over a family's real space and real rendered sources, for tests and comparisons
where no device is at hand. Nothing in them was measured, and their name and timer say so.

The hidden model is nothing that a forecaster could look up: each value of each configuration entry multiplies the time by
a factor drawn around the catalogue's claim, pairs of values interact, a part of the time can't be removed, and some pairs
of values fail.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ksearch.coder.playbook.mechanism import Family
from ksearch.coder.types import Target
from ksearch.definitions.schema import Definition
from ksearch.judge.verdict import JudgedWorkload
from ksearch.landscapes.landscape import Landscape, Point, RecordedTechnique, TimedWorkload
from ksearch.worldmodel.catalogue import Catalogue, Config, Technique, Value

TIMER = "synthetic"
BASELINE_US = 400.0
NOISE_LN = 0.015
UNREMOVABLE = (0.01, 0.04)
"""Share of the plainest kernel's time that no step removes: drawn from this range for each regime."""
CLAIM_TRUTH = 0.6
"""How far a value's effect follows the catalogue's claim; the rest is drawn with the claim's own spread."""
PAIR_SHARE, PAIR_SD = 0.25, 0.15
"""Share of pairs of entries that interact, and the standard deviation of the interaction, nats."""
FAILING_PAIRS = 0.05
"""Share of pairs of non-default values of two entries that don't work together."""

Key: TypeAlias = tuple[tuple[str, Value], ...]


def closure(catalogue: Catalogue, most: int, rng: random.Random) -> tuple[Catalogue, tuple[Config, ...]]:
    """A closed part of the space with at most `most` configurations: techniques are taken in a drawn order while they fit."""
    kept: list[Technique] = []
    configs = reachable(catalogue.defaults, kept, most)
    for technique in rng.sample(catalogue.techniques, len(catalogue.techniques)):
        wider = reachable(catalogue.defaults, [*kept, technique], most + 1)
        if len(wider) <= most:
            kept, configs = [*kept, technique], wider
    ordered = tuple(technique for technique in catalogue.techniques if technique in kept)
    return Catalogue(catalogue.name, catalogue.defaults, ordered), configs


def reachable(defaults: Config, techniques: Sequence[Technique], most: int) -> tuple[Config, ...]:
    """Configurations that legal techniques lead to, the plainest first; stops at `most`."""
    found: dict[Key, Config] = {_key(defaults): defaults}
    queue = deque([defaults])
    while queue and len(found) < most:
        config = queue.popleft()
        for technique in techniques:
            if all(config[name] in allowed for name, allowed in technique.needs.items()):
                following = {**config, **technique.sets}
                if _key(following) not in found and len(found) < most:
                    found[_key(following)] = following
                    queue.append(following)
    return tuple(found.values())


@dataclass(frozen=True)
class HiddenCost:
    """What a configuration costs, drawn from a seed. Effects are nats of time for each regime; negative is faster."""

    seed: str
    defaults: Config
    claims: Mapping[tuple[str, Value], tuple[float, float]]

    @classmethod
    def of(cls, catalogue: Catalogue, seed: str) -> HiddenCost:
        claims: dict[tuple[str, Value], tuple[float, float]] = {}
        for technique in catalogue.techniques:
            share = 1.0 / len(technique.sets)
            for item in technique.sets.items():
                claims.setdefault(item, (technique.gain_mean * share, technique.gain_sd))
        return cls(seed, catalogue.defaults, claims)

    def latency_us(self, config: Config, regime: str) -> float:
        changed = self._changed(config)
        total = sum(self._effect(item, regime) for item in changed)
        total += sum(self._interaction(a, b, regime) for a, b in _pairs(changed))
        rest = self._draw("floor", regime).uniform(*UNREMOVABLE)
        return BASELINE_US * (rest + (1.0 - rest) * math.exp(total))

    def fails_at(self, config: Config) -> str | None:
        """Stage at which the first bad pair of values stops it; None when it works."""
        for a, b in _pairs(self._changed(config)):
            draw = self._draw("fails", a, b)
            if draw.random() < FAILING_PAIRS:
                return draw.choice(("compile", "smoke", "numerics"))
        return None

    def _changed(self, config: Config) -> list[tuple[str, Value]]:
        return [item for item in sorted(config.items()) if item[1] != self.defaults[item[0]]]

    def _effect(self, item: tuple[str, Value], regime: str) -> float:
        claimed, spread = self.claims.get(item, (0.0, 0.1))
        everywhere, here = self._draw("effect", item), self._draw("effect", item, regime)
        return -CLAIM_TRUTH * claimed - everywhere.gauss(0.0, 0.6 * spread) - here.gauss(0.0, 0.2 * spread)

    def _interaction(self, a: tuple[str, Value], b: tuple[str, Value], regime: str) -> float:
        draw = self._draw("pair", a, b, regime)
        return draw.gauss(0.0, PAIR_SD) if draw.random() < PAIR_SHARE else 0.0

    def _draw(self, *what: object) -> random.Random:
        return random.Random(json.dumps([self.seed, *what]))


def synthetic_landscape(
    family: Family, definition: Definition, target: Target, workloads: Sequence[JudgedWorkload], *, most: int, seed: int
) -> Landscape:
    """At most `most` configurations of a family with made-up latencies over `workloads`; equal arguments give equal landscapes."""
    catalogue, configs = closure(family.catalogue(definition, target), most, random.Random(seed))
    cost = HiddenCost.of(catalogue, f"{family.name}/{seed}")
    sources: dict[str, tuple[tuple[str, str], ...]] = {}
    points: dict[str, Point] = {}
    language = family.render(definition, target, catalogue.defaults).language
    rows = []
    for config in configs:
        rendered = family.render(definition, target, config).sources
        code = hashlib.sha256(json.dumps(rendered).encode()).hexdigest()
        sources.setdefault(code, rendered)
        rows.append(points.setdefault(code, _point(cost, config, code, workloads)).model_copy(update={"config": dict(config)}))
    return Landscape(
        name=f"synthetic-{family.name.replace('/', '-')}-{seed}", definition=definition.name, family=family.name,
        device="cuda" if target.device == "cuda" else "cpu", device_name="synthetic", timer=TIMER, recorded="2026-11-21",
        versions={}, language=language, defaults=dict(catalogue.defaults),
        techniques=tuple(map(RecordedTechnique.of, catalogue.techniques)), workloads=tuple(map(_timed, workloads)),
        sigma_noise=NOISE_LN, points=tuple(rows), sources=sources,
    )  # fmt: skip


def _timed(judged: JudgedWorkload) -> TimedWorkload:
    return TimedWorkload(
        uuid=judged.workload.uuid, regime=judged.regime, weight=judged.weight, axes=dict(judged.workload.axes), baseline_us=BASELINE_US
    )


def _point(cost: HiddenCost, config: Config, code: str, workloads: Sequence[JudgedWorkload]) -> Point:
    stage = cost.fails_at(config)
    if stage is not None:
        status = {"compile": "COMPILE_ERROR", "smoke": "RUNTIME_ERROR"}.get(stage, "INCORRECT_NUMERICAL")
        return Point(config=dict(config), code=code, status=status, stage=stage, message="synthetic", device_seconds=4.0, wall_seconds=6.0)
    noise = random.Random(f"{cost.seed}/{code}")
    latencies = tuple(cost.latency_us(config, judged.regime) * math.exp(noise.gauss(0.0, NOISE_LN)) for judged in workloads)
    return Point(
        config=dict(config), code=code, status="PASSED", latencies_us=latencies, noise_ln=NOISE_LN, device_seconds=10.0, wall_seconds=12.0
    )


def _pairs(items: Sequence[tuple[str, Value]]) -> Iterator[tuple[tuple[str, Value], tuple[str, Value]]]:
    return ((a, b) for index, a in enumerate(items) for b in items[index + 1 :])


def _key(config: Config) -> Key:
    return tuple(sorted(config.items()))
