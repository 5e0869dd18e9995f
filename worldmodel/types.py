"""What the search believes, what it learns from, and what it proposes. Imports the tree's words and nothing else."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from typing import Protocol

from ksearch.tree.types import Action, NodeId, Plan, PlanKey


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
    banned: frozenset[str] = frozenset()
    """Techniques and action keys that the user wants no more of; the tree refuses them too."""
    known_outcomes: Container[str] = ()


class Planner(Protocol):
    """Proposes actions. May be slow (a model call); called off the main thread."""

    @property
    def name(self) -> str: ...

    def propose(self, request: ProposeRequest) -> tuple[Proposal, ...]: ...
