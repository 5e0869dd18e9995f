"""A catalogue of techniques: the playbook's search space, as data.

A template family (in the application) has one flat configuration: names to values, each with its plainest default.
A technique sets some of them and needs some of them; a plan's configuration is the defaults with each action's
settings applied in order. The catalogue says which techniques are legal after a plan and what each is worth a priori.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import TypeAlias

from ksearch.tree.types import Action, Plan

Value: TypeAlias = str | int | bool
Config: TypeAlias = Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Technique:
    """One step a playbook can take.

    `sets`: configuration entries it writes. `needs`: for each named entry, the values it may have beforehand (checked
    after the earlier actions). `parameter` tells choices of one technique apart ("block=256"). `gain_mean` and
    `gain_sd` are a priori natural-log speed-ups given that it works: engineering guesses, not measurements.
    """

    id: str
    target: str
    sets: Mapping[str, Value]
    intent: str
    rationale: str
    gain_mean: float
    gain_sd: float
    p_success: float
    difficulty: int
    needs: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)
    parameter: str = ""
    regime: str | None = None

    @property
    def key(self) -> str:
        return f"{self.id}|{self.target}|{self.parameter}"

    def action(self) -> Action:
        return Action(
            technique=self.id, target=self.target, parameter=self.parameter, intent=self.intent,
            gain_mean=self.gain_mean, gain_sd=self.gain_sd, p_success=self.p_success,
            difficulty=self.difficulty, rationale=self.rationale, regime=self.regime,
        )


class IllegalPlan(ValueError):
    """A plan holds an action that the catalogue doesn't know or whose needs are not met."""


@dataclass(frozen=True)
class Catalogue:
    """Techniques over one configuration space. `defaults` is the root's (plainest) configuration."""

    name: str
    defaults: Config
    techniques: tuple[Technique, ...]

    def __post_init__(self) -> None:
        keys = [technique.key for technique in self.techniques]
        if len(keys) != len(set(keys)):
            raise ValueError(f"catalogue {self.name}: two techniques share a key")
        for technique in self.techniques:
            unknown = (technique.sets.keys() | technique.needs.keys()) - self.defaults.keys()
            if unknown:
                raise ValueError(f"catalogue {self.name}: {technique.key} names unknown entries {sorted(unknown)}")

    @cached_property
    def by_key(self) -> Mapping[str, Technique]:
        return {technique.key: technique for technique in self.techniques}

    def config(self, plan: Plan) -> Config:
        """The configuration a plan stands for. Raises IllegalPlan for an unknown action or an unmet need."""
        config: dict[str, Value] = dict(self.defaults)
        for action in plan:
            for step in action.steps:
                technique = self.by_key.get(step)
                if technique is None or not _legal(technique, config):
                    raise IllegalPlan(f"{self.name}: {step} can't follow {[a.key for a in plan]}")
                config.update(technique.sets)
        return MappingProxyType(config)

    def outcome(self, config: Config) -> str:
        """One name for each configuration: what differs from the defaults, which therefore have the empty one."""
        return " ".join(f"{name}={value}" for name, value in sorted(config.items()) if value != self.defaults[name])

    def holds(self, config: Config) -> bool:
        """Whether the space has this configuration at all: legal steps lead to no other, but a merge of them might."""
        return True

    def is_legal(self, technique: Technique, config: Config) -> bool:
        """Whether its needs are met and it would change the configuration."""
        return _legal(technique, config) and any(config[name] != value for name, value in technique.sets.items())

    def legal(self, plan: Plan) -> tuple[Technique, ...]:
        """Techniques whose needs are met after `plan` and that would change its configuration."""
        return self.legal_from(self.config(plan))

    def legal_from(self, config: Config) -> tuple[Technique, ...]:
        """Techniques whose needs a configuration meets and that would change it."""
        return tuple(technique for technique in self.techniques if self.is_legal(technique, config))


def _legal(technique: Technique, config: Config) -> bool:
    return all(config[name] in allowed for name, allowed in technique.needs.items())
