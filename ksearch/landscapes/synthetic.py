"""Synthetic grounds of known optimum: one family for each way a search can be led astray.

All are spans of entries, each with a default and one or more choices, as the playbook's families are; a technique takes
an entry from its default to one choice. The reward of a configuration is the sum of its choices' gains and of what pairs
of them give or cost together (nats), so the best is found by enumeration. The planner's claims are half the truth plus an
error, unless the family says otherwise: worth listening to and no more.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from typing import TypeAlias

from ksearch.landscapes.ground import TYPICAL_SECONDS, Spot, reachable
from ksearch.worldmodel.catalogue import Catalogue, Config, Technique, Value

Choice: TypeAlias = tuple[str, int]
"""An entry and the value it is set to; 0 is every entry's default."""

QUIET = 0.005
"""Noise of a quiet GPU, nats."""

CLAIM_SHARE, CLAIM_ERROR = 0.5, 0.12
SLOW_SHARE, SLOW_FACTOR = 0.03, 5.0
"""Stragglers: how many evaluations take far longer than the rest, and by how much."""


@dataclass
class World:
    """The truth while it is being drawn. `pairs` holds interactions, `barred` combinations that don't compile."""

    rng: random.Random
    gains: dict[Choice, float] = field(default_factory=dict)
    claims: dict[Choice, float] = field(default_factory=dict)
    success: dict[Choice, float] = field(default_factory=dict)
    needs: dict[Choice, Mapping[str, tuple[Value, ...]]] = field(default_factory=dict)
    pairs: dict[frozenset[Choice], float] = field(default_factory=dict)
    triples: dict[frozenset[Choice], float] = field(default_factory=dict)
    barred: set[frozenset[Choice]] = field(default_factory=set)
    sigma: float = QUIET
    parts: dict[str, int] = field(default_factory=dict)
    """By entry: which part of the kernel's time its gain applies to; empty when it is the whole."""
    shares: tuple[float, ...] = ()
    """What each part takes of the root's time; they sum to 1."""
    settable_again: bool = False
    """Whether a step may change an entry that an earlier one had set: then many plans lead to one configuration."""

    def add(self, entry: str, gain: float, claim: float | None = None, value: int = 1, needs: Mapping[str, int] | None = None) -> Choice:
        choice = (entry, value)
        self.gains[choice] = gain
        self.claims[choice] = CLAIM_SHARE * gain + self.rng.gauss(0.0, CLAIM_ERROR) if claim is None else claim
        self.success[choice] = 0.9
        self.needs[choice] = {name: (wanted,) for name, wanted in (needs or {}).items()}
        return choice

    def spread(self, entries: int, prefix: str = "e", scale: float = 1.0, needs: Mapping[str, int] | None = None) -> None:
        """Entries of one to three choices, most of them worth a little, some nothing, some less than nothing."""
        for place in range(entries):
            for value in range(1, self.rng.choice((1, 1, 2, 3)) + 1):
                gain = scale * (self.rng.choice((-0.15, 0.0, 0.0, 0.1, 0.2, 0.35)) + self.rng.uniform(0.0, 0.05))
                self.add(f"{prefix}{place}", gain, value=value, needs=needs)


@dataclass(frozen=True)
class SyntheticGround:
    """A drawn world as a ground."""

    family: str
    seed: int
    world: World = field(repr=False, compare=False)

    @property
    def name(self) -> str:
        return f"{self.family}-{self.seed}"

    @property
    def sigma(self) -> float:
        return self.world.sigma

    @cached_property
    def catalogue(self) -> Catalogue:
        world = self.world
        entries: dict[str, Value] = dict.fromkeys((entry for entry, _ in world.gains), 0)
        return Catalogue(self.name, entries, tuple(self._technique(choice) for choice in world.gains))

    @cached_property
    def best(self) -> float:
        rewards = (self._truth(_chosen(config)) for config in reachable(self.catalogue))
        return max(reward for reward in rewards if reward is not None)

    def at(self, config: Config) -> Spot:
        chosen = _chosen(config)
        code = " ".join(f"{entry}={value}" for entry, value in sorted(chosen))
        reward = self._truth(chosen)
        chance = random.Random(f"{self.seed} {code}")
        seconds = TYPICAL_SECONDS * math.exp(chance.gauss(0.0, 0.5)) * (SLOW_FACTOR if chance.random() < SLOW_SHARE else 1.0)
        if reward is None:
            return Spot(code, None, "compile", seconds=seconds / 3)
        return Spot(code, reward, sigma=self.world.sigma, seconds=seconds)

    def _truth(self, chosen: frozenset[Choice]) -> float | None:
        world, total = self.world, 0.0
        for pair in map(frozenset, combinations(chosen, 2)):
            if pair in world.barred:
                return None
            total += world.pairs.get(pair, 0.0)
        if any(frozenset((choice,)) in world.barred for choice in chosen):
            return None
        total += sum(bonus for triple, bonus in world.triples.items() if triple <= chosen)
        return total + self._gained(chosen)

    def _gained(self, chosen: frozenset[Choice]) -> float:
        """Gains of one part add up in ln time; the parts' times add up themselves, so the slowest comes to rule."""
        world = self.world
        if not world.parts:
            return sum(world.gains[choice] for choice in chosen)
        gained = [0.0] * len(world.shares)
        for choice in chosen:
            gained[world.parts[choice[0]]] += world.gains[choice]
        return -math.log(sum(share * math.exp(-gain) for share, gain in zip(world.shares, gained, strict=True)))

    def _technique(self, choice: Choice) -> Technique:
        entry, value = choice
        world = self.world
        free = {} if world.settable_again else {entry: (0,)}
        return Technique(
            id=entry, target="code", parameter=str(value), sets={entry: value}, needs={**free, **world.needs[choice]},
            intent=f"set {entry} to {value}", rationale="drawn", gain_mean=world.claims[choice], gain_sd=0.2,
            p_success=world.success[choice], difficulty=1,
        )  # fmt: skip


def _chosen(config: Config) -> frozenset[Choice]:
    return frozenset((entry, value) for entry, value in config.items() if isinstance(value, int) and value)


# ---------------------------------------------------------------------- families


def _additive(world: World) -> None:
    """Every step is worth the same wherever it is taken."""
    world.spread(7)


def _interacting(world: World) -> None:
    """A third of the pairs of steps help or hinder each other."""
    world.spread(6)
    for one, other in combinations(list(world.gains), 2):
        if one[0] != other[0] and world.rng.random() < 1 / 3:
            world.pairs[frozenset((one, other))] = world.rng.gauss(0.0, 0.15)


def _deceptive(world: World) -> None:
    """A first step that pays at once closes the way to another that pays more after two further ones."""
    world.add("base", 0.4, claim=0.4, value=1)
    world.add("base", 0.05, claim=0.1, value=2)
    world.spread(3, "lured", scale=0.3, needs={"base": 1})
    for place in range(3):
        world.add(f"patient{place}", world.rng.uniform(0.25, 0.4), needs={"base": 2})
    world.spread(4, "any")


def _non_monotone(world: World) -> None:
    """A step that loses, and is claimed to lose, is what three others need that pay more than it costs."""
    world.add("rewrite", -world.rng.uniform(0.2, 0.5), claim=-0.3)
    for place in range(3):
        world.add(f"enabled{place}", world.rng.uniform(0.3, 0.5), claim=0.1, needs={"rewrite": 1})
    world.spread(5, "any", scale=0.7)


def _needle(world: World) -> None:
    """Three steps that are worth nothing unless taken together, and then nearly everything."""
    world.spread(4, scale=0.3)
    for place in range(3):
        world.add(f"part{place}", world.rng.uniform(-0.05, 0.02))
    world.triples[frozenset((f"part{place}", 1) for place in range(3))] = 1.0


def _noisy(world: World) -> None:
    """Additive, measured on a machine that repeats to 6 %."""
    _additive(world)
    world.sigma = 0.06


def _failing(world: World) -> None:
    """One step in six never compiles, nor does one pair in eight; the planner suspects half of the former."""
    world.spread(8)
    choices = list(world.gains)
    for choice in choices:
        if world.rng.random() < 1 / 6:
            world.barred.add(frozenset((choice,)))
            world.success[choice] = world.rng.choice((0.4, 0.9))
    for one, other in combinations(choices, 2):
        if world.rng.random() < 1 / 8:
            world.barred.add(frozenset((one, other)))


def _merging(world: World) -> None:
    """Two chains of three steps, each needing the one before it; the best has both to their ends."""
    for chain in ("left", "right"):
        for place in range(3):
            needs = {f"{chain}{place - 1}": 1} if place else None
            world.add(f"{chain}{place}", world.rng.uniform(0.1, 0.35), needs=needs)
    world.spread(5, "any")


def _amdahl(world: World) -> None:
    """Each step speeds up one of three parts: what it is worth falls as its part shrinks beside the others."""
    world.shares = (0.6, 0.3, 0.1)
    world.spread(8, scale=2.0)
    world.parts = {entry: world.rng.choice((0, 0, 1, 1, 2)) for entry, _ in world.gains}


def _wide(world: World) -> None:
    """Eleven steps, of which four are worth taking; the planner can't tell which."""
    for place in range(11):
        gain = world.rng.uniform(0.15, 0.35) if place < 4 else world.rng.uniform(-0.1, 0.0)
        world.add(f"e{place}", gain, claim=world.rng.gauss(0.1, 0.05))


def _detour(world: World) -> None:
    """Two steps that lose one after the other stand before four that pay."""
    world.add("first", -world.rng.uniform(0.1, 0.3), claim=-0.1)
    world.add("second", -world.rng.uniform(0.1, 0.3), claim=-0.1, needs={"first": 1})
    for place in range(4):
        world.add(f"enabled{place}", world.rng.uniform(0.3, 0.5), claim=0.1, needs={"second": 1})
    world.spread(4, "any", scale=0.7)


def _rough(world: World) -> None:
    """Every pair of steps interacts, as strongly as the steps themselves."""
    world.spread(6)
    for one, other in combinations(list(world.gains), 2):
        if one[0] != other[0]:
            world.pairs[frozenset((one, other))] = world.rng.gauss(0.0, 0.2)


def _retuned(world: World) -> None:
    """Additive, and every entry may be set again: many plans lead to each configuration."""
    world.settable_again = True
    world.spread(6)


TUNING: Mapping[str, Callable[[World], None]] = {
    "additive": _additive,
    "interacting": _interacting,
    "deceptive": _deceptive,
    "non-monotone": _non_monotone,
    "needle": _needle,
    "noisy": _noisy,
    "failing": _failing,
    "merging": _merging,
}
"""What the policy's constants were chosen on."""

HELD_OUT: Mapping[str, Callable[[World], None]] = {
    "amdahl": _amdahl,
    "wide": _wide,
    "detour": _detour,
    "rough": _rough,
    "retuned": _retuned,
}
"""What it is reported on: never looked at while choosing."""

FAMILIES = {**TUNING, **HELD_OUT}


def draw(family: str, seed: int) -> SyntheticGround:
    """The family's world of this seed. Raises ValueError with the known families for an unknown one."""
    if family not in FAMILIES:
        raise ValueError(f"unknown family {family!r}; choose one of {', '.join(FAMILIES)}")
    world = World(random.Random(f"{family} {seed}"))
    FAMILIES[family](world)
    return SyntheticGround(family, seed, world)
