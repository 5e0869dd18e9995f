"""A log cut anywhere rebuilds the tree that stood there, and the search goes on from it."""

from __future__ import annotations

import copy
import random

import pytest

from ksearch.tree import POLICIES, Snapshot, Tree, policy_named
from ksearch.tree.types import Cancelled, Change
from tests.tree.worlds import Landscape, Logged, drive, new_tree


def live(policy: str, rounds: int) -> tuple[list[Change], dict[int, Snapshot]]:
    """A search's log, and the live tree's full state at each length the log had between two calls."""
    logged = new_tree(policy_named(policy), root=0.3)
    landscape = Landscape(4)
    states = {0: logged.tree.snapshot()}
    for _ in range(rounds):
        for act in (lambda: logged.ask(2), lambda: settle_one(logged, landscape)):
            act()
            states[len(logged.log)] = logged.tree.snapshot()
    return logged.log, states


def settle_one(logged: Logged, landscape: Landscape) -> None:
    flying = logged.tree.open_tickets()
    if flying:
        logged.tell(flying[-1], landscape.answer(logged.tree, flying[-1]))


def replay(policy: str, log: list[Change]) -> Tree:
    tree = Tree(0.3, 0.01, policy_named(policy))
    for change in copy.deepcopy(log):
        tree.apply(change)
    return tree


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_every_prefix_of_the_log(policy: str) -> None:
    log, states = live(policy, rounds=16)
    assert len(states) > 20
    for length in range(len(log) + 1):
        tree = replay(policy, log[:length])
        if length in states:
            assert tree.snapshot() == states[length]
        for ticket in tree.open_tickets():
            tree.tell(ticket.ticket, Cancelled("resumed"))
        assert tree.ask(2, random.Random(0)).tickets


def test_a_resumed_search_ends_like_the_uninterrupted_one() -> None:
    whole, cut = new_tree(root=0.3), new_tree(root=0.3)
    for _ in drive(whole, Landscape(4).answer, writes=50):
        pass
    for _ in drive(cut, Landscape(4).answer, writes=20):
        pass
    resumed = Logged(replay("puct", cut.log), log=cut.log.copy())
    for _ in drive(resumed, Landscape(4).answer, writes=30):
        pass
    assert resumed.log == whole.log
    assert resumed.tree.snapshot() == whole.tree.snapshot()
