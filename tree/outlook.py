"""What the next attempt at each step is expected to bring, from all that was measured: of the step alone, and of merges with it.

A merge measures the sum of its parts. What it brought beyond what was expected of them is shared out by how little was known of
each (the update of jointly normal summands by their sum), and counts as that share of a measurement of the part. A merge that
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

MOST_MERGES = 64
"""Proven merges that are looked at, the latest first: enough for a catalogue, and a bound on what a choice costs."""


class Surprise(NamedTuple):
    """What a merge brought beyond what was expected of its parts, and the variance expected of their sum; nats and nats squared."""

    gain: float
    variance: float


class Merged(NamedTuple):
    """A merge's plan, what it gained over the plan it was taken at (fixed-point units), and the digests of its parts."""

    node: int
    gained_units: int
    steps: tuple[int, ...]


class Lessons(NamedTuple):
    """What merges taught: surprises by step; by step how often it passed in one, and its share of the blame for those that failed;
    and the chance that a pair of steps goes together."""

    surprises: dict[int, list[Surprise]]
    passed: dict[int, int]
    blamed: dict[int, list[float]]
    pair: float


class Outlook:
    """Expectations of steps, kept until something is settled. `claims` holds each single step that was opened or merged."""

    __slots__ = ("alone", "claims", "failed", "lessons", "proven", "together")

    def __init__(self) -> None:
        self.claims: dict[int, Action | Part] = {}
        self.proven: list[Merged] = []
        self.failed: list[Merged] = []
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
        return narrowed(revised(prior, state.credits.get(step), state.constants), state.credits.get(step))
    step = key_digest(action.key)
    if step not in state.outlook.claims:
        return _alone(state, action, step)
    known = state.outlook.together.get(step)
    if known is None:
        known = state.outlook.together[step] = _with_merges(state, step)
    return narrowed(known, state.credits.get(step))


def _alone(state: State, action: Action | Part, step: int) -> Prospect:
    """From the claim, the step's own results and those of its technique's other parameters."""
    kin = state.kin.get((action.technique, action.target))
    return prospect(action, state.credits.get(step), state.honesty.value(state.constants), state.constants, kin)


def _known_alone(state: State, step: int) -> Prospect:
    """The same step may be claimed differently at different plans; the claim counts that was made first."""
    outlook = state.outlook
    if step not in outlook.alone:
        outlook.alone[step] = _alone(state, outlook.claims[step], step)
    return outlook.alone[step]


def _with_merges(state: State, step: int) -> Prospect:
    alone, lessons = _known_alone(state, step), _lessons(state)
    success = _success_with_merges(state, alone, step)
    surprises = lessons.surprises.get(step)
    if not surprises:
        return alone._replace(success=success)
    credit = state.credits.get(step)
    known = state.constants.claim_weight + (0 if credit is None else credit.passed)
    shares = [alone.sd**2 / surprise.variance for surprise in surprises]
    # Exactly rounded sums: the order in which merges were settled must not matter.
    moved = math.fsum(share * surprise.gain for share, surprise in zip(shares, surprises, strict=True))
    weight = known + math.fsum(shares)
    return Prospect(success, alone.gain + moved / weight, alone.sd * math.sqrt(known / weight))


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
    surprises, passed, blamed = dict[int, list[Surprise]](), dict[int, int](), dict[int, list[float]]()
    good, bad = c.pair_weight * c.pair_chance, [c.pair_weight * (1.0 - c.pair_chance)]
    for _, gained_units, steps in proven:
        good += pairs(len(steps))
        expected = merged([_known_alone(state, step) for step in steps])
        surprise = Surprise(gained_units * UNIT - expected.gain, max(UNIT, expected.sd**2))
        for step in steps:
            surprises.setdefault(step, []).append(surprise)
            passed[step] = passed.get(step, 0) + 1
    for _, _, steps in failed:
        doubts = [1.0 - _known_alone(state, step).success for step in steps]
        of_pairs = (1.0 - c.pair_chance) * pairs(len(steps))
        total = max(UNIT, math.fsum(doubts) + of_pairs)
        for step, doubt in zip(steps, doubts, strict=True):
            blamed.setdefault(step, []).append(doubt / total)
        bad.append(of_pairs / total)
    return Lessons(surprises, passed, blamed, good / (good + math.fsum(bad)))


def _steps(node: Node) -> tuple[int, ...]:
    assert node.action is not None
    return tuple(key_digest(part.key) for part in node.action.parts)
