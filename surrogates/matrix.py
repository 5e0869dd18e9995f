"""Samples as rows of numbers: the features of codes, and which steps are the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ksearch.surrogates.features import code_features, compile_features
from ksearch.surrogates.types import Sample

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
        self.techniques = _numbers(technique_of(sample) for sample in learnt)
        self.last = _numbers(last_of(sample) for sample in learnt)
        self.steps = _numbers(key for sample in learnt for key in sample.plan)
        reported = all(sample.compiled is not None for sample in learnt)
        self.reports = Columns.of([dict(compile_features(sample.compiled)) if reported else {} for sample in learnt])

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
        """What two gains share beside their codes: the step, its technique."""
        return [_same(self._numbered(a, kind), self._numbered(b, kind)) for kind in ("last", "techniques")]

    def _numbered(self, samples: Sequence[Sample], kind: str) -> Array:
        known, key = (self.last, last_of) if kind == "last" else (self.techniques, technique_of)
        return np.array([known.get(key(sample), -1) for sample in samples], dtype=float)

    def flat(self, samples: Sequence[Sample]) -> Array:
        """All that may tell failures apart, in one matrix; of compile reports what every learnt sample's had."""
        rows = [dict(code_features(sample.sources)) for sample in samples]
        steps = _indicators([sample.plan for sample in samples], self.steps)
        return np.hstack([self.columns.encode(rows), steps, self.reports.encode(_reports(samples, self.reports))])


@dataclass(frozen=True)
class Asked:
    """See Process.predict."""

    codes: Array
    novelty: Array
    known: Pairs
    pairs: Pairs


def _reports(samples: Sequence[Sample], columns: Columns) -> list[Row]:
    """A missing number counts as the usual one."""
    usual = dict(zip(columns.names, map(float, columns.mean), strict=True))
    return [usual | dict(compile_features(sample.compiled)) for sample in samples]


def parent_of(sample: Sample) -> Code:
    return sample.parent_sources or sample.sources


def last_of(sample: Sample) -> str:
    return sample.plan[-1] if sample.plan else ""


def technique_of(sample: Sample) -> str:
    return sample.steps[-1].technique if sample.steps else ""


def _numbers(keys: object) -> dict[str, int]:
    return {key: index for index, key in enumerate(sorted(set(keys)))}  # type: ignore[call-overload]


def _same(a: Array, b: Array) -> Array:
    """1 where both are the same known thing."""
    return np.asarray((a[:, None] == b[None, :]) & (a[:, None] >= 0), dtype=float)


def _indicators(members: Sequence[Sequence[str]], place: Mapping[str, int]) -> Array:
    table = np.zeros((len(members), max(1, len(place))))
    for row, keys in zip(table, members, strict=True):
        for key in keys:
            if key in place:
                row[place[key]] = 1.0
    return table
