"""The playbook's mechanism: families of templates, each a catalogue of techniques and a renderer.

A family covers one operator on one kind of device. Its catalogue (`ksearch.worldmodel.catalogue`) spans one flat
configuration; `render` turns a configuration into source files. Families are found by `families_for`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from ksearch.coder.types import Target
from ksearch.definitions.schema import Binding, Definition, Language
from ksearch.worldmodel.catalogue import Catalogue, Config


@dataclass(frozen=True, slots=True)
class Rendering:
    """Source files (path, text) with how to build them; the entry point is called in destination-passing style."""

    language: Language
    entry_point: str
    sources: tuple[tuple[str, str], ...]
    binding: Binding | None = None
    dependencies: tuple[str, ...] = ()


class Family(Protocol):
    """One operator on one kind of device."""

    @property
    def name(self) -> str:
        """Unique, e.g. 'dsa_topk/cuda'."""
        ...

    def covers(self, definition: Definition, target: Target) -> bool:
        """Whether this family can write for the definition (judged by op_type, axes and dtypes, not by name alone)."""
        ...

    def catalogue(self, definition: Definition, target: Target) -> Catalogue:
        """The search space for this definition and target: constants bound, techniques that can't apply left out."""
        ...

    def render(self, definition: Definition, target: Target, config: Config) -> Rendering:
        """Code for one configuration. Pure: equal arguments give equal text."""
        ...


@runtime_checkable
class HasFallbacks(Protocol):
    """A family that can vary a configuration whose code failed."""

    def fallbacks(self, config: Config, failed_stage: str | None) -> tuple[Config, ...]:
        """Other configurations that keep the plan's idea, most promising first. Pure."""
        ...


def fallbacks_of(family: Family, config: Config, failed_stage: str | None) -> tuple[Config, ...]:
    return family.fallbacks(config, failed_stage) if isinstance(family, HasFallbacks) else ()


def plainer(config: Config, defaults: Config, entries: tuple[str, ...]) -> tuple[Config, ...]:
    """Configurations with one of `entries` set back to its default, for those that differ from it."""
    return tuple({**config, entry: defaults[entry]} for entry in entries if config[entry] != defaults[entry])
