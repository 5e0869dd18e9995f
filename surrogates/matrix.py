"""Samples as rows of numbers, and how alike two samples are in each respect that the regression weighs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ksearch.surrogates.features import code_features, extract, names_of
from ksearch.surrogates.types import Sample

Array: TypeAlias = npt.NDArray[np.float64]
Row: TypeAlias = Mapping[str, float]

ANYWHERE = ("claim:", "diff:code:", "work:")
"""Features that mean the same on any definition."""

FAR = 3.0
"""Standard deviations at which a feature is clipped: a value far outside what was seen can't be extrapolated from."""

NEAR, WIDE = 0.5, 2.0
"""Lengths of the two radial parts, in median distances between samples."""


@dataclass(frozen=True)
class Block:
    """Columns of one kind, standardised on the samples that were learnt from; scaled so that a row has a norm near 1."""

    names: tuple[str, ...]
    mean: Array
    spread: Array

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Block:
        names = names_of(rows)
        table = _table(rows, names)
        return cls(names, table.mean(axis=0), table.std(axis=0))

    def encode(self, rows: Sequence[Row]) -> Array:
        if not self.names:
            return np.zeros((len(rows), 1))
        table = (_table(rows, self.names) - self.mean) / np.maximum(self.spread, 1e-9)
        clipped: Array = np.clip(table, -FAR, FAR) / np.sqrt(len(self.names))
        return clipped


def _table(rows: Sequence[Row], names: Sequence[str]) -> Array:
    return np.array([[row.get(name, 0.0) for name in names] for row in rows], dtype=float).reshape(len(rows), len(names))


@dataclass(frozen=True)
class Table:
    """Encoded samples: everything that the kernel's parts compare."""

    place: Array
    technique: Array
    last: Array
    anywhere: Array
    code: Array
    parent: Array
    level: Array
    steps: Array

    def __len__(self) -> int:
        return len(self.place)

    def rows(self, index: Sequence[int]) -> Table:
        return Table(*(getattr(self, name)[list(index)] for name in self.__dataclass_fields__))


class Encoder:
    """Made from the samples that are learnt from; encodes any others the same way."""

    def __init__(self, learnt: Sequence[Sample]) -> None:
        rows = [extract(sample) for sample in learnt]
        self.anywhere = Block.of([_part(row, inside=True) for row in rows])
        self.code = Block.of([_code(sample.sources) for sample in learnt])
        self.places = _numbers(place_of(sample) for sample in learnt)
        self.techniques = _numbers(_last_technique(sample) for sample in learnt)
        self.last = _numbers(_last_key(sample) for sample in learnt)
        self.steps = _numbers(key for sample in learnt for key in sample.plan)
        code = self.code.encode([_code(sample.sources) for sample in learnt])
        distances = np.sqrt(_squared_distances(code, code))
        self.length = float(np.median(distances[distances > 0])) if (distances > 0).any() else 1.0

    def encode(self, samples: Sequence[Sample]) -> Table:
        rows = [extract(sample) for sample in samples]
        return Table(
            place=np.array([self.places.get(place_of(sample), -1) for sample in samples], dtype=float),
            technique=np.array([self.techniques.get(_last_technique(sample), -1) for sample in samples], dtype=float),
            last=np.array([self.last.get(_last_key(sample), -1) for sample in samples], dtype=float),
            anywhere=self.anywhere.encode([_part(row, inside=True) for row in rows]),
            code=self.code.encode([_code(sample.sources) for sample in samples]),
            parent=self.code.encode([_code(sample.parent_sources or sample.sources) for sample in samples]),
            level=np.array([sample.parent_reward or 0.0 for sample in samples]),
            steps=_indicators([sample.plan for sample in samples], self.steps),
        )

    def parts(self, a: Table, b: Table) -> list[Array]:
        """The kernel's parts between two tables, each len(a) x len(b).

        Anywhere: features that carry over, and the last step's technique. Here, within one definition and device: the last
        step itself; the same in similar code; the change of code as a difference of two values, near and wide; and how much
        is left to gain at the parent's level.
        """
        here = _same(a.place, b.place)
        last = here * _same(a.last, b.last)
        near, wide = (self._difference(a, b, share * self.length) for share in (NEAR, WIDE))
        alike = _radial(a.parent, b.parent, self.length)
        level = np.exp(-0.5 * (a.level[:, None] - b.level[None, :]) ** 2 / 0.25)
        return [a.anywhere @ b.anywhere.T, _same(a.technique, b.technique), last, last * alike, here * near, here * wide, here * level]

    def own(self, a: Table) -> list[Array]:
        """The diagonals of `parts(a, a)`."""
        one = np.ones(len(a))
        near, wide = (2.0 - 2.0 * _paired(a.code, a.parent, share * self.length) for share in (NEAR, WIDE))
        return [np.einsum("ij,ij->i", a.anywhere, a.anywhere), one, one, one, near, wide, one]

    def _difference(self, a: Table, b: Table, length: float) -> Array:
        """Covariance of f(code) - f(parent) for a smooth f."""
        whole = _radial(a.code, b.code, length) + _radial(a.parent, b.parent, length)
        return whole - _radial(a.code, b.parent, length) - _radial(a.parent, b.code, length)

    def flat(self, table: Table) -> Array:
        """All that may tell failures apart, in one matrix."""
        last = _one_hot(table.last, len(self.last))
        return np.hstack([table.anywhere, table.code, table.steps, last])


def place_of(sample: Sample) -> str:
    return f"{sample.definition}@{sample.device}"


def _last_key(sample: Sample) -> str:
    return sample.plan[-1] if sample.plan else ""


def _last_technique(sample: Sample) -> str:
    return sample.steps[-1].technique if sample.steps else ""


def _code(sources: tuple[str, ...]) -> Row:
    return dict(code_features(sources))


def _part(row: Row, *, inside: bool) -> dict[str, float]:
    return {name: value for name, value in row.items() if name.startswith(ANYWHERE) == inside}


def _numbers(keys: object) -> dict[str, int]:
    return {key: index for index, key in enumerate(sorted(set(keys)))}  # type: ignore[call-overload]


def _same(a: Array, b: Array) -> Array:
    """1 where both are the same known thing."""
    return np.asarray((a[:, None] == b[None, :]) & (a[:, None] >= 0), dtype=float)


def _one_hot(numbers: Array, count: int) -> Array:
    return np.asarray(numbers[:, None] == np.arange(count)[None, :], dtype=float)


def _indicators(members: Sequence[Sequence[str]], place: Mapping[str, int]) -> Array:
    table = np.zeros((len(members), max(1, len(place))))
    for row, keys in zip(table, members, strict=True):
        for key in keys:
            if key in place:
                row[place[key]] = 1.0
    return table


def _squared_distances(a: Array, b: Array) -> Array:
    squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None, :] - 2.0 * a @ b.T
    return np.asarray(np.maximum(squares, 0.0))


def _radial(a: Array, b: Array, length: float) -> Array:
    radial: Array = np.exp(-0.5 * _squared_distances(a, b) / length**2)
    return radial


def _paired(a: Array, b: Array, length: float) -> Array:
    paired: Array = np.exp(-0.5 * ((a - b) ** 2).sum(axis=1) / length**2)
    return paired
