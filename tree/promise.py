"""PUCT whose value is the expected improvement on the incumbent.

A search wants the maximum, so what counts below a node is not how good its plans were but how much better than the
incumbent the next one may be. Every step that could be taken next has such a figure: the plan it starts from is measured,
and what the step may add is known from its claim and from every other plan that took it (`tree.credit`). A branch is worth
the most promising step on offer in it. The descent is PUCT's, with that in place of the mean of what was measured:

    score(a) = EI(a) / max EI + c sqrt(sum of (N + O)) / (sqrt(|A|) (1 + N(a) + O(a) + K(a)))

over the node's arms and its own next step; EI(a) is the best in a's subtree, the maximum is over these options. The second
term is the insurance against a model that is wrong: branches that were hardly visited are visited although the model
expects nothing of them. It is PUCT's prior term for an even prior, the claims having entered by the first.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from ksearch.tree.credit import Prospect, log_expected_improvement, merged
from ksearch.tree.frontier import OTHERS, Offer, offer_of
from ksearch.tree.node import Node, best_below, step_digest
from ksearch.tree.outlook import expected_of
from ksearch.tree.policy import OpenArm, Option, ProposeAt, Step, WriteAt
from ksearch.tree.scoring import MeanScored, Terms
from ksearch.tree.state import State
from ksearch.tree.statistics import widening_limit
from ksearch.tree.types import Action

IMPOSSIBLE = -1e9
"""ln of an improvement that can't be: below any other, and still a number to subtract from."""


class Puct:
    """The default policy: PUCT over expected improvement, beliefs about steps shared across the tree."""

    name = "puct"
    max_depth: int | None = None

    def step(self, state: State, opened: Node | None, rng: random.Random) -> Step:
        if opened is not None:
            return WriteAt(opened, _claim_line(state, opened))
        start = state.start
        move, choice = descend(state, Hopes.of(state, start), start)
        return _step(state, move, f"score {choice.total:.3f}: ")

    def terms(self, state: State, parent: Node) -> list[Terms]:
        hopes = Hopes.of(state)
        if parent.id not in hopes.below:
            return [Terms(0.0, 0.0, 1.0 / len(parent.children), 0.0, 0.0) for _ in parent.children]
        options = choices(state, hopes, parent)
        by_arm = {option.arm.id: option for option in options if option.arm is not None}
        nothing = Choice(0.0, 0.0, 0.0, None)
        rows = [by_arm.get(arm.id, nothing) for arm in parent.children]
        return [Terms(row.promise, row.promise, 1.0 / len(options), row.exploration, row.total) for row in rows]

    def options(self, state: State, at: Node) -> list[Option]:
        hopes = Hopes.of(state, state.start)
        if at.id not in hopes.below:
            return []
        own, found = hopes.moves.get(at.id), choices(state, hopes, at)
        return [_option(choice, at, own, len(found)) for choice in found]


class Flat(MeanScored):
    """No tree: the move of the greatest expected improvement, wherever it is. What `puct` is without descent and exploration."""

    name = "flat"
    max_depth: int | None = None

    def step(self, state: State, opened: Node | None, rng: random.Random) -> Step:
        if opened is not None:
            return WriteAt(opened, _claim_line(state, opened))
        hopes = Hopes.of(state, state.start)
        return _step(state, min(hopes.moves.values(), key=lambda move: (-move.hope, move.node.id)), "")


def _step(state: State, move: Move, score: str) -> Step:
    if move.kind == "open":
        assert move.action is not None
        return OpenArm(move.node, move.action)
    if move.kind == "write":
        return WriteAt(move.node, f"attempt {move.node.attempts + 1}: {_claim_line(state, move.node)}")
    return ProposeAt(move.node, f"{score}a new idea here may improve on the incumbent by {_nats(move.hope)}")


def _option(choice: Choice, at: Node, own: Move | None, options: int) -> Option:
    terms = Terms(choice.promise, choice.promise, 1.0 / options, choice.exploration, choice.total)
    if choice.arm is not None:
        return Option("arm", choice.arm, choice.arm.action, terms)
    assert own is not None, "only a node with a move of its own has that choice"
    return Option(own.kind, at, own.action, terms)


def _claim_line(state: State, node: Node) -> str:
    assert node.action is not None
    assert node.parent is not None
    best = state.root.best
    assert best is not None
    expected = expected_of(state, node.action)
    hope = _hope(node.parent_own, expected, expected.success, best)
    return (
        f"may improve on the incumbent by {_nats(hope)}: node {node.parent.id} is {node.parent_own - best:+.3f} from it, "
        f"the step gains {expected.gain:+.3f} +- {expected.sd:.3f} and passes with {expected.success:.2f}"
    )


def _nats(log_nats: float) -> str:
    return f"{math.exp(max(-99.0, log_nats)):.2g} nats"


class Move(NamedTuple):
    """What could be done at one node, and the ln of its expected improvement, nats."""

    hope: float
    node: Node
    kind: Literal["open", "write", "ask"]
    action: Action | None = None
    step: int = 0
    """Of what would be opened: the digest, which decides between equals."""


class Choice(NamedTuple):
    """One of the options at a node: an arm, or the node's own next move when `arm` is None. `total` is what is compared."""

    total: float
    promise: float
    exploration: float
    arm: Node | None


@dataclass(frozen=True)
class Hopes:
    """The best move at each node that has one; ln of the best expected improvement at or below each node above those; and
    which of a node's arms lead to one."""

    moves: dict[int, Move]
    below: dict[int, float]
    arms: dict[int, list[Node]]

    @classmethod
    def of(cls, state: State, start: Node | None = None) -> Hopes:
        """Of everything that stands in line, or of what could be done at and below `start`, where the user pinned it."""
        moves: dict[int, Move] = {}
        for move in _moves(state, _lines(state) if start is None or start.parent is None else _lines_below(state, start)):
            known = moves.get(move.node.id)
            if known is None or _goes_before(move, known):
                moves[move.node.id] = move
        return cls(moves, *_backed_up(moves))


def _goes_before(move: Move, known: Move) -> bool:
    """Between steps of which as much is hoped, the digest decides: a choice must not depend on the order they came in."""
    if move.hope == known.hope and move.kind == known.kind == "open":
        return move.step < known.step
    return move.hope > known.hope


def choices(state: State, hopes: Hopes, at: Node) -> list[Choice]:
    """The options at a node that hopes lead to: its own move first, then its arms, the most promising first."""
    own = hopes.moves.get(at.id)
    arms = hopes.arms.get(at.id, [])
    best = hopes.below[at.id]
    visits = max(1, at.visits - at.own_visits + at.in_flight)
    factor = state.constants.improvement_exploration * math.sqrt(visits / (len(arms) + (own is not None)))
    found = [] if own is None else [_choice(own.hope - best, factor, None)]
    return found + [_choice(hopes.below[arm.id] - best, factor / (1 + arm.visits + arm.in_flight + arm.skipped), arm) for arm in arms]


def _choice(log_share: float, exploration: float, arm: Node | None) -> Choice:
    promise = math.exp(log_share)
    return Choice(promise + exploration, promise, exploration, arm)


def descend(state: State, hopes: Hopes, start: Node) -> tuple[Move, Choice]:
    """From `start` by the greatest score, the first among equals; the choice that ended it tells why."""
    at = start
    while True:
        chosen = max(choices(state, hopes, at), key=lambda choice: choice.total)
        if chosen.arm is None:
            return hopes.moves[at.id], chosen
        at = chosen.arm


def _backed_up(moves: dict[int, Move]) -> tuple[dict[int, float], dict[int, list[Node]]]:
    """The best first: whoever has a figure already has a greater one. A node may have thousands of arms; most lead nowhere."""
    below: dict[int, float] = {}
    arms: dict[int, list[Node]] = {}
    for move in sorted(moves.values(), key=lambda move: (-move.hope, move.node.id)):
        at: Node | None = move.node
        while at is not None and at.id not in below:
            below[at.id] = move.hope
            if at.parent is not None:
                arms.setdefault(at.parent.id, []).append(at)
            at = at.parent
    return below, arms


class Lines(NamedTuple):
    """What could be done next: queued steps to open, unproven plans to write for, proven plans to ask for ideas."""

    offers: Iterable[Offer]
    waiting: Iterable[Node]
    hungry: Iterable[Node]


def _lines(state: State) -> Lines:
    frontier = state.frontier
    return Lines(frontier.offers(), (entry[2] for entry in frontier.waiting[:OTHERS]), (entry[2] for entry in frontier.hungry[:OTHERS]))


def _lines_below(state: State, start: Node) -> Lines:
    """A walk over the subtree: a pin is rare, and what stands in line first need not be there."""
    nodes, here = [start], 0
    while here < len(nodes):
        nodes += nodes[here].children
        here += 1
    # A refuted plan keeps its queue, and takes no proposal.
    offers = [offer_of(node, action, step_digest(action)) for node in nodes if node.own is not None for action in node.queue]
    return Lines(offers, filter(state.can_write, nodes), filter(state.can_propose, nodes))


def _moves(state: State, lines: Lines) -> list[Move]:
    best = state.root.best
    assert best is not None, "the root is measured"
    known: dict[int, Prospect] = {}
    found = []
    for offer in lines.offers:
        expected = known.get(offer.step)
        if expected is None:
            expected = known[offer.step] = expected_of(state, offer.action)
        assert offer.node.own is not None
        found.append(Move(_hope(offer.node.own, expected, expected.success, best), offer.node, "open", offer.action, offer.step))
    return found + _retries(state, lines.waiting, best) + _questions(state, lines.hungry, best)


def _retries(state: State, waiting: Iterable[Node], best: float) -> list[Move]:
    """Plans whose attempts all failed or were skipped, or whose only attempt was cancelled. What a trusted forecaster said of
    the code that was written counts more than what the plan's last step usually brings."""
    c, found = state.constants, []
    for node in waiting:
        assert node.action is not None
        expected = expected_of(state, node.action)
        success = expected.success * c.repair_share**node.attempts
        hope = _hope(node.parent_own, expected, success, best)
        if node.foreseen is not None and hope > IMPOSSIBLE:
            reward, sigma = node.foreseen
            hope = max(IMPOSSIBLE, math.log(success) + log_expected_improvement(reward, sigma, best))
        found.append(Move(hope, node, "write"))
    return found


def _questions(state: State, hungry: Iterable[Node], best: float) -> list[Move]:
    """Plans that could be asked for ideas, which is worth what answers brought at plans about as good; each answer without a new one
    halves what is hoped of the next.

    Ideas widen as arms do: beyond `proposals` for each arm that progressive widening allows, those that wait come first.
    """
    c, honesty, found = state.constants, state.honesty.value(state.constants), []
    for node in hungry:
        assert node.own is not None
        ideas = len(node.children) + len(node.queue)
        if node.queue and ideas >= c.proposals * widening_limit(node.visits, node.in_flight, c):
            continue
        sd = state.answers.spread(node.own, honesty, c) / math.sqrt(1 + ideas)
        hope = log_expected_improvement(node.own, sd, best) - node.fruitless * math.log(2.0)
        found.append(Move(max(IMPOSSIBLE, hope), node, "ask"))
    return found + (_mergers(state, best) if state.merges else [])


def _mergers(state: State, best: float) -> list[Move]:
    """Plans that a planner who merges is asked again after new results: the incumbent's and those above it, where another may
    branch off. Whether what gained elsewhere goes together there is the planner's to say."""
    gaining, found = _gaining(state), []
    for node in best_below(state.root).path():
        if node.own is not None and node.asked_knowing != state.root.visits and state.can_propose(node):
            lacking = _lacking(gaining, node)
            found.append(Move(_hope(node.own, lacking, lacking.success, best), node, "ask"))
    return found


def _gaining(state: State) -> list[tuple[int, tuple[str, str], Prospect]]:
    """The single steps known of which a gain is expected, with digest and kind, the greatest gain first."""
    rows = [(digest, (step.technique, step.target), expected_of(state, step)) for digest, step in state.outlook.claims.items()]
    return sorted((row for row in rows if row[2].gain > 0.0), key=lambda row: (-row[2].gain, row[0]))


def _lacking(gaining: list[tuple[int, tuple[str, str], Prospect]], node: Node) -> Prospect:
    """What the gains known would bring together here, one step of each technique and target."""
    taken, best = node.taken(), dict[tuple[str, str], Prospect]()
    for digest, kind, expected in gaining:
        if digest not in taken:
            best.setdefault(kind, expected)
    return merged(list(best.values()))


def _hope(base: float, expected: Prospect, success: float, best: float) -> float:
    if success <= 0.0:
        return IMPOSSIBLE
    return max(IMPOSSIBLE, math.log(success) + log_expected_improvement(base + expected.gain, expected.sd, best))
