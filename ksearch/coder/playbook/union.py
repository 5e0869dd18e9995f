"""Several families for one definition as one search space: the first is the root, the others are one step away."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ksearch.coder.playbook.mechanism import Family, Rendering, fallbacks_of
from ksearch.coder.types import Target
from ksearch.definitions.schema import Definition
from ksearch.worldmodel.catalogue import Catalogue, Config, Technique, Value

CHOICE = "family"
"""Configuration entry that names the family in use."""


@dataclass(frozen=True)
class UnionFamily:
    """Families side by side. Entries carry their family's name as a prefix, and so do the targets of techniques.

    A switch is legal only from the root: after a technique of one family it would throw that technique away.
    """

    families: tuple[Family, ...]

    @property
    def name(self) -> str:
        return "+".join(family.name for family in self.families)

    def covers(self, definition: Definition, target: Target) -> bool:
        return all(family.covers(definition, target) for family in self.families)

    def catalogue(self, definition: Definition, target: Target) -> Catalogue:
        catalogues = {family.name: family.catalogue(definition, target) for family in self.families}
        first = self.families[0].name
        defaults: dict[str, Value] = {CHOICE: first}
        for name, part in catalogues.items():
            defaults |= _prefixed(name, part.defaults)
        untouched = {entry: (value,) for entry, value in defaults.items()}
        techniques = [_switch(name, untouched) for name in catalogues if name != first]
        for name, part in catalogues.items():
            techniques += [_scoped(name, technique) for technique in part.techniques]
        return Catalogue(self.name, defaults, tuple(techniques))

    def render(self, definition: Definition, target: Target, config: Config) -> Rendering:
        family, own = self._chosen(config)
        return family.render(definition, target, own)

    def fallbacks(self, config: Config, failed_stage: str | None) -> tuple[Config, ...]:
        family, own = self._chosen(config)
        return tuple({**config, **_prefixed(family.name, other)} for other in fallbacks_of(family, own, failed_stage))

    def _chosen(self, config: Config) -> tuple[Family, Config]:
        family = next(family for family in self.families if family.name == config[CHOICE])
        prefix = f"{family.name}:"
        return family, {entry.removeprefix(prefix): value for entry, value in config.items() if entry.startswith(prefix)}


def _prefixed(name: str, config: Mapping[str, Value]) -> dict[str, Value]:
    return {f"{name}:{entry}": value for entry, value in config.items()}


def _scoped(name: str, technique: Technique) -> Technique:
    needs = {f"{name}:{entry}": allowed for entry, allowed in technique.needs.items()}
    return replace(
        technique, target=f"{name}: {technique.target}", sets=_prefixed(name, technique.sets),
        needs={CHOICE: (name,), **needs},
    )


def _switch(name: str, untouched: Mapping[str, tuple[Value, ...]]) -> Technique:
    return Technique(
        id="switch_family", target="kernel", parameter=name, sets={CHOICE: name}, needs=untouched,
        intent=f"start again from the plainest kernel of {name}",
        rationale="Another language or programming model has another ceiling; its own techniques become legal.",
        gain_mean=0.3, gain_sd=1.0, p_success=0.9, difficulty=2,
    )
