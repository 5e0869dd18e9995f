"""What the search believes, what it learns from, and what it proposes. Imports the tree's words and nothing else."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from ksearch.tree.node import Refusal
from ksearch.tree.types import Action, NodeId, Plan, PlanKey
from ksearch.tree.views import ArmOutcome, StepOutlook
from ksearch.worldmodel.claims import ClaimScores
from ksearch.worldmodel.document import Document, Edit


@dataclass(frozen=True, slots=True)
class Evidence:
    """One settled write, as the world model learns from it.

    `gain` is y = M_own(node) - M_own(parent), the measured natural-log gain of the plan's last step; None unless the
    candidate passed and both sides are measured. `followed` is False when the code did not do what the plan said: it then credits
    nothing.
    """

    node: NodeId
    action: Action
    passed: bool
    gain: float | None
    failed_stage: str | None = None
    followed: bool = True


@dataclass(frozen=True, slots=True)
class Belief:
    """What is believed of one technique: a normal gain with unknown mean and variance, and a Beta success rate.

    Prior mean and pseudo-count, then the running sums of measured gains; `successes` and `failures` start at the
    Beta(1, 1) prior's own 0 and 0.
    """

    technique: str
    prior_mean: float
    prior_sd: float
    gains: int = 0
    gain_sum: float = 0.0
    gain_sumsq: float = 0.0
    successes: int = 0
    failures: int = 0


@dataclass(frozen=True, slots=True)
class Proposal:
    """An action put forward, with who put it forward."""

    action: Action
    origin: str


@dataclass(frozen=True, slots=True)
class Stretch:
    """One step of a path: the action, the node it leads to, and its measured gain over its parent (nats; None unless known)."""

    node: NodeId
    action: Action
    gain: float | None


@dataclass(frozen=True, slots=True)
class SearchView:
    """The search as seen from one node, for whoever plans or writes there. Rewards are ln(baseline / candidate), nats.

    `path` leads from the root to the node, `best_path` to the incumbent. `arms` are the node's own children, `siblings` those beside
    it, `elsewhere` the outcomes of other plans worth knowing, best first. `remarks` gives, for some nodes, what the judge said.
    `material` is the node's kernel with its measurements, as text.
    """

    node: NodeId
    path: tuple[Stretch, ...]
    best_path: tuple[Stretch, ...]
    arms: tuple[ArmOutcome, ...]
    siblings: tuple[ArmOutcome, ...]
    elsewhere: tuple[ArmOutcome, ...]
    queued: tuple[Action, ...]
    inherited: tuple[Action, ...]
    """Untried proposals at the parent of a node where nothing was ever proposed; else empty."""
    refused: tuple[Refusal, ...]
    reward: float | None
    best_reward: float
    root_reward: float
    honesty: float
    document: Document
    beliefs: tuple[Belief, ...] = ()
    scores: ClaimScores | None = None
    remarks: Mapping[NodeId, str] = field(default_factory=dict)
    material: str = ""
    refused_edits: tuple[str, ...] = ()
    tunables: tuple[tuple[str, str, str], ...] = ()
    """Constants that the author of this node's kernel declared worth other values: file, name, value."""
    may_merge: bool = True
    evaluations: int = 0
    """Answered so far."""
    most_evaluations: int | None = None
    """The run's limit of them."""
    together: int = 1
    """Candidates that are measured at about the same time."""
    knowledge: str = ""
    """What earlier runs taught, as text."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A planner's whole answer. `edits` are proposed changes of the document, `trouble` says why there are no proposals."""

    proposals: tuple[Proposal, ...]
    edits: tuple[Edit, ...] = ()
    trouble: str | None = None


def proposals_of(answer: tuple[Proposal, ...] | Planned) -> tuple[Proposal, ...]:
    """Of a planner that may also edit the document, or of one that only proposes."""
    return answer.proposals if isinstance(answer, Planned) else answer


@dataclass(frozen=True, slots=True)
class ProposeRequest:
    """Everything a planner may look at when asked for `count` actions below `plan`.

    `known_plans` are the canonical keys standing anywhere in the tree (queued proposals included): proposing one of
    them again is wasted, the tree refuses it. `known_outcomes` are what known plans were said to lead to (`Action.leads_to`).
    """

    node: NodeId
    plan: Plan
    count: int
    known_plans: Container[PlanKey]
    beliefs: tuple[Belief, ...] = ()
    ticket: int | None = None
    view: SearchView | None = None
    """None where no planner wants it."""
    banned: frozenset[str] = frozenset()
    """Techniques and action keys that the user wants no more of; the tree refuses them too."""
    known_outcomes: Container[str] = ()
    outlooks: tuple[StepOutlook, ...] = ()
    """What is expected of each single step that was tried anywhere, the greatest gain first."""
    honesty: float = 1.0
    """How far claims of gains came true, 0 to 1: what is expected of a step never tried is that share of its claim."""
    pair_chance: float = 1.0
    """That two steps which pass alone pass together."""
    may_merge: bool = True


class Planner(Protocol):
    """Proposes actions. May be slow (a model call); called off the main thread."""

    @property
    def name(self) -> str: ...

    def propose(self, request: ProposeRequest) -> tuple[Proposal, ...] | Planned:
        """Proposals alone, or with edits of the document."""
        ...
