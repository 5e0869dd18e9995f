"""What a policy is, and the steps it may take.

A policy takes one step at a time and alters nothing: `Tree.ask` applies each step as a change before asking for the next.
A policy holds no state of its own, so a tree rebuilt from its log decides as the live one would have.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, TypeAlias

from ksearch.tree.node import Node
from ksearch.tree.scoring import Terms
from ksearch.tree.state import State
from ksearch.tree.types import Action


@dataclass(frozen=True, slots=True)
class OpenArm:
    """Make a queued proposal a child of `parent`; a further step follows in the same ask."""

    parent: Node
    action: Action


@dataclass(frozen=True, slots=True)
class WriteAt:
    node: Node
    why: str


@dataclass(frozen=True, slots=True)
class ProposeAt:
    node: Node
    why: str


Step: TypeAlias = OpenArm | WriteAt | ProposeAt


class Option(NamedTuple):
    """One of what is weighed at a node on the way down: an arm, or the node's own next move (`node` is then the node itself).

    `open`: the queued `action` becomes an arm. `write`: another attempt. `ask`: the planner is asked for ideas.
    """

    move: Literal["arm", "open", "write", "ask"]
    node: Node
    action: Action | None
    terms: Terms


class Policy(Protocol):
    """`step` is called only while something is legal, and must return a legal step.

    A descent begins at `state.start`: the root, or what the user pinned; it is proven. `opened` is the arm that the step
    before opened in the same ask: nothing above that arm has changed since, so a policy may go on from there instead.
    `max_depth` bounds the plans it looks at, None for no bound of its own.
    """

    @property
    def name(self) -> str: ...

    @property
    def max_depth(self) -> int | None: ...

    def step(self, state: State, opened: Node | None, rng: random.Random) -> Step: ...

    def terms(self, state: State, parent: Node) -> list[Terms]:
        """What the policy would compare the arms of `parent` by now, in their order; shown by `explain`."""
        ...

    def options(self, state: State, at: Node) -> list[Option]:
        """What a descent that comes to `at` would weigh now, the first among equals first; none if the policy compares no scores."""
        ...
