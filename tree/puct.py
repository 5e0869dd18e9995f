"""The inner loop of selection: the arm with the best score."""

from __future__ import annotations

from ksearch.tree.node import Node
from ksearch.tree.scoring import Terms, Yardstick, arm_terms, visits_below
from ksearch.tree.state import State


def best_arm(state: State, parent: Node, yardstick: Yardstick) -> tuple[Node, Terms]:
    """The selectable arm of the greatest score; ties break by prior, then by the action's key."""
    best: Node | None = None
    best_terms = Terms(0.0, 0.0, 0.0, 0.0, float("-inf"))
    for arm, terms in zip(parent.children, arm_terms(state, parent.children, visits_below(parent), yardstick), strict=True):
        if not arm.selectable:
            continue
        order = (terms.total, terms.prior)
        leading = (best_terms.total, best_terms.prior)
        if best is None or order > leading or (order == leading and _key(arm) < _key(best)):
            best, best_terms = arm, terms
    assert best is not None, "a selectable node without a new arm has a selectable one"
    return best, best_terms


def _key(arm: Node) -> str:
    assert arm.action is not None
    return arm.action.key
