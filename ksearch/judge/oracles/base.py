"""What an oracle promises."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ksearch.judge.verdict import Status


@dataclass(frozen=True, slots=True)
class Problem:
    """Why outputs are wrong: in numbers, at which element."""

    message: str
    element: str | None = None
    status: Status = Status.INCORRECT_NUMERICAL


@dataclass(frozen=True, slots=True)
class Errors:
    """Largest errors of outputs that passed; None where the operator has no such measure."""

    max_abs: float | None = None
    max_rel: float | None = None


@dataclass(frozen=True, slots=True)
class Expectation:
    """What an oracle worked out from one set of inputs. Only its oracle reads it; it never leaves the judge."""

    inputs: tuple[Any, ...]
    content: Any


class DefinitionRefused(Exception):
    """The definition can't be judged: its reference gives NaN, or its oracle would let nonsense pass."""


Draw = Callable[[int], tuple[Any, ...]]
"""Inputs of a workload from a seed."""


class Oracle(Protocol):
    exact: bool
    """Whether equal inputs must give equal answers (so that an element which differs between runs is an error)."""

    def expect(self, workload: str, inputs: tuple[Any, ...], draw: Draw | None = None) -> Expectation:
        """`draw` gives inputs of the same workload to learn tolerances from. Raises DefinitionRefused or ReferenceFailed."""
        ...

    def check(self, expectation: Expectation, outputs: Sequence[Any]) -> Problem | Errors: ...

    def refuse_nonsense(self, expectation: Expectation) -> None:
        """Raises DefinitionRefused when an all-zero, constant or rescaled output would pass."""
        ...
