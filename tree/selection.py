"""Policies: which legal thing to do next. All of them see the same tree, planner, coder and judge.

A policy only chooses; the tree carries the choice out, so that a stored choice can be replayed without the policy.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

from ksearch.tree import constants as c
from ksearch.tree import statistics as formulas
from ksearch.tree.node import Node

if TYPE_CHECKING:
    from ksearch.tree.tree import Tree


@dataclass(frozen=True, slots=True)
class OpenArm:
    """Make the node's best queued proposal a child and write for it."""

    node: Node
    why: str


@dataclass(frozen=True, slots=True)
class WriteAt:
    node: Node
    why: str


@dataclass(frozen=True, slots=True)
class ProposeAt:
    node: Node
    why: str


Choice: TypeAlias = OpenArm | WriteAt | ProposeAt


class Policy(Protocol):
    """Chooses the next thing to do, or None when nothing is legal now. Must not change the tree."""

    @property
    def name(self) -> str: ...

    def choose(self, tree: Tree, rng: random.Random) -> Choice | None: ...


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms of one arm's score among its siblings."""

    q: float
    prior: float
    exploration: float
    total: float


def wants_proposals(node: Node) -> bool:
    return not node.queue and not node.proposing and node.fruitless < c.FRUITLESS and node.depth < c.MAX_DEPTH


def score_arms(tree: Tree, node: Node) -> list[tuple[Node, Terms]]:
    """Every arm of a node that isn't closed, with the terms of its PUCT score, in the order in which they opened."""
    arms = [child for child in node.children if not child.closed]
    visits = sum(arm.subtree.N + arm.subtree.O for arm in arms)
    scale, b = tree.scale(), tree.honesty()
    rows = []
    for arm, prior in zip(arms, formulas.priors(arms, b), strict=True):
        q = formulas.virtual_q(arm, scale.q(formulas.value(arm, b, tree.root_reward)))
        explore = formulas.exploration(arm, prior, len(arms), visits)
        rows.append((arm, Terms(q, prior, explore, q + explore)))
    return rows


@dataclass(frozen=True)
class Puct:
    """Descent by PUCT with progressive widening."""

    name: str = "puct"

    def choose(self, tree: Tree, rng: random.Random) -> Choice | None:
        return self._descend(tree, tree.root)

    def _descend(self, tree: Tree, node: Node) -> Choice | None:
        """The first legal choice on the way down; arms without one are marked idle and passed over."""
        if node.idle:
            return None
        ranked = sorted(score_arms(tree, node), key=lambda row: (-row[1].total, -row[1].prior, row[0].id))
        legal = [(arm, terms) for arm, terms in ranked if arm.writable or (arm.proven and not arm.idle)]
        wide_enough = legal and len(node.children) >= formulas.wanted_children(node)
        if not wide_enough and (choice := self._widen(node)) is not None:
            return choice
        for arm, terms in legal:
            if arm.writable:
                return WriteAt(arm, _why(terms))
            if (choice := self._descend(tree, arm)) is not None:
                return choice
        node.idle = True
        return None

    def _widen(self, node: Node) -> Choice | None:
        if node.depth >= c.MAX_DEPTH:
            return None
        if node.queue:
            best = node.queue[0]
            return OpenArm(node, f"widening {len(node.children) + 1} of {formulas.wanted_children(node)}; P(success) g = {-best.rank:.3f}")
        if wants_proposals(node):
            return ProposeAt(node, f"{len(node.children)} arms of {formulas.wanted_children(node)} wanted, no proposals queued")
        return None


def _why(terms: Terms) -> str:
    return f"q {terms.q:.3f} + exploration {terms.exploration:.3f} (P {terms.prior:.2f}) = {terms.total:.3f}"


@dataclass(frozen=True)
class Greedy:
    """Best first by the planner's own claim, P(success) times g, over everything open: no visits, no values."""

    name: str = "greedy"

    def choose(self, tree: Tree, rng: random.Random) -> Choice | None:
        asking = next((node for node in tree.proven_nodes() if wants_proposals(node) and not node.children), None)
        if asking is not None:
            return ProposeAt(asking, "a plan that passed and has no proposals yet")
        options = sorted(_open_claims(tree), key=lambda row: (row[0], row[1]))
        if options:
            rank, _, choice = options[0]
            return _explained(choice, f"best claim: P(success) g = {-rank:.3f}")
        return next((ProposeAt(node, "nothing else is open") for node in tree.proven_nodes() if wants_proposals(node)), None)


def _open_claims(tree: Tree) -> Iterator[tuple[float, str, Choice]]:
    for node in tree.proven_nodes():
        if node.queue and node.depth < c.MAX_DEPTH:
            yield node.queue[0].rank, node.queue[0].key, OpenArm(node, "")
        for child in node.children:
            if child.writable and child.action is not None:
                yield -child.action.p_success * child.action.gain_mean, child.action.key, WriteAt(child, "")


def _explained(choice: Choice, why: str) -> Choice:
    return type(choice)(choice.node, why)


@dataclass(frozen=True)
class BestOfN:
    """Independent tries from the root: only its own children, each written until it passes or closes."""

    name: str = "best-of-n"

    def choose(self, tree: Tree, rng: random.Random) -> Choice | None:
        root = tree.root
        for child in root.children:
            if child.writable:
                return WriteAt(child, "an unfinished try from the root")
        if root.queue:
            return OpenArm(root, "another try from the root")
        return ProposeAt(root, "no tries left at the root") if wants_proposals(root) else None


@dataclass(frozen=True)
class Uniform:
    """Uniform over everything legal. Consumes one random number for each choice."""

    name: str = "random"

    def choose(self, tree: Tree, rng: random.Random) -> Choice | None:
        options: list[Choice] = [choice for _, _, choice in _open_claims(tree)]
        options += [ProposeAt(node, "") for node in tree.proven_nodes() if wants_proposals(node)]
        return _explained(rng.choice(options), f"one of {len(options)} legal choices") if options else None


POLICIES: dict[str, Callable[[], Policy]] = {"puct": Puct, "greedy": Greedy, "best-of-n": BestOfN, "random": Uniform}


def policy_named(name: str) -> Policy:
    """Raises ValueError naming the known policies."""
    if name not in POLICIES:
        raise ValueError(f"policy {name!r}: one of {', '.join(POLICIES)}")
    return POLICIES[name]()
