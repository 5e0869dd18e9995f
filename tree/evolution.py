"""Evolution as the field does it for programs: islands with an archive, mutation by the planner, rare migration.

An island is a share of the root's arms with all that grew from them; its archive holds its best proven plans. The
island model with occasional migration and selection by rank is standard (Whitley, "The island model genetic algorithm",
1999); program search by language models uses it too (Romera-Paredes et al., "Mathematical discoveries from program search
with large language models", 2024).
"""

from __future__ import annotations

import random
from bisect import insort

from ksearch.tree.node import Node

ISLANDS = 4
"""Enough that one early success can't take over the search, few enough that each gets its share of some dozens of evaluations."""

ARCHIVE = 8
"""Plans that an island remembers."""

MIGRATION = 0.1
"""Chance that a parent is drawn from all islands together."""

RANK_DECAY = 0.7
"""Each rank is drawn this often as the one above it: half of the draws fall on the best two."""


class Archive:
    """The best proven plans of each island, best first; a pure function of what is proven, not of the order it came in."""

    __slots__ = ("islands",)

    def __init__(self, root: Node) -> None:
        self.islands: list[list[Node]] = [[root] for _ in range(ISLANDS)]

    def add(self, node: Node) -> None:
        kept = self.islands[_island(node)]
        insort(kept, node, key=_rank)
        del kept[ARCHIVE:]

    def remove(self, node: Node) -> None:
        kept = self.islands[_island(node)]
        if node in kept:
            kept.remove(node)

    def drawn(self, rng: random.Random) -> list[Node]:
        """The plans to choose a parent among, best first: one island's, or now and then everybody's."""
        if rng.random() < MIGRATION:
            return sorted({node.id: node for kept in self.islands for node in kept}.values(), key=_rank)
        return rng.choice(self.islands)


def drawn_by_rank(nodes: list[Node], rng: random.Random) -> Node:
    return rng.choices(nodes, [RANK_DECAY**rank for rank in range(len(nodes))])[0]


def _island(node: Node) -> int:
    """By the root's arm that a plan grew from: siblings spread, descendants stay."""
    at = node
    while at.parent is not None and at.parent.parent is not None:
        at = at.parent
    return at.id % ISLANDS


def _rank(node: Node) -> tuple[float, int]:
    assert node.own is not None, "only proven plans are archived"
    return -node.own, node.id
