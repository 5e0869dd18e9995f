"""One contract for every policy, and what sets each apart."""

from __future__ import annotations

import random

import pytest

from ksearch.tree import DEFAULTS, POLICIES, NodeStatus, Tree, policy_named
from ksearch.tree.types import ROOT, Failed, Measured, NodeId, Outcome, Propose, Proposed, Skipped, Ticket, Write
from tests.tree.worlds import Landscape, Logged, action, actions, drive, new_tree

every_policy = pytest.mark.parametrize("name", sorted(POLICIES))


class Chance:
    """A finite catalogue and outcomes at random."""

    def __init__(self, seed: int, size: int) -> None:
        self.rng = random.Random(seed)
        self.landscape = Landscape(seed, size)

    def answer(self, tree: Tree, ticket: Ticket) -> Outcome:
        if isinstance(ticket, Propose):
            return self.landscape.propose(tree, ticket.plan, ticket.count)
        outcomes: list[Outcome] = [Measured(self.rng.gauss(0.0, 1.0)), Failed("smoke"), Skipped("hopeless")]
        return self.rng.choice(outcomes)


@every_policy
@pytest.mark.parametrize("width", [1, 8])
@pytest.mark.parametrize("seed", range(5))
def test_a_finite_catalogue_is_exhausted_by_legal_tickets(name: str, width: int, seed: int) -> None:
    logged, chance = new_tree(policy_named(name)), Chance(seed, size=4)
    attempts: dict[NodeId, int] = {}
    for ticket in drive(logged, chance.answer, writes=200, width=width):
        view = logged.tree.node(ticket.node)
        if isinstance(ticket, Write):
            attempts[ticket.node] = attempts.get(ticket.node, 0) + 1
            assert ticket.attempt == attempts[ticket.node] <= DEFAULTS.attempts
        else:
            assert view.own.best is not None
    assert logged.tree.exhausted
    assert logged.tree.ask(3, random.Random(0)).exhausted
    finished = {NodeStatus.ROOT, NodeStatus.CLOSED, NodeStatus.EXHAUSTED, NodeStatus.PROVEN if name == "best-of-n" else NodeStatus.ROOT}
    assert {view.status for view in logged.tree.nodes()} <= finished


@every_policy
def test_equal_state_and_generator_choose_equally(name: str) -> None:
    logs = []
    for _ in range(2):
        logged = new_tree(policy_named(name))
        for _ in drive(logged, Landscape(3).answer, writes=60, width=4):
            pass
        logs.append(logged.log)
    assert logs[0] == logs[1]


@pytest.mark.parametrize("name", ["puct", "puct-mean", "flat", "greedy", "best-of-n"])
def test_only_the_random_policy_draws(name: str) -> None:
    rng = random.Random(7)
    logged = Logged(new_tree(policy_named(name)).tree, rng)
    for _ in drive(logged, Landscape(3).answer, writes=30, width=4):
        pass
    assert rng.getstate() == random.Random(7).getstate()


@every_policy
def test_a_blocked_branch_does_not_block_the_search(name: str) -> None:
    """With the best arm waiting for its proposals, tickets are found beside it."""
    logged = new_tree(policy_named(name))
    logged.propose(*actions([0.9, 0.8, 0.7, 0.6]))
    logged.write(Measured(2.0))
    assert len([ticket for ticket in logged.ask(6) if isinstance(ticket, Write)]) == 3


def test_greedy_follows_claims_and_ignores_measurements() -> None:
    logged = new_tree(policy_named("greedy"))
    loud, quiet = action("loud", gain=1.0, p=0.9), action("quiet", gain=0.5, p=0.9)
    logged.propose(quiet, loud)
    first = logged.write(Measured(-2.0))
    assert first.plan == (loud,)
    logged.propose(action("deeper", gain=0.1), node=first.node)
    assert logged.write(Measured(-3.0)).plan == (loud, action("deeper", gain=0.1))


def test_greedy_is_best_first_across_branches() -> None:
    logged = new_tree(policy_named("greedy"))
    loud, quiet = action("loud", gain=1.0, p=0.9), action("quiet", gain=0.5, p=0.9)
    logged.propose(quiet, loud)
    first = logged.write(Measured(0.0))
    logged.propose(action("setback", gain=-1.0, p=0.9), node=first.node)
    assert logged.write(Measured(0.0)).plan == (quiet,)


def test_best_of_n_stays_one_level_deep_and_repairs_first() -> None:
    logged = new_tree(policy_named("best-of-n"))
    logged.propose(*actions([0.9, 0.8, 0.7]))
    assert logged.write(Failed("compile")).node == NodeId(1)
    assert logged.write(Measured(1.0)).node == NodeId(1)
    assert logged.write(Measured(1.0)).node == NodeId(2)
    assert logged.write(Measured(1.0)).node == NodeId(3)
    assert logged.propose(action("new")).node == ROOT
    logged.write(Measured(1.0))
    assert {view.depth for view in logged.tree.nodes()} == {0, 1}


def test_the_random_policy_draws_every_legal_arm() -> None:
    chosen = set()
    for seed in range(40):
        logged = Logged(new_tree(policy_named("random")).tree, random.Random(seed))
        logged.tree.tell(logged.ask()[0].ticket, Proposed(actions([0.9, 0.1, 0.5])))
        chosen.add(tuple(ticket.node for ticket in logged.ask(1) + logged.ask(1)))
    assert chosen == {(NodeId(1), NodeId(2))}
    repaired = set()
    for seed in range(40):
        logged = Logged(new_tree(policy_named("random")).tree, random.Random(seed))
        logged.tree.tell(logged.ask()[0].ticket, Proposed(actions([0.9, 0.1, 0.5])))
        for ticket in logged.ask(2):
            logged.tell(ticket, Failed("compile"))
        repaired.add(logged.ask()[0].node)
    assert repaired == {NodeId(1), NodeId(2), NodeId(3)}


def test_an_unknown_policy_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="best-of-n"):
        policy_named("astar")
