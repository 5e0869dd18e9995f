"""Samples as rows of numbers: the features of codes, and which steps are the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ksearch.surrogates.features import code_features, compile_features
from ksearch.surrogates.types import Compiled, Sample

Array: TypeAlias = npt.NDArray[np.float64]
Pairs: TypeAlias = npt.NDArray[np.int64]
Row: TypeAlias = Mapping[str, float]
Code: TypeAlias = tuple[str, ...]
"""A code's sources, comment-stripped: files that differ in comments are one code."""

FAR = 4.0
"""Standard deviations at which a feature is clipped: a value far outside what was seen can't be extrapolated from."""

SAME_COLUMN = 1.0 - 1e-6
"""Correlation from which two features are one: templates change several counts in step."""

NEW = 1.0
"""Most that one feature adds to a code's novelty: its unit isn't known, only that it never varied."""


@dataclass(frozen=True)
class Columns:
    """The features that vary over the rows learnt from, standardised; `fixed` are those that don't, with their value, `seen` all."""

    names: tuple[str, ...]
    mean: Array
    spread: Array
    fixed: Row
    seen: frozenset[str]

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Columns:
        names = tuple(sorted({name for row in rows for name in row}))
        table = _table(rows, names)
        mean, spread = table.mean(axis=0), table.std(axis=0)
        kept = _distinct((table - mean) / np.maximum(spread, 1e-9), spread > 1e-9)
        fixed = {name: float(value) for name, value, sd in zip(names, mean, spread, strict=True) if sd <= 1e-9}
        return cls(tuple(names[index] for index in kept), mean[kept], spread[kept], fixed, frozenset(names))

    def encode(self, rows: Sequence[Row]) -> Array:
        table: Array = np.clip((_table(rows, self.names) - self.mean) / self.spread, -FAR, FAR)
        return table

    def novelty(self, rows: Sequence[Row]) -> Array:
        """Squared distance of each row from the learnt ones in features that never varied among them, or were never there."""
        return np.array([sum(self._new(name, value) for name, value in row.items()) for row in rows], dtype=float)

    def _new(self, name: str, value: float) -> float:
        varied = name in self.seen and name not in self.fixed
        return 0.0 if varied else min(NEW, (value - self.fixed.get(name, 0.0)) ** 2)


def _table(rows: Sequence[Row], names: Sequence[str]) -> Array:
    return np.array([[row.get(name, 0.0) for name in names] for row in rows], dtype=float).reshape(len(rows), len(names))


def _distinct(standardised: Array, varying: npt.NDArray[np.bool_]) -> list[int]:
    """The first of each group of columns that say the same."""
    alike = np.abs(standardised.T @ standardised) / max(len(standardised), 1) > SAME_COLUMN
    kept: list[int] = []
    for index in np.flatnonzero(varying):
        if not alike[index, kept].any():
            kept.append(int(index))
    return kept


class Encoder:
    """Made from the samples of one definition and device that are learnt from; encodes any others the same way."""

    def __init__(self, learnt: Sequence[Sample]) -> None:
        self.places: dict[Code, int] = {}
        self.rows: list[Row] = []
        for code in (*(sample.sources for sample in learnt), *(parent_of(sample) for sample in learnt)):
            if code not in self.places:
                self.places[code] = len(self.rows)
                self.rows.append(dict(code_features(code)))
        self.columns = Columns.of(self.rows)
        self.codes = self.columns.encode(self.rows)
        self.techniques = _numbers(name for sample in learnt for name in techniques_of(sample))
        self.steps = _numbers(key for sample in learnt for key in sample.plan)
        self.reports = _columns([sample.compiled for sample in learnt])
        self.parents = _columns([sample.parent_compiled for sample in learnt])

    def pairs(self, samples: Sequence[Sample]) -> Pairs:
        """Places of each sample's code and its parent's among the learnt codes."""
        return np.array([[self.places[sample.sources], self.places[parent_of(sample)]] for sample in samples]).reshape(-1, 2)

    def asked(self, samples: Sequence[Sample]) -> Asked:
        """The codes that some samples are about, learnt or not, in a table of their own."""
        codes = list(dict.fromkeys([*(sample.sources for sample in samples), *(parent_of(sample) for sample in samples)]))
        place = {code: index for index, code in enumerate(codes)}
        rows = [dict(code_features(code)) for code in codes]
        known = np.array([self.places.get(code, -1) for code in codes])
        pairs = np.array([[place[sample.sources], place[parent_of(sample)]] for sample in samples]).reshape(-1, 2)
        return Asked(self.columns.encode(rows), self.columns.novelty(rows), known, pairs)

    def parts(self, a: Sequence[Sample], b: Sequence[Sample]) -> list[Array]:
        """How much two gains share beside their codes: steps that were taken, their techniques. A merge takes several, and the
        effects of its parts add up."""
        steps = [_counts([sample.last_keys for sample in group], self.steps) for group in (a, b)]
        techniques = [_counts([techniques_of(sample) for sample in group], self.techniques) for group in (a, b)]
        return [steps[0] @ steps[1].T, techniques[0] @ techniques[1].T]

    def own(self, samples: Sequence[Sample]) -> list[Array]:
        """The parts' own variances. A step that was never taken has one, too."""
        return [np.array([_squares(keys(sample)) for sample in samples]) for keys in (lambda one: one.last_keys, techniques_of)]

    def flat(self, samples: Sequence[Sample], *, reports: bool) -> Array:
        """All that may tell failures apart, in one matrix; of the parents' compile reports, and of the candidates' own if asked for,
        what every learnt sample's had."""
        rows = [dict(code_features(sample.sources)) for sample in samples]
        steps = np.minimum(_counts([sample.plan for sample in samples], self.steps), 1.0)
        parents = self.parents.encode(_known([sample.parent_compiled for sample in samples], self.parents))
        parts = [self.columns.encode(rows), steps, parents]
        if reports:
            parts.append(self.reports.encode(_known([sample.compiled for sample in samples], self.reports)))
        return np.hstack(parts)


@dataclass(frozen=True)
class Asked:
    """See Process.predict."""

    codes: Array
    novelty: Array
    known: Pairs
    pairs: Pairs


def _columns(reports: Sequence[Compiled | None]) -> Columns:
    """None unless everyone has a report."""
    everyone = all(report is not None for report in reports)
    return Columns.of([dict(compile_features(report)) if everyone else {} for report in reports])


def _known(reports: Sequence[Compiled | None], columns: Columns) -> list[Row]:
    """A missing number counts as the usual one."""
    usual = dict(zip(columns.names, map(float, columns.mean), strict=True))
    return [usual | dict(compile_features(report)) for report in reports]


def parent_of(sample: Sample) -> Code:
    return sample.parent_sources or sample.sources


def techniques_of(sample: Sample) -> tuple[str, ...]:
    """Of the steps between the parent and the candidate."""
    return tuple(step.technique for step in sample.last_steps)


def _numbers(keys: Iterable[str]) -> dict[str, int]:
    return {key: index for index, key in enumerate(sorted(set(keys)))}


def _counts(members: Sequence[Sequence[str]], place: Mapping[str, int]) -> Array:
    """How often each known key stands in each row."""
    table = np.zeros((len(members), max(1, len(place))))
    for row, keys in zip(table, members, strict=True):
        for key in keys:
            if key in place:
                row[place[key]] += 1.0
    return table


def _squares(keys: Sequence[str]) -> float:
    return float(sum(count**2 for count in Counter(keys).values()))
