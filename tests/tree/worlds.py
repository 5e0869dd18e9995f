"""What the tree is driven with: actions, a search space without language model or GPU, and a loop around ask and tell."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import combinations

from ksearch.tree import DEFAULTS, Constants, Policy, Puct, Tree
from ksearch.tree.types import (
    MERGE,
    Action,
    Banned,
    Change,
    Failed,
    Measured,
    NodeId,
    Outcome,
    Part,
    Pinned,
    Plan,
    Propose,
    Proposed,
    Ticket,
    Unbanned,
    Unpinned,
    Write,
    plan_key,
)


def action(technique: str = "tile", parameter: str = "1", gain: float = 0.5, p: float = 0.5, second_parent: NodeId | None = None) -> Action:
    return Action(technique, "kernel", parameter, "less traffic", gain, 0.2, p, 2, "bytes dominate", second_parent=second_parent)


def merge(*steps: Action) -> Action:
    """These steps at once."""
    parts = tuple(Part(step.technique, step.target, step.parameter, step.gain_mean, step.gain_sd, step.p_success) for step in steps)
    return replace(
        steps[0], technique=MERGE, parameter=" + ".join(sorted(part.key for part in parts)), parts=parts,
        gain_mean=sum(part.gain_mean for part in parts),
    )  # fmt: skip


def actions(gains: Iterable[float], technique: str = "tile", p: float = 0.5) -> tuple[Action, ...]:
    return tuple(action(technique, str(place), gain, p) for place, gain in enumerate(gains))


@dataclass
class Logged:
    """A tree that keeps its log, as an application would."""

    tree: Tree
    rng: random.Random = field(default_factory=lambda: random.Random(0))
    log: list[Change] = field(default_factory=list)

    def ask(self, n: int = 1) -> tuple[Ticket, ...]:
        asked = self.tree.ask(n, self.rng)
        self.log += asked.changes
        return asked.tickets

    def tell(self, ticket: Ticket, outcome: Outcome) -> None:
        self.log += self.tree.tell(ticket.ticket, outcome)

    def guide(self, wish: Pinned | Unpinned | Banned | Unbanned) -> None:
        self.log += self.tree.guide(wish)

    def refute(self, *nodes: NodeId, stage: str = "hidden") -> None:
        self.log += self.tree.refute(nodes, stage)

    def propose(self, *offered: Action, node: NodeId | None = None) -> Propose:
        """Answer the Propose ticket in flight, or else the next one."""
        ticket = next((ticket for ticket in self.tree.open_tickets() if isinstance(ticket, Propose)), None) or self.ask()[0]
        assert isinstance(ticket, Propose)
        assert node is None or ticket.node == node
        self.tell(ticket, Proposed(offered))
        return ticket

    def write(self, outcome: Outcome, node: NodeId | None = None) -> Write:
        """Settle the next Write ticket; a Propose ticket that comes first stays in flight."""
        ticket = next(ticket for ticket in (self.ask()[0] for _ in range(2)) if isinstance(ticket, Write))
        assert node is None or ticket.node == node
        self.tell(ticket, outcome)
        return ticket


def lines(tree: Tree) -> tuple[object, ...]:
    """All that the frontier of a tree holds, in its orders where they mean anything."""
    front = tree._state.frontier
    offers = {step: [(offer.rank, offer.node.id) for offer in line] for step, line in {**front.untried, **front.tried}.items()}
    fresh = [(offer.rank, offer.step, offer.node.id) for offer in front.fresh]
    waiting, hungry = ([(rank, id) for rank, id, _ in line] for line in (front.waiting, front.hungry))
    return offers, set(front.tried), fresh, waiting, hungry


def new_tree(policy: Policy | None = None, root: float = 0.0, sigma: float = 0.01, constants: Constants = DEFAULTS) -> Logged:
    return Logged(Tree(root, sigma, Puct() if policy is None else policy, constants))


@dataclass(frozen=True)
class Landscape:
    """Techniques that compose: reward is the sum of each one's gain and of every pair's interaction, nats.

    A plan's codes fail by a chance of its hardest technique; some pairs can't be combined at all. Claims are twice the truth
    plus a systematic error of the technique, so the planner is worth listening to and no more. The draw of an attempt
    depends on the plan and the attempt alone, so every policy meets the same world.
    """

    seed: int
    size: int = 8

    def __post_init__(self) -> None:
        rng = random.Random(self.seed)
        names = [f"t{place}" for place in range(self.size)]
        gains = {name: rng.choice([-0.2, 0.0, 0.1, 0.3, 0.6]) + rng.uniform(0.0, 0.1) for name in names}
        pairs = {frozenset(pair): rng.choice([0.0] * 4 + [-0.5, 0.4]) for pair in combinations(names, 2)}
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "gains", gains)
        object.__setattr__(self, "pairs", pairs)
        object.__setattr__(self, "claims", {name: 2.0 * gains[name] + rng.gauss(0.0, 0.5) for name in names})
        object.__setattr__(self, "success", {name: rng.choice([0.4, 0.7, 0.9]) for name in names})
        object.__setattr__(self, "barred", {pair for pair in pairs if rng.random() < 0.1})

    names: list[str] = field(init=False)
    gains: dict[str, float] = field(init=False)
    pairs: dict[frozenset[str], float] = field(init=False)
    claims: dict[str, float] = field(init=False)
    success: dict[str, float] = field(init=False)
    barred: set[frozenset[str]] = field(init=False)

    def reward(self, techniques: frozenset[str]) -> float:
        return sum(self.gains[name] for name in techniques) + sum(self.pairs[frozenset(pair)] for pair in combinations(techniques, 2))

    def optimum(self) -> float:
        sets = (frozenset(chosen) for n in range(self.size + 1) for chosen in combinations(self.names, n))
        return max(self.reward(chosen) for chosen in sets if self._possible(chosen))

    def propose(self, tree: Tree, plan: Plan, count: int) -> Proposed:
        """The highest claims first, among the plans that don't stand yet; a merge of the two highest among them."""
        known, used = tree.known_plans(), plan_key(plan)
        offered = [action(name, "1", self.claims[name], self.success[name]) for name in self.names]
        offered.sort(key=lambda step: -step.gain_mean)
        unused = [step for step in offered if step.key not in used]
        fresh = [step for step in (*unused, *([merge(*unused[:2])] if len(unused) > 1 else [])) if used | set(step.steps) not in known]
        return Proposed(tuple(sorted(fresh, key=lambda step: -step.gain_mean)[:count]))

    def judge(self, ticket: Write) -> Outcome:
        chosen = frozenset(part.technique for step in ticket.plan for part in step.parts or (step,))
        draw = random.Random(f"{self.seed} {sorted(chosen)} {ticket.attempt}")
        if not self._possible(chosen) or draw.random() > min(self.success[name] for name in chosen):
            return Failed("numerics")
        return Measured(self.reward(chosen) + draw.gauss(0.0, 0.01))

    def answer(self, tree: Tree, ticket: Ticket) -> Outcome:
        return self.propose(tree, ticket.plan, ticket.count) if isinstance(ticket, Propose) else self.judge(ticket)

    def _possible(self, chosen: frozenset[str]) -> bool:
        return not any(frozenset(pair) in self.barred for pair in combinations(chosen, 2))


Answer = Callable[[Tree, Ticket], Outcome]


def drive(logged: Logged, answer: Answer, writes: int, width: int = 1) -> Iterator[Ticket]:
    """Keep `width` tickets in flight and settle one at a time, drawn by a generator of its own; yields what it settled."""
    order = random.Random(1)
    settled = 0
    while settled < writes:
        logged.ask(width - len(logged.tree.open_tickets()))
        flying = logged.tree.open_tickets()
        if not flying:
            return
        ticket = order.choice(flying)
        logged.tell(ticket, answer(logged.tree, ticket))
        settled += isinstance(ticket, Write)
        yield ticket
