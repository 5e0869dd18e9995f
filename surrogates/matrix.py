"""Samples as rows of numbers, in blocks of columns that the regression weighs apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ksearch.surrogates.features import extract, names_of
from ksearch.surrogates.types import Sample

Rows: TypeAlias = npt.NDArray[np.float64]

GENERAL = ("claim:", "diff:code:", "diff:compile:", "work:")
"""Features that mean the same on any definition; the rest is compared within one definition only."""

NOT_LEARNT = 3.0
"""Standard deviations at which a feature is clipped: a value far outside what was seen can't be extrapolated from."""


def place_of(sample: Sample) -> str:
    return f"{sample.definition}@{sample.device}"


@dataclass(frozen=True)
class Block:
    """Columns of one kind, standardised on the samples that were learnt from; scaled so that a row has a norm near 1."""

    names: tuple[str, ...]
    mean: Rows
    spread: Rows

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, float]]) -> Block:
        names = names_of(rows)
        table = _table(rows, names)
        return cls(names, table.mean(axis=0), table.std(axis=0))

    def encode(self, rows: Sequence[Mapping[str, float]]) -> Rows:
        if not self.names:
            return np.zeros((len(rows), 1))
        table = (_table(rows, self.names) - self.mean) / self.spread
        clipped: Rows = np.clip(table, -NOT_LEARNT, NOT_LEARNT) / np.sqrt(len(self.names))
        return clipped


def _table(rows: Sequence[Mapping[str, float]], names: Sequence[str]) -> Rows:
    return np.array([[row.get(name, 0.0) for name in names] for row in rows], dtype=float).reshape(len(rows), len(names))


@dataclass
class Encoder:
    """Columns: the place's number; general features; the last step's technique and key; all steps; code features.

    General features and techniques mean the same everywhere, the others are compared within one place only.
    """

    learnt: Sequence[Sample]
    places: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rows = [extract(sample) for sample in self.learnt]
        for sample in self.learnt:
            self.places.setdefault(place_of(sample), len(self.places))
        self.general = Block.of([_part(row, GENERAL, True) for row in rows])
        self.code = Block.of([_part(row, GENERAL, False) for row in rows])
        self.techniques = sorted({step.technique for sample in self.learnt for step in sample.steps[-1:]})
        self.last = sorted({key for sample in self.learnt for key in sample.plan[-1:]})
        self.steps = sorted({key for sample in self.learnt for key in sample.plan})

    def blocks(self) -> dict[str, tuple[int, int]]:
        """First and one past the last column of each block. Column 0 is the place."""
        sizes = {
            "general": max(1, len(self.general.names)), "techniques": len(self.techniques) + 1,
            "last": len(self.last) + 1, "steps": len(self.steps) + 1, "code": max(1, len(self.code.names)),
        }  # fmt: skip
        found, start = {}, 1
        for name, size in sizes.items():
            found[name] = (start, start + size)
            start += size
        return found

    def encode(self, samples: Sequence[Sample]) -> Rows:
        rows = [extract(sample) for sample in samples]
        places = np.array([[float(self.places.get(place_of(sample), -1))] for sample in samples])
        return np.hstack([
            places,
            self.general.encode([_part(row, GENERAL, True) for row in rows]),
            _indicators([[step.technique for step in sample.steps[-1:]] for sample in samples], self.techniques),
            _indicators([sample.plan[-1:] for sample in samples], self.last),
            _indicators([sample.plan for sample in samples], self.steps),
            self.code.encode([_part(row, GENERAL, False) for row in rows]),
        ])  # fmt: skip


def _part(row: Mapping[str, float], prefixes: tuple[str, ...], inside: bool) -> dict[str, float]:
    return {name: value for name, value in row.items() if name.startswith(prefixes) == inside}


def _indicators(members: Sequence[Sequence[str]], names: Sequence[str]) -> Rows:
    """A column for each name and a last one that counts what was never learnt from."""
    place = {name: index for index, name in enumerate(names)}
    table = np.zeros((len(members), len(names) + 1))
    for row, keys in zip(table, members, strict=True):
        for key in keys:
            row[place.get(key, len(names))] += 1.0
    return table
