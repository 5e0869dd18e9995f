"""What a reader sees of a node: every quantity of the policy, computed now."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ksearch.tree import statistics as formulas
from ksearch.tree.node import Node
from ksearch.tree.selection import Terms, score_arms
from ksearch.tree.tree import Tree
from ksearch.tree.types import Action, NodeId


@dataclass(frozen=True, slots=True)
class NodeView:
    """One node. N, O, K, F, best (M) and Q are the subtree's; `own_best` is the plan's own; `P` its prior among its siblings.

    `status`: 'root', 'proven' (passed), 'unproven' (attempts left) or 'closed' (attempts used up).
    """

    id: NodeId
    parent: NodeId | None
    action: Action | None
    depth: int
    status: str
    N: int
    O: int  # noqa: E741 - the design's letter for visits in flight
    K: int
    F: int
    best: float | None
    own_best: float | None
    Q: float
    q: float
    V0: float
    P: float | None
    attempts: int
    queued: tuple[str, ...]
    failed_stage: str | None


def status_of(node: Node) -> str:
    if node.parent is None:
        return "root"
    if node.proven:
        return "proven"
    return "closed" if node.closed else "unproven"


def views(tree: Tree) -> Iterator[NodeView]:
    """All nodes, parents before their children, in the order in which they opened."""
    priors: dict[NodeId, float] = {}
    for node in tree.nodes_by_id:
        arms = [child for child in node.children if not child.closed]
        priors.update((arm.id, prior) for arm, prior in zip(arms, formulas.priors(arms, tree.honesty()), strict=True))
        yield _view(tree, node, priors.get(node.id))


def _view(tree: Tree, node: Node, prior: float | None) -> NodeView:
    value = formulas.value(node, tree.honesty(), tree.root_reward)
    counts = node.subtree
    return NodeView(
        id=node.id, parent=None if node.parent is None else node.parent.id, action=node.action, depth=node.depth,
        status=status_of(node), N=counts.N, O=counts.O, K=counts.K, F=counts.F, best=counts.M, own_best=node.own.M,
        Q=value, q=tree.scale().q(value), V0=formulas.prior_value(node, tree.honesty(), tree.root_reward), P=prior,
        attempts=node.attempts, queued=tuple(queued.key for queued in node.queue), failed_stage=node.failed_stage,
    )  # fmt: skip


def explain(tree: Tree, node: NodeId) -> dict[NodeId, Terms]:
    """The terms of a node's score against its siblings, now; empty for the root."""
    parent = tree.node(node).parent
    return {} if parent is None else {arm.id: terms for arm, terms in score_arms(tree, parent)}
