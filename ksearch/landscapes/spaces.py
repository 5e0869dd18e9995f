"""Closed parts of a playbook's space: named sets of techniques, few enough to measure every configuration they lead to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Literal

from ksearch.coder.playbook.coder import AUTHOR
from ksearch.coder.playbook.mechanism import Family
from ksearch.coder.playbook.registry import all_families
from ksearch.coder.types import Target
from ksearch.definitions.catalog import load_definition, workloads_for
from ksearch.definitions.regimes import regime_of
from ksearch.definitions.schema import BuildSpec, Definition, Language, Solution, SourceFile, Workload
from ksearch.errors import BadInput
from ksearch.worldmodel.catalogue import Catalogue, Config, Technique, Value

MOST = 5000
"""Configurations over which a space is refused: it was not meant to be swept."""


@dataclass(frozen=True, slots=True)
class Space:
    """What one sweep measures.

    `techniques`: an id ("vector_loads") stands for all its choices, "id parameter" ("vector_loads bits=64") for one of them.
    `workloads`: uuids, starts of uuids, or axes ("batch_size=64" is the first such workload). `landscapes`: which landscapes
    are written of the sweep, by the ending of their names, and the regimes whose workloads each holds (none: all). In a
    landscape each regime counts the same, and so does each workload of a regime.
    """

    name: str
    definition: str
    family: str
    device: Literal["cpu", "cuda"]
    languages: tuple[Language, ...]
    techniques: tuple[str, ...]
    workloads: tuple[str, ...]
    landscapes: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({"mean": ()}))


@dataclass(frozen=True)
class Enumerated:
    """A space with all its configurations, the plainest first, and the distinct codes they stand for."""

    space: Space
    definition: Definition
    catalogue: Catalogue
    workloads: tuple[Workload, ...]
    configs: tuple[Config, ...]
    codes: tuple[str, ...]
    """Digest of each configuration's code, in their order."""
    solutions: Mapping[str, Solution]
    """By digest, in the order in which configurations first stand for them."""

    def first(self, count: int) -> Enumerated:
        """The same space with its first `count` codes alone: no longer closed, so that it can be tried but not written."""
        return replace(self, solutions=dict(list(self.solutions.items())[:count]))


def enumerate_space(space: Space, arch: str | None) -> Enumerated:
    """Every configuration that the space's techniques lead to from the family's defaults.

    `arch`: of the device, as 'sm_90' (None on cpu). Raises BadInput for a space that names what isn't there.
    """
    family, definition = _family(space), load_definition(space.definition)
    target = Target(space.device, arch if space.device == "cuda" else None, space.languages)
    if not family.covers(definition, target):
        raise BadInput(f"space {space.name}: {family.name} doesn't cover {definition.name} on {space.device} {arch}")
    whole = family.catalogue(definition, target)
    catalogue = Catalogue(space.name, whole.defaults, _chosen(space, whole))
    configs = tuple(reachable(catalogue))
    solutions = [_solution(family, definition, target, config) for config in configs]
    digests = tuple(solution.digest for solution in solutions)
    by_digest: dict[str, Solution] = {}
    for digest, solution in zip(digests, solutions, strict=True):
        by_digest.setdefault(digest, solution)
    return Enumerated(space, definition, catalogue, _workloads(space, definition), configs, digests, by_digest)


def reachable(catalogue: Catalogue) -> Iterator[Config]:
    """Configurations in order of the fewest steps that lead to them. Raises BadInput over MOST."""
    known = {_key(catalogue.defaults)}
    layer: list[Config] = [catalogue.defaults]
    while layer:
        yield from layer
        following: list[Config] = []
        for config in layer:
            for other in _steps(catalogue, config):
                if _key(other) not in known:
                    known.add(_key(other))
                    following.append(other)
        if len(known) > MOST:
            raise BadInput(f"{catalogue.name}: more than {MOST} configurations; name fewer techniques")
        layer = following


def _steps(catalogue: Catalogue, config: Config) -> Iterator[Config]:
    for technique in catalogue.techniques:
        if all(config[name] in allowed for name, allowed in technique.needs.items()):
            yield {**config, **technique.sets}


def _key(config: Config) -> tuple[tuple[str, Value], ...]:
    return tuple(sorted(config.items()))


def _family(space: Space) -> Family:
    found = {family.name: family for family in all_families()}
    if space.family not in found:
        raise BadInput(f"space {space.name}: no family {space.family!r}; there are {', '.join(found)}")
    return found[space.family]


def _chosen(space: Space, whole: Catalogue) -> tuple[Technique, ...]:
    names = set(space.techniques)
    chosen = tuple(t for t in whole.techniques if t.id in names or f"{t.id} {t.parameter}" in names)
    known = {t.id for t in whole.techniques} | {f"{t.id} {t.parameter}" for t in whole.techniques}
    if unknown := names - known:
        raise BadInput(f"space {space.name}: no technique {', '.join(sorted(unknown))} in {whole.name}")
    return chosen


def _workloads(space: Space, definition: Definition) -> tuple[Workload, ...]:
    known = workloads_for(definition, space.device)
    found = [_workload(space, known, name) for name in space.workloads]
    return tuple(sorted(found, key=lambda workload: known.index(workload)))


def _workload(space: Space, known: tuple[Workload, ...], name: str) -> Workload:
    axis, equals, value = name.partition("=")
    for workload in known:
        if workload.axes.get(axis) == int(value) if equals else workload.uuid.startswith(name):
            return workload
    raise BadInput(f"space {space.name}: no workload {name!r} of {space.definition} on {space.device}")


def regimes(enumerated: Enumerated) -> dict[str, str]:
    """Regime by workload."""
    return {workload.uuid: regime_of(enumerated.definition, workload) for workload in enumerated.workloads}


def _solution(family: Family, definition: Definition, target: Target, config: Config) -> Solution:
    rendering = family.render(definition, target, config)
    spec = BuildSpec(
        language=rendering.language, target_hardware=(target.device,), entry_point=rendering.entry_point,
        dependencies=rendering.dependencies, destination_passing_style=True, binding=rendering.binding,
    )  # fmt: skip
    sources = tuple(SourceFile(path=path, content=text) for path, text in rendering.sources)
    return Solution(name="candidate", definition=definition.name, author=AUTHOR, spec=spec, sources=sources)
