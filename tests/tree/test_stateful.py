"""Any interleaving of asking and telling keeps the tree's invariants, and its log rebuilds it at every prefix."""

from __future__ import annotations

import copy
import random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ksearch.tree import DEFAULTS, POLICIES, NodeStatus, NodeView, Snapshot, Tree, policy_named
from ksearch.tree.types import (
    Banned,
    Cancelled,
    Failed,
    Measured,
    NodeId,
    Outcome,
    Pinned,
    Propose,
    Proposed,
    Skipped,
    Ticket,
    Unbanned,
    Unpinned,
    Write,
)
from tests.tree.worlds import Logged, action, lines

TOLERANCE = 1e-9

writes = st.one_of(
    st.floats(-3.0, 3.0).map(Measured),
    st.sampled_from(["compile", "numerics"]).map(Failed),
    st.just(Skipped("hopeless")),
    st.just(Cancelled("budget")),
)
offers = st.lists(st.builds(action, st.sampled_from("abcde"), st.sampled_from("12"), st.floats(-1.0, 2.0), st.floats(0.0, 1.0)), max_size=4)
answers = st.one_of(offers.map(tuple).map(Proposed), offers.map(tuple).map(Proposed), st.just(Cancelled("late")))


def drawn(rng: random.Random, ticket: Ticket) -> Outcome:
    if isinstance(ticket, Propose):
        return Proposed(tuple(action(rng.choice("abcde"), rng.choice("12"), rng.uniform(-0.2, 1.0), rng.random()) for _ in range(3)))
    measured = Measured(rng.gauss(0.0, 1.0))
    outcomes: list[Outcome] = [measured, measured, Failed("smoke"), Skipped("hopeless"), Cancelled("budget")]
    return rng.choice(outcomes)


class TreeMachine(RuleBasedStateMachine):
    @initialize(policy=st.sampled_from(sorted(POLICIES)), root=st.floats(-2.0, 2.0), sigma=st.sampled_from([0.0, 0.01, 0.2]))
    def plant(self, policy: str, root: float, sigma: float) -> None:
        self.born = (root, sigma, policy)
        self.logged = Logged(self.fresh(), random.Random(3))
        self.snapshots: list[tuple[int, Snapshot]] = []
        self.best = root
        self.attempts: dict[NodeId, int] = {}

    def fresh(self) -> Tree:
        root, sigma, policy = self.born
        return Tree(root, sigma, policy_named(policy))

    @rule(n=st.integers(1, 5))
    def ask(self, n: int) -> None:
        tickets = self.logged.ask(n)
        assert len(tickets) <= n
        for ticket in tickets:
            self.check_legal(ticket)

    def check_legal(self, ticket: Ticket) -> None:
        view = self.logged.tree.node(ticket.node)
        assert ticket.plan == view.plan
        assert len(view.open_tickets) == 1
        if isinstance(ticket, Write):
            assert not self.logged.tree.is_banned(ticket.plan[-1])
            assert view.status is NodeStatus.UNPROVEN
            assert ticket.attempt == view.attempts + 1 <= DEFAULTS.attempts
        else:
            assert view.own.best is not None

    def open_tickets(self) -> tuple[Ticket, ...]:
        return self.logged.tree.open_tickets()

    @precondition(lambda self: self.open_tickets())
    @rule(data=st.data())
    def tell(self, data: st.DataObject) -> None:
        ticket = data.draw(st.sampled_from(self.open_tickets()))
        outcome: Outcome = data.draw(writes if isinstance(ticket, Write) else answers)
        self.settle(ticket, outcome)

    @rule(seed=st.integers(0, 1000), steps=st.integers(1, 25))
    def burst(self, seed: int, steps: int) -> None:
        """A stretch of search at once, so that trees get deep and wide enough."""
        rng = random.Random(seed)
        for _ in range(steps):
            self.ask(rng.randint(1, 3))
            if not self.open_tickets():
                return
            ticket = rng.choice(self.open_tickets())
            self.settle(ticket, drawn(rng, ticket))

    def settle(self, ticket: Ticket, outcome: Outcome) -> None:
        if isinstance(ticket, Write) and not isinstance(outcome, Cancelled):
            self.attempts[ticket.node] = self.attempts.get(ticket.node, 0) + 1
        self.logged.tell(ticket, outcome)
        assert self.logged.tree.tell(ticket.ticket, Cancelled("twice")) == ()

    @rule(data=st.data(), lift=st.booleans())
    def pin(self, data: st.DataObject, lift: bool) -> None:
        id = data.draw(st.sampled_from(self.logged.tree.pins if lift and self.logged.tree.pins else range(len(self.logged.tree))))
        self.logged.guide(Unpinned(NodeId(id)) if lift else Pinned(NodeId(id)))
        assert (id in self.logged.tree.pins) != lift

    @rule(idea=st.sampled_from(["a", "b", "c|kernel|1", "d|kernel|2"]), lift=st.booleans())
    def ban(self, idea: str, lift: bool) -> None:
        self.logged.guide(Unbanned(idea) if lift else Banned(idea))
        assert (idea in self.logged.tree.bans) != lift

    @rule(data=st.data())
    def refute(self, data: st.DataObject) -> None:
        """Any proven plans, each with any of those that were built on it: the rest of these stands, but waits."""
        proven = [view.id for view in self.logged.tree.nodes() if view.own.best is not None and view.parent is not None]
        if proven:
            self.logged.refute(*data.draw(st.lists(st.sampled_from(proven), min_size=1, max_size=3, unique=True)))
            self.best = self.logged.tree.incumbent_reward

    @rule()
    def remember(self) -> None:
        self.snapshots.append((len(self.logged.log), self.logged.tree.snapshot()))

    @invariant()
    def counts_add_up(self) -> None:
        views = list(self.logged.tree.nodes())
        for view in views:
            below = [views[child].subtree for child in view.children]
            own, subtree = view.own, view.subtree
            assert subtree.visits == own.visits + sum(arm.visits for arm in below)
            assert subtree.in_flight == own.in_flight + sum(arm.in_flight for arm in below)
            assert subtree.skipped == own.skipped + sum(arm.skipped for arm in below)
            assert subtree.failed == own.failed + sum(arm.failed for arm in below)
            assert abs(subtree.total - own.total - sum(arm.total for arm in below)) < TOLERANCE
            assert subtree.best == max([best for best in [own.best, *[arm.best for arm in below]] if best is not None], default=None)
        flying = [ticket for ticket in self.open_tickets() if isinstance(ticket, Write)]
        assert views[0].subtree.in_flight == len(flying) == len({ticket.node for ticket in flying})

    @invariant()
    def attempts_stay_below_the_cap(self) -> None:
        assert all(count <= DEFAULTS.attempts for count in self.attempts.values())
        assert all(view.attempts == self.attempts.get(view.id, 0) for view in self.logged.tree.nodes() if view.parent is not None)

    @invariant()
    def the_incumbent_never_gets_worse(self) -> None:
        assert self.logged.tree.incumbent_reward >= self.best
        self.best = self.logged.tree.incumbent_reward
        assert self.logged.tree.best_node().own.best == self.best

    @invariant()
    def values_lie_in_the_hull_of_their_terms(self) -> None:
        views = list(self.logged.tree.nodes())
        for view in views:
            base = views[view.parent or 0]
            while base.own.best is None:
                base = views[base.parent or 0]
            parent_own = base.own.best
            terms = [view.prior_value, *self.measured_below(views, view)]
            terms += [parent_own - DEFAULTS.failure_cost] * (view.subtree.failed > 0)
            assert min(terms) - TOLERANCE <= view.mean <= max(terms) + TOLERANCE
            assert min(terms) - TOLERANCE <= view.value <= max(terms) + TOLERANCE
            assert 0.0 <= view.q <= 1.0

    def measured_below(self, views: list[NodeView], view: NodeView) -> list[float]:
        own = [] if view.own.best is None else [view.own.best]
        return own + [reward for child in view.children for reward in self.measured_below(views, views[child])]

    @invariant()
    def no_plan_stands_twice_and_queues_are_ordered(self) -> None:
        known = list(self.logged.tree.known_plans())
        assert len(known) == len(set(known)) == len(self.logged.tree.known_plans())
        for view in self.logged.tree.nodes():
            assert not any(self.logged.tree.is_banned(entry.action) for entry in view.queued)
            order = [(-entry.score, entry.action.key) for entry in view.queued]
            assert order == sorted(order)

    @invariant()
    def priors_of_siblings_sum_to_one(self) -> None:
        views = list(self.logged.tree.nodes())
        for view in views:
            assert not view.children or abs(sum(views[child].prior for child in view.children) - 1.0) < TOLERANCE

    @invariant()
    def what_is_legal_is_what_can_be_asked(self) -> None:
        """Recomputed from the views alone, against the flags that selection follows."""
        views = list(self.logged.tree.nodes())
        deepest = min(DEFAULTS.max_depth, self.logged.tree.policy.max_depth or DEFAULTS.max_depth)
        legal: dict[NodeId, bool] = {}
        waiting: set[NodeId] = set()
        for view in views:
            if view.parent is not None and (view.parent in waiting or views[view.parent].own.best is None):
                waiting.add(view.id)
        for view in reversed(views):
            proposing = any(isinstance(ticket, Propose) for ticket in view.open_tickets)
            if view.id in waiting:
                legal[view.id] = False
            elif view.own.best is None:
                legal[view.id] = view.status is NodeStatus.UNPROVEN and not view.open_tickets
            else:
                may_ask = not proposing and view.fruitless < DEFAULTS.fruitless_limit and view.depth < deepest
                legal[view.id] = bool(view.queued) or may_ask or any(legal[child] for child in view.children)
            assert self.logged.tree.explain(view.id).legal == legal[view.id]
        assert self.logged.tree.exhausted == (not legal[NodeId(0)] and not self.open_tickets())

    def teardown(self) -> None:
        if not hasattr(self, "logged"):
            return
        self.remember()
        replayed = self.fresh()
        snapshots = dict(self.snapshots)
        for length, change in enumerate([None, *copy.deepcopy(self.logged.log)]):
            if change is not None:
                replayed.apply(change)
            if length in snapshots:
                assert replayed.snapshot() == snapshots[length]
        assert lines(replayed) == lines(self.logged.tree), "made now, and kept since the first choice"
        self.check_same_next_choice(replayed)

    def check_same_next_choice(self, replayed: Tree) -> None:
        assert replayed.ask(3, random.Random(9)) == self.logged.tree.ask(3, random.Random(9))


TreeMachine.TestCase.settings = settings(max_examples=80, stateful_step_count=20, deadline=None)
TestTree = TreeMachine.TestCase
