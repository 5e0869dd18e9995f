"""What earlier runs taught, kept apart by run: tallies of techniques and lessons, merged without counting anything twice.

A run's contribution replaces an earlier one of the same run, so a run read twice, or once while it went on and again at its end, counts
once. Tallies are sufficient statistics of the beliefs (`beliefs.py`): pooling those of several runs is the same as having learnt from all
their verdicts in one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ksearch.worldmodel.beliefs import UNKNOWN_MEAN, UNKNOWN_SD, gain
from ksearch.worldmodel.types import Belief, Evidence

MOST_TECHNIQUES, MOST_LESSONS = 12, 8
"""That a search is told of: what helps most stands first, and a prompt has room for little more."""


@dataclass(frozen=True, slots=True)
class Class:
    """What knowledge is about: the operator's class, the hardware ('sm_90', 'cpu'), and what binds there ('memory', 'compute', 'launch';
    empty where it isn't known)."""

    operator: str
    hardware: str
    bottleneck: str = ""


@dataclass(frozen=True, slots=True)
class Tally:
    """What one run measured of one technique: gains in nats of the plans that passed, and how many passed and failed."""

    technique: str
    gains: int = 0
    gain_sum: float = 0.0
    gain_sumsq: float = 0.0
    successes: int = 0
    failures: int = 0

    @property
    def tries(self) -> int:
        return self.successes + self.failures

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.technique, self.gains + other.gains, self.gain_sum + other.gain_sum, self.gain_sumsq + other.gain_sumsq,
            self.successes + other.successes, self.failures + other.failures,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one run taught. `identity` tells runs apart whatever they are called; `seq` is the last event that it rests on."""

    identity: str
    run: str
    seq: int
    definition: str
    about: Class
    judge: str
    tallies: tuple[Tally, ...] = ()
    lessons: tuple[str, ...] = ()
    forgotten: bool = False
    """The user wants no more of it."""
    generation: int = 0
    """How often it was taken up again after having been forgotten."""

    @property
    def rank(self) -> tuple[int, bool, int]:
        """Of what one run contributed, the greatest counts, in whatever order it is read."""
        return self.generation, self.forgotten, self.seq


@dataclass(frozen=True, slots=True)
class KnownTechnique:
    """A technique as earlier runs of the same class measured it, all together, and which runs did."""

    tally: Tally
    runs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KnownLesson:
    text: str
    run: str
    definition: str
    about: Class


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What a search is told at its start. Techniques with the most tries first, lessons of the nearest runs first."""

    techniques: tuple[KnownTechnique, ...] = ()
    lessons: tuple[KnownLesson, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.techniques or self.lessons)


def tallies_of(evidence: Iterable[Evidence]) -> tuple[Tally, ...]:
    """By technique; code that did not follow its plan teaches nothing."""
    found: dict[str, Tally] = {}
    for item in evidence:
        if item.followed:
            name = item.action.technique
            found[name] = found.get(name, Tally(name)) + _tally(item)
    return tuple(found[name] for name in sorted(found))


def _tally(item: Evidence) -> Tally:
    name = item.action.technique
    if not item.passed:
        return Tally(name, failures=1)
    return Tally(name, successes=1) if item.gain is None else Tally(name, 1, item.gain, item.gain**2, successes=1)


def latest(contributions: Iterable[Contribution]) -> Mapping[str, Contribution]:
    """One for each run: what rests on the most events. Forgetting outlasts whatever the run contributes later by itself."""
    found: dict[str, Contribution] = {}
    for one in contributions:
        known = found.get(one.identity)
        if known is None or one.rank >= known.rank:
            found[one.identity] = one
    return found


def recall(contributions: Iterable[Contribution], about: Class, definition: str, unless: str = "") -> Knowledge:
    """What runs of the same operator class and hardware measured, and the lessons of the nearest runs; none of the run `unless`."""
    runs = [one for one in latest(contributions).values() if not one.forgotten and one.identity != unless]
    same = [one for one in runs if (one.about.operator, one.about.hardware) == (about.operator, about.hardware)]
    return Knowledge(_techniques(same), _lessons(runs, about, definition))


def _techniques(runs: Sequence[Contribution]) -> tuple[KnownTechnique, ...]:
    found: dict[str, KnownTechnique] = {}
    for one in sorted(runs, key=lambda run: (run.run, run.identity)):
        for tally in one.tallies:
            known = found.get(tally.technique)
            new = KnownTechnique(tally, (one.run,)) if known is None else KnownTechnique(known.tally + tally, (*known.runs, one.run))
            found[tally.technique] = new
    ordered = sorted(found.values(), key=lambda known: (-known.tally.tries, known.tally.technique))
    return tuple(ordered[:MOST_TECHNIQUES])


def _lessons(runs: Sequence[Contribution], about: Class, definition: str) -> tuple[KnownLesson, ...]:
    """Of the same hardware, or the same operator elsewhere: other lessons would mislead."""
    near = [(distance, one) for one in runs if (distance := _distance(one, about, definition)) is not None]
    near.sort(key=lambda pair: (pair[0], pair[1].run, pair[1].identity))
    texts: dict[str, KnownLesson] = {}
    for _, one in near:
        for text in one.lessons:
            texts.setdefault(text, KnownLesson(text, one.run, one.definition, one.about))
    return tuple(texts.values())[:MOST_LESSONS]


def _distance(run: Contribution, about: Class, definition: str) -> int | None:
    """0: the same definition on the same hardware; None: too far to be of use."""
    hardware, operator = run.about.hardware == about.hardware, run.about.operator == about.operator
    if hardware and operator:
        return 0 if run.definition == definition else 1
    if hardware and about.bottleneck and run.about.bottleneck == about.bottleneck:
        return 2
    return 3 if operator else None


def priors(knowledge: Knowledge) -> tuple[Belief, ...]:
    """Beliefs to begin with: what earlier runs would predict of a technique's next gain, worth one measurement.

    Their verdicts themselves are not counted: another definition, or another kernel to start from, may answer differently.
    """
    return tuple(_prior(known.tally) for known in knowledge.techniques if known.tally.gains)


def _prior(tally: Tally) -> Belief:
    learnt = Belief(
        tally.technique, UNKNOWN_MEAN, UNKNOWN_SD, tally.gains, tally.gain_sum, tally.gain_sumsq, tally.successes, tally.failures
    )
    expected = gain(learnt)
    return Belief(tally.technique, prior_mean=expected.mean, prior_sd=expected.sd)
