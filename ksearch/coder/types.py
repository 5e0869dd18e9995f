"""From plan to candidate: what a coder is asked and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from ksearch.definitions.schema import Definition, Language, Solution
from ksearch.judge.verdict import Verdict
from ksearch.tree.types import Plan, WriteMode
from ksearch.worldmodel.oracle import Turn
from ksearch.worldmodel.types import SearchView


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
    """Write `plan` for `definition`. `previous` and `verdict` are the failed predecessor's, in a repair.

    For coders that ask a model: what the call is booked on, why the last attempt gave no code at all (`trouble`), the search as seen
    from the plan's node, and the kernel to start from with its measurements as text (`material`).
    """

    definition: Definition
    target: Target
    plan: Plan
    mode: WriteMode
    attempt: int
    parent: Solution | None = None
    previous: Solution | None = None
    verdict: Verdict | None = None
    ticket: int | None = None
    node: int | None = None
    trouble: str | None = None
    view: SearchView | None = None
    material: str = ""
    workloads: Mapping[str, str] = field(default_factory=dict)
    """What each workload is, by UUID, in a few words."""
    last: Verdict | None = None
    """What the judge said of the run's last candidate, for a coder that holds a conversation; `turns` is that conversation."""
    turns: tuple[Turn, ...] = ()
    merged: str = ""
    """A kernel of another branch, as text, whose gains the plan's last step brings in."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A candidate's code, and where it came from.

    `followed` is False when the code does not do what the plan says: it does what `did` says, and the plan's last step gets no credit.
    `tunables` are constants of the code worth other values: (file, name, value).
    """

    solution: Solution
    origin: str
    followed: bool = True
    did: str = ""
    tunables: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class NothingToWrite:
    """The coder has no (further) code for this plan; `reason` is shown to the user."""

    reason: str


class Coder(Protocol):
    """Writes candidates. May be slow (a model call); called off the main thread."""

    @property
    def name(self) -> str: ...

    def write(self, request: WriteRequest) -> Draft | NothingToWrite: ...
