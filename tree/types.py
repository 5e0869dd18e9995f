"""The words of the tree: actions, tickets, outcomes, and the changes that a tree is a fold of.

Everything here is an immutable fact. `tree.tree.Tree` is the only mutable object of this package and it changes by
`apply(change)` alone, so a stored list of changes rebuilds it exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NewType, TypeAlias

NodeId = NewType("NodeId", int)
TicketId = NewType("TicketId", int)

ROOT = NodeId(0)

REFINE = "refine"
"""Technique name of an action that tries a proven plan's code again rather than adding an idea."""

MERGE = "merge"
"""Technique name of an action that takes several steps at once, each of which gained where it was measured."""


@dataclass(frozen=True, slots=True)
class Part:
    """One of the steps that a merge takes at once, with the claim it would have alone."""

    technique: str
    target: str
    parameter: str
    gain_mean: float
    gain_sd: float
    p_success: float

    @property
    def key(self) -> str:
        return f"{self.technique}|{self.target}|{self.parameter}"


@dataclass(frozen=True, slots=True)
class Action:
    """One high-level optimization step.

    `gain_mean` and `gain_sd` describe the claimed natural-log speed-up over the parent, given that the step works;
    `p_success` is the claimed probability that a candidate written for it passes.
    """

    technique: str
    target: str
    parameter: str
    intent: str
    gain_mean: float
    gain_sd: float
    p_success: float
    difficulty: int
    rationale: str
    regime: str | None = None
    second_parent: NodeId | None = None
    leads_to: str | None = None
    """What the plan would stand for after this step, where the planner knows it beforehand (a playbook's configuration): plans
    that lead to the same are one plan, whatever steps they took. None: the steps alone tell."""
    parts: tuple[Part, ...] = ()
    """The steps that this one takes at once: a merge. Empty for a single step."""

    @property
    def key(self) -> str:
        """What makes two actions the same step: technique, target and parameter."""
        return f"{self.technique}|{self.target}|{self.parameter}"

    @property
    def steps(self) -> tuple[str, ...]:
        """Keys of the single steps it stands for: a merge is the same plan as its parts taken one by one."""
        return tuple(part.key for part in self.parts) or (self.key,)


Plan: TypeAlias = tuple[Action, ...]
"""The actions from the root to a node, in order."""

PlanKey: TypeAlias = frozenset[str]
"""Canonical identity of a plan: the set of its action keys, so that order doesn't matter."""


def plan_key(plan: Plan) -> PlanKey:
    return frozenset(step for action in plan for step in action.steps)


class WriteMode(StrEnum):
    FIRST = "first"
    REPAIR = "repair"
    REFINE = "refine"


@dataclass(frozen=True, slots=True)
class Write:
    """Write one candidate for the plan at `node`. `failed_stage` is the predecessor's, when this is a repair."""

    ticket: TicketId
    node: NodeId
    plan: Plan
    mode: WriteMode
    attempt: int
    failed_stage: str | None = None


@dataclass(frozen=True, slots=True)
class Propose:
    """Propose `count` new actions below the proven plan at `node`."""

    ticket: TicketId
    node: NodeId
    plan: Plan
    count: int


Ticket: TypeAlias = Write | Propose


@dataclass(frozen=True, slots=True)
class Measured:
    """A candidate passed. `reward` is ln(baseline time / candidate time), larger is better."""

    reward: float


@dataclass(frozen=True, slots=True)
class Failed:
    """A candidate was judged, or could not be written, and failed at `stage`."""

    stage: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """The acquisition rule chose not to measure the candidate."""

    reason: str


@dataclass(frozen=True, slots=True)
class Proposed:
    """A Propose ticket was answered with these actions (possibly none; the tree refuses known plans itself)."""

    actions: tuple[Action, ...]


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The ticket is withdrawn: all counts are restored."""

    reason: str


WriteOutcome: TypeAlias = Measured | Failed | Skipped | Cancelled
ProposeOutcome: TypeAlias = Proposed | Cancelled
Outcome: TypeAlias = Measured | Failed | Skipped | Proposed | Cancelled


@dataclass(frozen=True, slots=True)
class ArmOpened:
    """A queued proposal became a child of `parent`. Node identifiers count up from the root's 0."""

    node: NodeId
    parent: NodeId
    action: Action


@dataclass(frozen=True, slots=True)
class Issued:
    """A ticket was handed out. `why` is one line naming the terms that decided (shown by `explain`)."""

    ticket: Ticket
    why: str = ""


@dataclass(frozen=True, slots=True)
class Settled:
    """A ticket was settled with its outcome; counts are backed up along the path."""

    ticket: TicketId
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Refuted:
    """Plans that had passed an evaluation turned out wrong under the full judgement, at `stage`.

    The attempt of each counts as failed instead: it may be repaired, and what stands below it waits until it passes again.
    """

    nodes: tuple[NodeId, ...]
    stage: str


@dataclass(frozen=True, slots=True)
class Pinned:
    """The user wants the search at and below this node first, as long as something is legal there."""

    node: NodeId


@dataclass(frozen=True, slots=True)
class Unpinned:
    node: NodeId


@dataclass(frozen=True, slots=True)
class Banned:
    """The user wants no more of an idea: a technique, or one action by its key. What was measured with it stands."""

    idea: str


@dataclass(frozen=True, slots=True)
class Unbanned:
    idea: str


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What a trusted forecaster expects of the code that was written for a plan: a reward and its standard deviation, nats.

    Moves what the plan is thought to be worth before it is measured, and nothing else.
    """

    node: NodeId
    reward: float
    sigma: float


Change: TypeAlias = ArmOpened | Issued | Settled | Refuted | Pinned | Unpinned | Banned | Unbanned | Foreseen
"""Everything that can happen to a tree. A tree is a pure fold of its changes."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Answer of `Tree.ask`: the tickets, and the changes (already applied) that a log must keep, in order.

    `exhausted` is True when nothing is legal and nothing is in flight: no further ask can ever succeed.
    """

    tickets: tuple[Ticket, ...]
    changes: tuple[Change, ...]
    exhausted: bool
