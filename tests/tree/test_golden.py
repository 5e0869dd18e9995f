"""A tree small enough to compute by hand: root at 0, three arms, one measured, one failed, one in flight."""

from __future__ import annotations

import math
import random

import pytest

from ksearch.tree import Tree, explain, views
from ksearch.tree.types import ROOT, ArmOpened, Failed, Issued, Measured, NodeId, Propose, Proposed, TicketId, Write, WriteMode
from tests.tree.driver import action

GAIN = {"a": 0.5, "b": 0.4, "c": 0.2}


@pytest.fixture
def tree() -> Tree:
    tree = Tree(root_reward=0.0, sigma_noise=0.01)
    tree.apply(Issued(Propose(TicketId(0), ROOT, (), 3)))
    tree.tell(TicketId(0), Proposed(tuple(action(name, gain) for name, gain in GAIN.items())))
    for number, name in enumerate(GAIN, start=1):
        tree.apply(ArmOpened(NodeId(number), ROOT, action(name, GAIN[name])))
        tree.apply(Issued(Write(TicketId(number), NodeId(number), (), WriteMode.FIRST, 1)))
    tree.tell(TicketId(1), Measured(0.2))
    tree.tell(TicketId(2), Failed("compile"))
    return tree


def test_honesty_is_the_shrunk_regression(tree: Tree) -> None:
    assert tree.honesty() == pytest.approx((0.5 * 0.2 + 0.3) / (0.5**2 + 1))  # 0.32


def test_values(tree: Tree) -> None:
    _, a, b, c = views(tree)
    assert pytest.approx((0.16, 0.128, 0.064)) == (a.V0, b.V0, c.V0)
    assert pytest.approx(0.6 * 0.2 + 0.4 * (0.16 + 0.2) / 2) == a.Q
    assert pytest.approx((0.128 + (0 - 0.1)) / 2) == b.Q
    assert pytest.approx(0.064) == c.Q
    assert (tree.scale().lo, tree.scale().span) == pytest.approx((0.0, 0.2))


def test_scores(tree: Tree) -> None:
    terms = explain(tree, NodeId(1))
    weights = [math.exp(0.32 * gain / 0.25) for gain in GAIN.values()]
    priors = [0.9 * weight / sum(weights) + 0.1 / 3 for weight in weights]
    assert [terms[NodeId(n)].prior for n in (1, 2, 3)] == pytest.approx(priors)
    visits = 1 + 1 + 1  # a and b settled, c in flight
    for number, prior in zip((1, 2, 3), priors, strict=True):
        assert terms[NodeId(number)].exploration == pytest.approx(0.5 * prior * math.sqrt(3) * math.sqrt(visits) / 2)
    assert terms[NodeId(3)].q == pytest.approx(0.064 / 0.2 * 1 / 2), "c's visit in flight counts as a zero"


def test_a_failed_plan_is_repaired_with_its_evidence(tree: Tree) -> None:
    tree.root.fruitless = 99
    modes = {ticket.node: ticket for ticket in tree.ask(9, random.Random(0)).tickets if isinstance(ticket, Write)}
    assert modes[NodeId(2)].mode is WriteMode.REPAIR
    assert (modes[NodeId(2)].failed_stage, modes[NodeId(2)].attempt) == ("compile", 2)
    assert NodeId(3) not in modes, "one candidate of an unproven plan at a time"
