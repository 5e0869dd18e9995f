"""From plan to candidate: what a coder is asked and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ksearch.definitions.schema import Definition, Language, Solution
from ksearch.judge.verdict import Verdict
from ksearch.tree.types import Plan, WriteMode


@dataclass(frozen=True, slots=True)
class Target:
    """What code is written for: `device` 'cpu' or 'cuda', its architecture ('sm_90', 'sm_100'; None on cpu), and the
    languages allowed, in order of preference."""

    device: str
    arch: str | None
    languages: tuple[Language, ...]
    threads: int = 1


@dataclass(frozen=True, slots=True)
class WriteRequest:
    """Write `plan` for `definition`. `previous` and `verdict` are the failed predecessor's, in a repair."""

    definition: Definition
    target: Target
    plan: Plan
    mode: WriteMode
    attempt: int
    parent: Solution | None = None
    previous: Solution | None = None
    verdict: Verdict | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """A candidate's code, and where it came from."""

    solution: Solution
    origin: str


@dataclass(frozen=True, slots=True)
class NothingToWrite:
    """The coder has no (further) code for this plan; `reason` is shown to the user."""

    reason: str


class Coder(Protocol):
    """Writes candidates. May be slow (a model call); called off the main thread."""

    @property
    def name(self) -> str: ...

    def write(self, request: WriteRequest) -> Draft | NothingToWrite: ...
