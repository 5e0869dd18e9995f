"""Cost of the tree itself: select plus back-up at growing sizes, and bytes a node.

One step is ask(1) and tell of its outcome, a Write or a Propose as the policy decides. The planner never runs dry, three
quarters of the attempts pass and plans gain a third of what they claim, so the tree is both wide and deep. Steps are timed
in a window once the tree has reached each size; bytes are counted by tracemalloc in a second, untimed tree, actions and
their strings included.

    python benchmarks/engine/bench_tree.py [SIZE ...]
"""

from __future__ import annotations

import random
import statistics
import sys
import time
import tracemalloc

from ksearch.tree import Tree, policy_named
from ksearch.tree.types import Action, Failed, Measured, Outcome, Propose, Proposed, Ticket

SIZES = (1_000, 10_000, 100_000)
WINDOW = 2_000
BYTES_AT = 10_000


class World:
    """Endless proposals and random outcomes, from one seed."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.proposed = 0

    def answer(self, tree: Tree, ticket: Ticket) -> Outcome:
        if isinstance(ticket, Propose):
            return Proposed(tuple(self._action() for _ in range(ticket.count)))
        if self.rng.random() < 0.25:
            return Failed("numerics")
        gain = sum(action.gain_mean for action in ticket.plan) * 0.3
        return Measured(gain + self.rng.gauss(0.0, 0.1))

    def _action(self) -> Action:
        self.proposed += 1
        mean = self.rng.uniform(0.0, 0.8)
        return Action("tile", "inner loop", str(self.proposed), "raise occupancy", mean, 0.2, self.rng.random(), 2, "fewer registers")


def step(tree: Tree, world: World) -> float:
    """Seconds of one ask and tell; the world's own time left out."""
    start = time.perf_counter()
    ticket = tree.ask(1, world.rng).tickets[0]
    asked = time.perf_counter() - start
    outcome = world.answer(tree, ticket)
    start = time.perf_counter()
    tree.tell(ticket.ticket, outcome)
    return asked + time.perf_counter() - start


def grow(tree: Tree, world: World, size: int) -> None:
    while len(tree) < size:
        step(tree, world)


def bytes_per_node(policy: str) -> float:
    tracemalloc.start()
    tree, world = Tree(0.0, 0.01, policy_named(policy)), World(2)
    grow(tree, world, BYTES_AT)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return used / len(tree)


def main(sizes: tuple[int, ...], policy: str = "puct") -> None:
    tree, world = Tree(0.0, 0.01, policy_named(policy)), World(1)
    print(f"{policy:<12}{'nodes':>8}{'median us':>12}{'p99 us':>10}{'arms at root':>14}{'deepest':>9}")
    for size in sizes:
        grow(tree, world, size)
        times = sorted(step(tree, world) * 1e6 for _ in range(WINDOW))
        views = list(tree.nodes())
        deepest = max(view.depth for view in views)
        row = f"{statistics.median(times):>12.0f}{times[int(0.99 * WINDOW)]:>10.0f}{len(views[0].children):>14}{deepest:>9}"
        print(f"{'':<12}{size:>8}{row}", flush=True)
    print(f"{policy}: bytes a node at {BYTES_AT} nodes: {bytes_per_node(policy):.0f}")


if __name__ == "__main__":
    main(tuple(int(size) for size in sys.argv[1:]) or SIZES)
