"""Policies: where the next ticket goes. All decide over the same state, planner, coder and judge, so they can be compared.

The default, `puct`, has a module of its own (`tree.promise`); these are the arms it is measured against.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable

from ksearch.tree.evolution import drawn_by_rank
from ksearch.tree.node import Node, expected_gain
from ksearch.tree.policy import OpenArm, Option, Policy, ProposeAt, Step, WriteAt
from ksearch.tree.promise import Flat, Puct
from ksearch.tree.puct import best_arm
from ksearch.tree.scoring import MeanScored, Yardstick
from ksearch.tree.state import State
from ksearch.tree.statistics import widening_limit


class MeanPuct(MeanScored):
    """Monte Carlo tree search as in games: PUCT with virtual loss, progressive widening, one attempt in flight for each plan.

    Descends by score until it meets a plan to write for, or one that may have more arms than it has: that takes its best
    queued proposal, or asks for new ones when the queue is empty and goes on among its arms meanwhile.
    """

    name = "puct-mean"
    max_depth: int | None = None

    def step(self, state: State, opened: Node | None, rng: random.Random) -> Step:
        yardstick = Yardstick.of(state)
        at = state.start if opened is None or opened.parent is None else opened.parent
        while True:
            widening = self._widen(state, at)
            if widening is not None:
                return widening
            arm, terms = best_arm(state, at, yardstick)
            if arm.own is None:
                why = f"score {terms.total:.3f} = value {terms.q_tilde:.3f} + exploration {terms.exploration:.3f}"
                return WriteAt(arm, f"{why} (prior {terms.prior:.3f}, {len(at.children)} arms at node {at.id})")
            at = arm

    def options(self, state: State, at: Node) -> list[Option]:
        if not at.children:
            return []
        return [Option("arm", arm, arm.action, terms) for arm, terms in zip(at.children, self.terms(state, at), strict=True)]

    def _widen(self, state: State, at: Node) -> Step | None:
        limit = widening_limit(at.visits + at.skipped, at.in_flight, state.constants)
        if len(at.children) >= limit and at.open_arms > 0:
            return None
        return _new_arm(state, at, f"{len(at.children)} arms of {limit} allowed at {at.visits + at.in_flight} visits, none queued")


class Greedy(MeanScored):
    """Best-first by the planner's own word: the largest sum of P(success) g along the path, nothing measured counts.

    A plan without queued proposals stands in line with its own claim, to be asked for more.
    """

    name = "greedy"
    max_depth: int | None = None

    def step(self, state: State, opened: Node | None, rng: random.Random) -> Step:
        if opened is not None:
            return WriteAt(opened, _claim_line(opened))
        at = state.start
        while True:
            arm = min(_selectable(at), key=lambda node: (-_frontier_claim(state, node), _key(node)), default=None)
            here = _own_frontier_claim(state, at)
            if arm is None or (here is not None and here > _frontier_claim(state, arm)):
                step = _new_arm(state, at, f"the highest claim, {at.claim:.3f}, and none queued")
                assert step is not None, "a selectable node without selectable arms takes a new one"
                return step
            if arm.own is None:
                return WriteAt(arm, _claim_line(arm))
            at = arm


class BestOfN(MeanScored):
    """Independent attempts from the root, one level deep: an arm is repaired to its end before the next is opened."""

    name = "best-of-n"
    max_depth: int | None = 1

    def step(self, state: State, opened: Node | None, rng: random.Random) -> Step:
        arm = next(iter(_selectable(state.root)), None)
        if arm is not None:
            return WriteAt(arm, f"arm {len(state.root.children)} of the root, attempt {arm.attempts + 1}")
        step = _new_arm(state, state.root, "none queued at the root")
        assert step is not None, "the root is selectable and no arm is"
        return step


class Uniform(MeanScored):
    """A uniform draw at every node among its legal arms and, where there can be one, a new arm. Claims and rewards are ignored."""

    name = "random"
    max_depth: int | None = None

    def step(self, state: State, opened: Node | None, rng: random.Random) -> Step:
        if opened is not None:
            return WriteAt(opened, f"drawn as a new arm of node {opened.parent.id if opened.parent else 0}")
        at = state.start
        while True:
            arms = list(_selectable(at))
            new = _new_arm(state, at, f"drawn: a new arm beside {len(at.children)}, none queued")
            drawn = rng.randrange(len(arms) + (new is not None))
            if drawn == len(arms):
                assert new is not None
                return new
            at = arms[drawn]
            if at.own is None:
                return WriteAt(at, f"drawn among {len(arms)} legal arms")


class Evolution(MeanScored):
    """Islands with an archive: a parent drawn by rank takes the planner's best queued step; see `tree.evolution`.

    A child of the parent that failed is repaired before it gets another. When no archived plan can grow, any legal ticket goes.
    """

    name = "evolution"
    max_depth: int | None = None

    def step(self, state: State, opened: Node | None, rng: random.Random) -> Step:
        if opened is not None:
            return WriteAt(opened, f"child of node {opened.parent.id if opened.parent else 0}, drawn by rank")
        start = state.start
        fertile = [node for node in state.archive.drawn(rng) if _may_grow(state, node) and _is_below(node, start)]
        if not fertile:
            return Uniform().step(state, opened, rng)
        parent = drawn_by_rank(fertile, rng)
        failed = next((arm for arm in _selectable(parent) if arm.own is None), None)
        if failed is not None:
            return WriteAt(failed, f"child of node {parent.id}, to be repaired")
        step = _new_arm(state, parent, f"drawn by rank among {len(fertile)}, none queued")
        assert step is not None, "a plan that may grow takes a new arm"
        return step


POLICIES: dict[str, Callable[[], Policy]] = {
    "puct": Puct,
    "puct-mean": MeanPuct,
    "flat": Flat,
    "greedy": Greedy,
    "evolution": Evolution,
    "best-of-n": BestOfN,
    "random": Uniform,
}


def policy_named(name: str) -> Policy:
    """Raises ValueError with the known names for an unknown one."""
    if name not in POLICIES:
        raise ValueError(f"unknown policy {name!r}; choose one of {', '.join(POLICIES)}")
    return POLICIES[name]()


def _is_below(node: Node, start: Node) -> bool:
    return start.parent is None or any(at is start for at in node.path())


def _new_arm(state: State, at: Node, why: str) -> Step | None:
    """Open the best queued proposal at `at`, else ask for some; None when neither can be done now."""
    if at.queue:
        return OpenArm(at, at.queue[0])
    return ProposeAt(at, why) if state.can_propose(at) else None


def _may_grow(state: State, node: Node) -> bool:
    """Whether `node` can take a child now, or has one of its own to repair."""
    return bool(node.queue) or state.can_propose(node) or any(arm.own is None for arm in _selectable(node))


def _selectable(node: Node) -> Iterable[Node]:
    return (arm for arm in node.children if arm.selectable)


def _key(node: Node) -> str:
    return "" if node.action is None else node.action.key


def _claim_line(node: Node) -> str:
    return f"claimed gain along the path {node.claim:.3f}, the highest that is legal"


def _own_frontier_claim(state: State, node: Node) -> float | None:
    """The claim that `node` itself puts in line: an attempt, a new arm, or a request for proposals."""
    if node.own is None:
        return node.claim if state.can_write(node) else None
    if node.queue:
        return node.claim + expected_gain(node.queue[0])
    return node.claim if state.can_propose(node) else None


def _frontier_claim(state: State, node: Node) -> float:
    """The largest claim in line at or below a selectable node, kept on the node until something below it changes."""
    if node.frontier_claim is None:
        claims = [_frontier_claim(state, arm) for arm in _selectable(node)]
        own = _own_frontier_claim(state, node)
        node.frontier_claim = max(claims if own is None else [own, *claims])
    return node.frontier_claim
