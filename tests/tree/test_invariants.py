"""What must hold of every tree, whatever happens to it."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ksearch.tree import IllegalChange, Tree, UnknownTicket, policy_named, views
from ksearch.tree.constants import ATTEMPTS, FAILURE_COST
from ksearch.tree.node import Node
from ksearch.tree.selection import POLICIES
from ksearch.tree.types import Cancelled, Failed, Issued, Measured, Propose, Proposed, Settled, TicketId, Write
from tests.tree.driver import Driver, action

drivers = st.builds(lambda data, policy, workers: (data, policy, workers), st.data(), st.sampled_from(sorted(POLICIES)), st.integers(1, 6))


def driven(bundle: tuple[st.DataObject, str, int], steps: int = 60) -> Driver:
    data, policy, workers = bundle
    driver = Driver(lambda low, high: data.draw(st.integers(low, high)), policy=policy, workers=workers)
    driver.run(steps)
    return driver


def below(node: Node) -> list[Node]:
    return [node, *(other for child in node.children for other in below(child))]


@settings(max_examples=60, deadline=None)
@given(drivers)
def test_counts_add_up(bundle: tuple[st.DataObject, str, int]) -> None:
    tree = driven(bundle).tree
    for node in tree.nodes_by_id:
        for name in ("N", "F", "O", "K", "S"):
            total = getattr(node.own, name) + sum(getattr(child.subtree, name) for child in node.children)
            assert getattr(node.subtree, name) == total
        assert node.subtree.O == 0, "everything is settled"
        own = [other.own.M for other in below(node) if other.own.M is not None]
        assert max(own, default=None) == node.subtree.M


@settings(max_examples=60, deadline=None)
@given(drivers)
def test_only_legal_tickets_are_issued(bundle: tuple[st.DataObject, str, int]) -> None:
    driver = driven(bundle)
    replay = Tree(driver.root_reward, 0.02, policy_named(driver.policy))
    for change in driver.changes:
        if isinstance(change, Issued):
            node = replay.node(change.ticket.node)
            if isinstance(change.ticket, Write):
                assert node.writable, "unproven, attempts left, none in flight"
                assert change.ticket.attempt == node.attempts + 1 <= ATTEMPTS
                assert (change.ticket.failed_stage is None) == (node.failed_stage is None)
                assert node.parent is not None
                assert node.parent.proven, "only plans that passed have children"
            else:
                assert node.proven
                assert not node.proposing, "one Propose in flight for each node"
        replay.apply(change)


@settings(max_examples=60, deadline=None)
@given(drivers)
def test_no_plan_stands_twice(bundle: tuple[st.DataObject, str, int]) -> None:
    tree = driven(bundle).tree
    keys = [node.plan_key for node in tree.nodes_by_id]
    keys += [node.plan_key | {queued.key} for node in tree.nodes_by_id for queued in node.queue]
    assert len(keys) == len(set(keys))
    assert set(keys) == tree.known_plans()


@settings(max_examples=40, deadline=None)
@given(drivers)
def test_every_prefix_of_the_log_folds_to_the_tree_of_that_moment(bundle: tuple[st.DataObject, str, int]) -> None:
    driver = driven(bundle, 30)
    fold = Tree(driver.root_reward, 0.02, policy_named(driver.policy))
    best = -math.inf
    for change in driver.changes:
        fold.apply(change)
        assert fold.incumbent_reward >= best, "M(root) is monotone"
        best = fold.incumbent_reward
    assert list(views(fold)) == list(views(driver.tree))
    assert fold.known_plans() == driver.tree.known_plans()


@settings(max_examples=40, deadline=None)
@given(st.data(), st.integers(2, 5))
def test_the_order_in_which_results_arrive_does_not_matter(data: st.DataObject, workers: int) -> None:
    """Settle one batch of tickets in two orders: same statistics, same next choices."""
    driver = Driver(lambda low, high: data.draw(st.integers(low, high)), workers=workers)
    driver.run(data.draw(st.integers(0, 20)))
    driver.ask()
    outcomes = [(ticket.ticket, driver.outcome(ticket)) for ticket in driver.flight]
    trees = []
    for order in (outcomes, data.draw(st.permutations(outcomes))):
        tree = Tree(driver.root_reward, 0.02, policy_named(driver.policy))
        for change in driver.changes:
            tree.apply(change)
        # Proposals that collide are first come, first served: only writes must commute.
        for ticket, outcome in sorted(order, key=lambda pair: not isinstance(pair[1], Proposed)):
            if not isinstance(outcome, Proposed):
                tree.tell(ticket, outcome)
        trees.append(tree)
    assert list(views(trees[0])) == list(views(trees[1]))
    assert trees[0].ask(workers, random.Random(0)).changes == trees[1].ask(workers, random.Random(0)).changes


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(-64, 64), st.sampled_from(["puct", "greedy"]))
def test_shifting_all_rewards_changes_no_choice(seed: int, shift_units: int, policy: str) -> None:
    shift = shift_units / 16  # exactly representable, so that rounding can't decide a tie
    outlines = []
    for start in (0.0, shift):
        rng = random.Random(seed)
        driver = Driver(rng.randint, policy=policy, root_reward=start)
        driver.measured = lambda ticket, d=driver, r=rng: d.tree.own_best(d.tree.parent(ticket.node)) + r.randint(-8, 8) / 16  # type: ignore[method-assign,misc,operator]
        driver.run(50)
        outlines.append([(type(c).__name__, getattr(getattr(c, "ticket", None), "node", None)) for c in driver.changes])
    assert outlines[0] == outlines[1]


@settings(max_examples=60, deadline=None)
@given(drivers)
def test_values_lie_within_the_hull_of_their_terms(bundle: tuple[st.DataObject, str, int]) -> None:
    tree = driven(bundle).tree
    for view in views(tree):
        node = tree.node(view.id)
        terms = [view.V0, *(other.own.M for other in below(node) if other.own.M is not None)]
        if node.subtree.F:
            terms.append((node.parent or node).own.M - FAILURE_COST)  # type: ignore[operator]
        assert min(terms) - 1e-9 <= view.Q <= max(terms) + 1e-9


@given(st.integers(2, 12))
def test_equal_arms_are_asked_equally_often(arms: int) -> None:
    tree = Tree(0.0, 0.02)
    children = open_arms(tree, arms)
    for _ in range(3 * arms):
        asked = tree.ask(1, random.Random(0))
        write = next(ticket for ticket in asked.tickets if isinstance(ticket, Write))
        tree.tell(write.ticket, Failed("compile"))
        counts = [tree.node(child).own.F for child in children]
        assert max(counts) - min(counts) <= 1


def open_arms(tree: Tree, arms: int) -> list[int]:
    """All arms open with equal claims, none tried."""
    propose = tree.ask(1, random.Random(0)).tickets[0]
    tree.tell(propose.ticket, Proposed(tuple(action(f"a{i}") for i in range(arms))))
    issued = []
    while tree.root.queue:
        issued += [ticket for ticket in tree.ask(1, random.Random(0)).tickets if isinstance(ticket, Write)]
    for ticket in issued:
        tree.tell(ticket.ticket, Cancelled("only to open the arm"))
    tree.root.fruitless = 99
    return [child.id for child in tree.root.children]


@settings(max_examples=40, deadline=None)
@given(drivers)
def test_cancelling_restores_every_count(bundle: tuple[st.DataObject, str, int]) -> None:
    driver = driven(bundle, 25)
    before = {node.id: (node.own.as_tuple(), node.subtree.as_tuple()) for node in driver.tree.nodes_by_id}
    driver.ask()
    for ticket in driver.flight:
        driver.tree.tell(ticket.ticket, Cancelled("test"))
    after = {node.id: (node.own.as_tuple(), node.subtree.as_tuple()) for node in driver.tree.nodes_by_id}
    assert {node: after[node] for node in before} == before


def test_a_plan_that_keeps_failing_is_left_after_its_attempts() -> None:
    tree = Tree(0.0, 0.02)
    tries: dict[int, int] = {}
    for _ in range(60):
        asked = tree.ask(1, random.Random(0))
        if asked.exhausted:
            break
        ticket = asked.tickets[0]
        if isinstance(ticket, Propose):
            tree.tell(ticket.ticket, Proposed((action("a"), action("b"))))
        else:
            tries[ticket.node] = tries.get(ticket.node, 0) + 1
            tree.tell(ticket.ticket, Failed("compile"))
    assert asked.exhausted
    assert tries == {1: ATTEMPTS, 2: ATTEMPTS}


def test_telling_twice_has_no_effect_and_an_unknown_ticket_is_an_error() -> None:
    tree = Tree(0.0, 0.02)
    ticket = tree.ask(1, random.Random(0)).tickets[0]
    assert tree.tell(ticket.ticket, Proposed((action("a"),)))
    assert tree.tell(ticket.ticket, Cancelled("late")) == ()
    with pytest.raises(UnknownTicket):
        tree.tell(TicketId(99), Cancelled("never issued"))


def test_a_foreign_change_is_refused() -> None:
    tree = Tree(0.0, 0.02)
    with pytest.raises(IllegalChange, match="not open"):
        tree.apply(Settled(TicketId(0), Measured(1.0)))


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_every_policy_ends_on_a_finite_space(policy: str) -> None:
    rng = random.Random(3)
    driver = Driver(rng.randint, policy=policy, names=3)
    driver.run(2000)
    assert driver.exhausted
