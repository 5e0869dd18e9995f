"""Merges from a catalogue: several steps taken at once.

A plan grows by one measured step at a time, so gains found in different branches, or side by side at the same time, are
combined only step by step. A merge takes at once what gained elsewhere and goes together here, and a few claims that were not
tried yet. It is the same plan as its parts one by one: nothing is reached by merging that could not be reached without.

Beside the merge of all that is believed to gain, its neighbours are offered: one part left out, or one put in for those it
excludes. The part that varies counts with one standard deviation more, so that what is little known comes first.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ksearch.tree.types import MERGE, Action, Part, plan_key
from ksearch.worldmodel.catalogue import Catalogue, Config, Technique, Value
from ksearch.worldmodel.types import ProposeRequest

MOST_MERGES = 2
"""In one answer: merges differ little from each other, and single steps should not wait for all of them."""

MOST_UNTRIED = 3
"""Claims in one merge: each that fails or loses takes the others with it."""


@dataclass(frozen=True, slots=True)
class Believed:
    """A step of the catalogue with the gain that is expected of it (nats)."""

    technique: Technique
    gain: float
    sd: float
    p_success: float
    tried: bool
    """Alone or in a merge."""


def merges(catalogue: Catalogue, request: ProposeRequest) -> tuple[Action, ...]:
    """At most `MOST_MERGES` new merges below the request's plan, the most promising first."""
    taken = plan_key(request.plan)
    space = Space(catalogue, catalogue.config(request.plan), _believed(catalogue, request), request.pair_chance)
    found: dict[str, Action] = {}
    for keys in space.promising():
        config = space.following(keys)
        outcome = catalogue.outcome(config)
        known = not outcome or outcome in request.known_outcomes or taken | set(keys) in request.known_plans
        if not known and outcome not in found and catalogue.holds(config):
            found[outcome] = _merge([space.believed[key] for key in keys], space.chance(keys), outcome)
        if len(found) == MOST_MERGES:
            break
    return tuple(found.values())


def _believed(catalogue: Catalogue, request: ProposeRequest) -> dict[str, Believed]:
    """What may be merged below the plan."""
    outlooks = {outlook.step.key: outlook for outlook in request.outlooks}
    rows, taken = dict[str, Believed](), plan_key(request.plan)
    for technique in catalogue.techniques:
        if technique.key in taken or not request.banned.isdisjoint((technique.key, technique.id, MERGE)):
            continue
        known = outlooks.get(technique.key)
        if known is None:
            expected = _untried_gain(technique, request)
            rows[technique.key] = Believed(technique, expected, technique.gain_sd, technique.p_success, tried=False)
        else:
            rows[technique.key] = Believed(technique, known.gain, known.sd, known.p_success, tried=True)
    return rows


def _untried_gain(technique: Technique, request: ProposeRequest) -> float:
    """The mean of its claim, as far as claims came true, and of what its technique's other parameters are expected to gain."""
    kind = (technique.id, technique.target)
    kin = [row.gain for row in request.outlooks if (row.step.technique, row.step.target) == kind]
    return (request.honesty * technique.gain_mean + math.fsum(kin)) / (1 + len(kin))


class Space:
    """Sets of steps that go together from one configuration."""

    def __init__(self, catalogue: Catalogue, config: Config, believed: Mapping[str, Believed], pair_chance: float) -> None:
        self.config, self.believed, self.pair_chance = config, believed, pair_chance
        self.set_already = {name for name, value in config.items() if value != catalogue.defaults[name]}
        gaining = sorted((row for row in believed.values() if row.gain > 0.0), key=lambda row: (-row.gain, row.technique.key))
        self.order = [row.technique.key for row in gaining]

    def promising(self) -> list[list[str]]:
        """Sets of two or more steps, by the gain hoped of them times the chance that they pass, the greatest first."""
        every = self.compatible(self.order)
        rows = [(0.0, every), (0.0, self.compatible([key for key in self.order if self.believed[key].tried]))]
        rows += [(0.0, every[:size]) for size in range(2, len(every))]
        for key in every:
            rows.append((self.believed[key].sd, self.compatible([other for other in self.order if other != key])))
        for key in self.believed.keys() - set(every):
            swapped = self.compatible([key, *self.order])
            if key in swapped:
                rows.append((self.believed[key].sd, swapped))
        ranked = sorted((-self.worth(keys, extra), keys) for extra, keys in rows if len(keys) > 1)
        return [keys for _, keys in ranked]

    def worth(self, keys: Sequence[str], extra: float) -> float:
        return self.chance(keys) * (math.fsum(self.believed[key].gain for key in keys) + extra)

    def chance(self, keys: Sequence[str]) -> float:
        together = self.pair_chance ** (len(keys) * (len(keys) - 1) // 2)
        return together * math.prod(self.believed[key].p_success for key in keys)

    def following(self, keys: Sequence[str]) -> Config:
        config: dict[str, Value] = dict(self.config)
        for key in keys:
            config.update(self.believed[key].technique.sets)
        return config

    def compatible(self, wanted: Sequence[str]) -> list[str]:
        """Steps that can all be taken one after the other, the first wanted first as far as needs allow. A setting that the plan or
        another step has made already is left as it is: what undoing it costs was not measured."""
        here, set_already = dict(self.config), set(self.set_already)
        chosen, waiting, untried, moved = list[str](), list(dict.fromkeys(wanted)), 0, True
        while moved:
            left, moved = list[str](), False
            for key in waiting:
                row = self.believed[key]
                if not set_already.isdisjoint(row.technique.sets) or (not row.tried and untried == MOST_UNTRIED):
                    continue
                if not all(here[name] in allowed for name, allowed in row.technique.needs.items()):
                    left.append(key)
                    continue
                here.update(row.technique.sets)
                set_already |= row.technique.sets.keys()
                chosen.append(key)
                untried += not row.tried
                moved = True
            waiting = left
        return chosen


def _merge(chosen: Sequence[Believed], p_success: float, outcome: str) -> Action:
    """Its claim is what is believed of its parts, as if they neither helped nor hindered each other."""
    parts = tuple(_part(one.technique) for one in chosen)
    return Action(
        technique=MERGE, target="plan", parameter=" + ".join(sorted(part.key for part in parts)),
        intent="; ".join(one.technique.intent for one in chosen),
        gain_mean=math.fsum(one.gain for one in chosen), gain_sd=math.sqrt(math.fsum(one.sd**2 for one in chosen)),
        p_success=p_success, difficulty=max(one.technique.difficulty for one in chosen),
        rationale="several steps at once", leads_to=outcome, parts=parts,
    )  # fmt: skip


def _part(technique: Technique) -> Part:
    return Part(technique.id, technique.target, technique.parameter, technique.gain_mean, technique.gain_sd, technique.p_success)
