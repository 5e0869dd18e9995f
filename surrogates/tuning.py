"""Choosing the surrogate's budget from what was measured: every setting is replayed on known outcomes at equal evaluations.

A setting with m candidates for each measurement gets the same number of measurements as all others, but sees m times as
many candidates. A good forecaster turns that into a faster best; a poor one throws the best away. Which it is, here, is
what the replay shows. Outcomes are used with the forecast as it stood before they were known.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import fmean, stdev

from ksearch.surrogates.acquisition import (
    MOST_CANDIDATES,
    NO_HOPE,
    candidates_for_each,
    chance_of_better,
    kept_in_line,
    log_expected_improvement,
)
from ksearch.surrogates.calibration import Judged
from ksearch.surrogates.trust import Record

LEAST_OUTCOMES = 50
"""Fewer outcomes can't tell the settings apart: `tune` refuses, `auto` stays at CAUTIOUS."""

CAUTIOUS = 0.5
"""Budget of a trusted forecaster while outcomes are too few to tune: two candidates for each measurement."""

BUDGETS = (0.0, 0.25, 0.5, 0.65, 0.75, 0.8, 0.83)
HOPES = (0.0, NO_HOPE, 0.1)
AUDITS = (0.05, 0.1, 0.2)

REPLAYS = 64
"""Drawn streams for each setting; the standard error of a setting's regret is printed."""

SAME_REGRET = 0.005
"""Settings within half a percent are equal, and the smaller budget is taken: it measures more and is surprised less."""

GROWTH = 1.15
"""`auto` tunes again when the outcomes have grown by this factor."""


class TooFewOutcomes(ValueError):
    """Raised with the number there is and the number there should be."""


@dataclass(frozen=True, slots=True)
class Setting:
    """`budget` is the share that may go unmeasured, `hope` the P(better than the parent) below which a candidate is skipped."""

    budget: float
    hope: float = NO_HOPE
    audits: float = 0.1


@dataclass(frozen=True, slots=True)
class Replayed:
    """One setting's replay. `regret` is how much slower its best is than the best known (0.03: 3 %), mean over the streams;
    `missed` the share of streams in which it missed that best by more than the noise; `measured` and `considered` are means."""

    setting: Setting
    regret: float
    error: float
    missed: float
    measured: float
    considered: float


@dataclass(frozen=True, slots=True)
class Tuned:
    recommended: Replayed
    rows: tuple[Replayed, ...]
    outcomes: int
    audits: int
    """Outcomes that stand for others by inverse probability, of the run's filtered part."""


def usable(judged: Sequence[Judged]) -> list[Judged]:
    """Outcomes that were measured whatever their forecast: all of an unfiltered run, of others the audits."""
    return [one for one in judged if one.inclusion > 0.0]


def tune(judged: Sequence[Judged], *, sigma_noise: float, seed: int = 0, settings: Sequence[Setting] | None = None) -> Tuned:
    """Raises TooFewOutcomes below LEAST_OUTCOMES."""
    known = usable(judged)
    if len(known) < LEAST_OUTCOMES:
        raise TooFewOutcomes(
            f"{len(known)} outcomes that stand for all candidates; fewer than {LEAST_OUTCOMES} can't tell one setting from another"
        )
    streams = tuple(drawn_streams(known, seed))
    rows = tuple(replayed(setting, streams, sigma_noise) for setting in settings or grid())
    return Tuned(recommend(rows), rows, len(known), sum(one.inclusion < 1.0 for one in known))


def grid() -> tuple[Setting, ...]:
    """Budgets at the usual thresholds, then the thresholds one at a time at the middle budget."""
    usual = tuple(Setting(budget) for budget in BUDGETS)
    hopes = tuple(Setting(0.75, hope) for hope in HOPES if hope != NO_HOPE)
    return (*usual, *hopes, *(Setting(0.75, NO_HOPE, share) for share in AUDITS if share != 0.1))


def recommend(rows: Sequence[Replayed]) -> Replayed:
    """The smallest budget whose regret is within SAME_REGRET of the least."""
    least = min(row.regret for row in rows)
    close = [row for row in rows if row.regret <= least + SAME_REGRET]
    return min(close, key=lambda row: (row.setting.budget, row.regret))


def drawn_streams(known: Sequence[Judged], seed: int) -> Iterator[tuple[Judged, ...]]:
    """Orders in which the candidates might have come. Each stream draws as many outcomes as there are, in proportion to
    what each stands for (1 / inclusion), without repeats while all stand for themselves."""
    rng = random.Random(f"tune/{seed}")
    weights = [1.0 / one.inclusion for one in known]
    plain = min(weights) == max(weights)
    for _ in range(REPLAYS):
        yield tuple(rng.sample(known, len(known)) if plain else rng.choices(known, weights, k=len(known)))


def replayed(setting: Setting, streams: Sequence[Sequence[Judged]], sigma_noise: float) -> Replayed:
    regrets, missed, measured, considered = [], 0, [], []
    for number, stream in enumerate(streams):
        outcome = _Replay(setting, stream, random.Random(f"audits/{number}"))
        best = max((one.reward for one in stream if one.reward is not None), default=0.0)
        regrets.append(math.expm1(max(0.0, best - outcome.best)))
        missed += best - outcome.best > 2.0 * sigma_noise
        measured.append(outcome.measured)
        considered.append(outcome.considered)
    error = stdev(regrets) / math.sqrt(len(regrets)) if len(regrets) > 1 else math.nan
    return Replayed(setting, fmean(regrets), error, missed / len(streams), fmean(measured), fmean(considered))


class _Replay:
    """One stream under one setting: m more candidates in line, the best measured, the best of the others kept as a search keeps
    them, until the measurements are spent.

    Their number is the same for every setting: what the largest m leaves of the stream.
    """

    def __init__(self, setting: Setting, stream: Sequence[Judged], rng: random.Random) -> None:
        self.m = candidates_for_each(setting.budget)
        self.setting = setting
        self.spent_at = max(1, math.floor(len(stream) / MOST_CANDIDATES))
        self.measured, self.considered = 0, 0
        self.best = min(one.parent_reward for one in stream)
        due, line = 0.0, list[Judged]()
        source = iter(stream)
        while self.measured < self.spent_at:
            due += self.m
            fresh = [one for one, _ in zip(source, range(math.floor(due) - self.considered), strict=False)]
            if not fresh and not line:
                return
            self.considered += len(fresh)
            line = self._round(line, fresh, rng)

    def _round(self, line: Sequence[Judged], fresh: Sequence[Judged], rng: random.Random) -> list[Judged]:
        """Who stays in line after one of all is measured."""
        if self.m <= 1.0 or (fresh and rng.random() < self.setting.audits):
            audited = rng.choice(fresh)
            self._measure(audited)
            return self._ranked([*line, *(one for one in fresh if one is not audited)])[: kept_in_line(self.m, 1)]
        ranked = self._ranked([*line, *fresh])
        if ranked:
            self._measure(ranked.pop(0))
        return ranked[: kept_in_line(self.m, 1)]

    def _ranked(self, line: Sequence[Judged]) -> list[Judged]:
        """Who is worth measuring, the most expected improvement first."""
        hopeful = [one for one in line if chance_of_better(one.said, one.parent_reward) >= self.setting.hope]
        return sorted(hopeful, key=lambda one: (-log_expected_improvement(one.said, self.best), -one.said.mu))

    def _measure(self, one: Judged) -> None:
        self.measured += 1
        if one.reward is not None:
            self.best = max(self.best, one.reward)


def recommended_budget(record: Record) -> float:
    """What `auto` uses: CAUTIOUS until enough is known, then what tuning on the record recommends."""
    known = len(usable(record.judged))
    if known < LEAST_OUTCOMES:
        return CAUTIOUS
    step = math.floor(math.log(known / LEAST_OUTCOMES) / math.log(GROWTH))
    size = math.ceil(LEAST_OUTCOMES * GROWTH**step)
    return _tuned_budget(tuple(usable(record.judged)[: max(size, LEAST_OUTCOMES)]), record.sigma_noise)


@lru_cache(maxsize=64)
def _tuned_budget(known: tuple[Judged, ...], sigma_noise: float) -> float:
    return tune(known, sigma_noise=sigma_noise, settings=tuple(Setting(budget) for budget in BUDGETS)).recommended.setting.budget
