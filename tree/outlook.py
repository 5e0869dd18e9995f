"""What the next attempt at each step is expected to bring, from all that was measured: of the step alone, and of merges with it.

A merge measures the sum of its parts. The gains that explain all merges best, without leaving what each step showed alone, are the
solution of a ridge regression (Hoerl and Kennard, "Ridge regression: biased estimation for nonorthogonal problems", 1970) that is
drawn to those in place of zero; it is found by coordinate descent. A merge that
failed is blamed on its parts, and on pairs of them that don't go together, by how likely each was to fail.
"""

from __future__ import annotations

import math
from bisect import insort
from typing import TYPE_CHECKING, NamedTuple

from ksearch.tree.credit import Prospect, merged, narrowed, prospect, revised
from ksearch.tree.node import Node, key_digest, step_digest
from ksearch.tree.statistics import UNIT
from ksearch.tree.types import Action, Part

if TYPE_CHECKING:
    from ksearch.tree.state import State

SWEEPS = 8
"""Of coordinate descent: a sweep leaves a quarter of the error where two steps are always merged together, less elsewhere."""

MOST_MERGES = 64
"""Proven merges that are looked at, the latest first: enough for a catalogue, and a bound on what a choice costs."""


class Merged(NamedTuple):
    """A merge's plan, what it gained over the plan it was taken at (fixed-point units), and the digests of its parts."""

    node: int
    gained_units: int
    steps: tuple[int, ...]


class Lessons(NamedTuple):
    """What merges taught: by step its gain (nats), how often it passed in one, and its share of the blame for those that failed; the
    chance that a pair of steps goes together; and by technique and target the gains of those steps that were measured in merges alone."""

    gains: dict[int, float]
    kin: dict[tuple[str, str], list[float]]
    passed: dict[int, int]
    blamed: dict[int, list[float]]
    pair: float


class Outlook:
    """Expectations of steps, kept until something is settled. `claims` holds each single step that was opened or merged, `flying` in
    how many merges in flight it is."""

    __slots__ = ("alone", "claims", "failed", "flying", "lessons", "proven", "together")

    def __init__(self) -> None:
        self.claims: dict[int, Action | Part] = {}
        self.proven: list[Merged] = []
        self.failed: list[Merged] = []
        self.flying: dict[int, int] = {}
        self.forget()

    def forget(self) -> None:
        """Something was settled: all is to be worked out again when it is asked for."""
        self.alone: dict[int, Prospect] = {}
        self.together: dict[int, Prospect] = {}
        self.lessons: Lessons | None = None

    def note(self, action: Action) -> None:
        """An action was opened: its single steps can be expected something of from here on."""
        for step in action.parts or (action,):
            self.claims.setdefault(key_digest(step.key), step)

    def fly(self, action: Action, attempts: int) -> None:
        """An attempt was issued (1) or settled (-1): a merge in flight will tell of each of its parts."""
        for part in action.parts:
            step = key_digest(part.key)
            self.flying[step] = self.flying.get(step, 0) + attempts

    def prove(self, node: Node, gained_units: int) -> None:
        insort(self.proven, Merged(node.id, gained_units, _steps(node)))

    def fail(self, node: Node) -> None:
        """For the first time: its repairs are further attempts at the same merge."""
        insort(self.failed, Merged(node.id, 0, _steps(node)))


def expected_of(state: State, action: Action | Part) -> Prospect:
    """Of an action at any plan."""
    if isinstance(action, Action) and action.parts:
        step = step_digest(action)
        parts = merged([expected_of(state, part) for part in action.parts])
        prior = parts._replace(success=parts.success * pair_chance(state) ** pairs(len(action.parts)))
        return narrowed(revised(prior, state.credits.get(step), state.constants), _flying(state, step))
    step = key_digest(action.key)
    if step not in state.outlook.claims:
        return _untried(state, action)
    known = state.outlook.together.get(step)
    if known is None:
        known = state.outlook.together[step] = _with_merges(state, step)
    return narrowed(known, _flying(state, step) + state.outlook.flying.get(step, 0))


def _flying(state: State, step: int) -> int:
    credit = state.credits.get(step)
    return 0 if credit is None else credit.flying


def _alone(state: State, action: Action | Part, step: int) -> Prospect:
    """From the claim, the step's own results and those of its technique's other parameters."""
    kin = state.kin.get((action.technique, action.target))
    return prospect(action, state.credits.get(step), state.honesty.value(state.constants), state.constants, kin)


def _untried(state: State, action: Action | Part) -> Prospect:
    """From the claim and what was measured of its technique's other parameters, alone or in merges."""
    c, kind = state.constants, (action.technique, action.target)
    alone = state.kin.get(kind)
    passed, units = (0, 0) if alone is None else (alone.passed, alone.total_units)
    merged_only = _lessons(state).kin.get(kind, ())
    total = c.claim_weight * state.honesty.value(c) * action.gain_mean + c.kin_weight * (units * UNIT + math.fsum(merged_only))
    return Prospect(action.p_success, total / (c.claim_weight + c.kin_weight * (passed + len(merged_only))), action.gain_sd)


def _known_alone(state: State, step: int) -> Prospect:
    """The same step may be claimed differently at different plans; the claim counts that was made first."""
    outlook = state.outlook
    if step not in outlook.alone:
        outlook.alone[step] = _alone(state, outlook.claims[step], step)
    return outlook.alone[step]


def _with_merges(state: State, step: int) -> Prospect:
    alone, lessons = _known_alone(state, step), _lessons(state)
    success = _success_with_merges(state, alone, step)
    if step not in lessons.gains:
        return alone._replace(success=success)
    known = _known(state, step)
    # Each merge counts as half a measurement of what is left to be known: its other parts hide some of it.
    return Prospect(success, lessons.gains[step], alone.sd * math.sqrt(known / (known + 0.5 * lessons.passed[step])))


def _known(state: State, step: int) -> float:
    """Measurements of the step alone, its claim counted as one."""
    credit = state.credits.get(step)
    return state.constants.claim_weight + (0 if credit is None else credit.passed)


def _success_with_merges(state: State, alone: Prospect, step: int) -> float:
    credit, lessons = state.credits.get(step), _lessons(state)
    known = state.constants.success_weight + (0 if credit is None else credit.passed + credit.failed)
    passed, blamed = lessons.passed.get(step, 0), math.fsum(lessons.blamed.get(step, ()))
    return (known * alone.success + passed) / (known + passed + blamed)


def pairs(steps: int) -> int:
    return steps * (steps - 1) // 2


def pair_chance(state: State) -> float:
    """That two steps which pass alone pass together."""
    return _lessons(state).pair


def _lessons(state: State) -> Lessons:
    outlook = state.outlook
    if outlook.lessons is None:
        outlook.lessons = _drawn(state, outlook.proven[-MOST_MERGES:], outlook.failed[-MOST_MERGES:])
    return outlook.lessons


def _drawn(state: State, proven: list[Merged], failed: list[Merged]) -> Lessons:
    c = state.constants
    passed, blamed = dict[int, int](), dict[int, list[float]]()
    good, bad = c.pair_weight * c.pair_chance, [c.pair_weight * (1.0 - c.pair_chance)]
    for _, _, steps in proven:
        good += pairs(len(steps))
        for step in steps:
            passed[step] = passed.get(step, 0) + 1
    for _, _, steps in failed:
        doubts = [1.0 - _known_alone(state, step).success for step in steps]
        of_pairs = (1.0 - c.pair_chance) * pairs(len(steps))
        total = max(UNIT, math.fsum(doubts) + of_pairs)
        for step, doubt in zip(steps, doubts, strict=True):
            blamed.setdefault(step, []).append(doubt / total)
        bad.append(of_pairs / total)
    gains = _explaining(state, proven)
    return Lessons(gains, _kin(state, gains), passed, blamed, good / (good + math.fsum(bad)))


def _kin(state: State, gains: dict[int, float]) -> dict[tuple[str, str], list[float]]:
    found = dict[tuple[str, str], list[float]]()
    for step, gain in gains.items():
        claim, credit = state.outlook.claims[step], state.credits.get(step)
        if credit is None or not credit.passed:
            found.setdefault((claim.technique, claim.target), []).append(gain)
    return found


def _explaining(state: State, proven: list[Merged]) -> dict[int, float]:
    """Gains of single steps that explain the merges. Exactly rounded sums in a fixed order: the order of settling must not matter."""
    gains = {step: _known_alone(state, step).gain for step in sorted({step for merge in proven for step in merge.steps})}
    alone, merges_of = dict(gains), {step: [merge for merge in proven if step in merge.steps] for step in gains}
    for _ in range(SWEEPS):
        for step, merges in merges_of.items():
            known = _known(state, step)
            left = [merge.gained_units * UNIT - math.fsum(gains[other] for other in merge.steps if other != step) for merge in merges]
            gains[step] = (known * alone[step] + math.fsum(left)) / (known + len(merges))
    return gains


def _steps(node: Node) -> tuple[int, ...]:
    assert node.action is not None
    return tuple(key_digest(part.key) for part in node.action.parts)
