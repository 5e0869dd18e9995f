"""What a refutation changes: plans that had passed count as failed, and what was built on them waits.

An evaluation sees a part of the workloads; a plan may pass it and fail the full judgement. Its measured reward then stands for
nothing: S and M forget it, N keeps the attempt as a failed one. What its step was seen to gain is kept, as speed was measured
truly. Plans below it keep their place, and are open again once it has been repaired.
"""

from __future__ import annotations

from collections.abc import Sequence

from ksearch.tree.node import Node, step_digest
from ksearch.tree.state import State
from ksearch.tree.statistics import to_units


def subtree(nodes: Sequence[Node]) -> list[Node]:
    """These nodes and all below them, parents before their children."""
    found = {node.id: node for node in nodes}
    line, here = list(nodes), 0
    while here < len(line):
        for arm in line[here].children:
            if arm.id not in found:
                found[arm.id] = arm
                line.append(arm)
        here += 1
    return [found[id] for id in sorted(found)]


def take_back(state: State, nodes: Sequence[Node], touched: Sequence[Node], stage: str) -> None:
    """Turn the passed attempts of `nodes` into failed ones. `touched` is their subtree: out of every line before anything moves,
    since the lines are ordered by what these nodes are worth."""
    for node in touched:
        _off_offer(state, node)
    named = {node.id for node in nodes}
    for node in nodes:
        _fail(state, node, stage)
    for node in touched:
        assert node.parent is not None, "the root is never refuted"
        node.hanging = node.parent.hanging or not node.parent.proven
        if node.hanging or node.id in named:
            state.archive.remove(node)


def reinstate(state: State, node: Node) -> list[Node]:
    """A refuted plan has passed again: what waited below it is open once more. The nodes restored, parents first."""
    restored, here = [node], 0
    while here < len(restored):
        at = restored[here]
        if at is not node:
            at.hanging = False
        if at.on_offer:
            _on_offer(state, at)
            if at is not node:
                state.archive.add(at)
            restored += [arm for arm in at.children if arm.hanging]
        here += 1
    return restored


def _fail(state: State, node: Node, stage: str) -> None:
    assert node.own_reward is not None
    units = to_units(node.own_reward) - state.root_units
    node.own = node.own_reward = None
    node.own_failed += 1
    node.failed_stage = stage
    for at in node.path():
        at.failed += 1
        at.total_units -= units
        _find_best(at)


def _find_best(node: Node) -> None:
    known = [at.best for at in node.children if at.best is not None] + ([] if node.own is None else [node.own])
    told = [at.best_reward for at in node.children if at.best_reward is not None] + ([] if node.own_reward is None else [node.own_reward])
    node.best, node.best_reward = max(known, default=None), max(told, default=None)


def _off_offer(state: State, node: Node) -> None:
    state.kept.place(node, may_write=False, may_ask=False)
    if node.on_offer:
        for action in node.queue:
            state.kept.withdraw(node, step_digest(action))


def _on_offer(state: State, node: Node) -> None:
    for action in node.queue:
        step = step_digest(action)
        state.kept.queue(node, action, step, known=step in state.credits)
