"""Which nodes of a tree are shown: a page of ten thousand plans is no view of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, TypeAlias

from ksearch.errors import BadInput
from ksearch.tree import NodeStatus, NodeView, Tree
from ksearch.tree.types import ROOT, NodeId


@dataclass(frozen=True, slots=True)
class TreeOptions:
    """`depth`: plans of at most so many steps. `top`: so many children of each plan, the best first. `best_path`: only the
    way to the incumbent. Filters keep what is one of each (empty: all), and the plans that lead there."""

    depth: int | None = None
    top: int | None = None
    best_path: bool = False
    statuses: frozenset[NodeStatus] = frozenset()
    techniques: frozenset[str] = frozenset()
    regimes: frozenset[str] = frozenset()

    @property
    def filtered(self) -> bool:
        return bool(self.statuses or self.techniques or self.regimes)

    @property
    def selects(self) -> bool:
        return self.filtered or self.best_path or self.depth is not None or self.top is not None

    def matches(self, view: NodeView) -> bool:
        action = view.action
        return (
            (not self.statuses or view.status in self.statuses)
            and (not self.techniques or (action is not None and action.technique in self.techniques))
            and (not self.regimes or (action is not None and action.regime in self.regimes))
        )


class Row(NamedTuple):
    """A node to show. `context`: it doesn't match the filters itself, something below it does. `cut`: children left out by depth."""

    node: NodeId
    level: int
    context: bool
    cut: int


class Gap(NamedTuple):
    """Siblings that are not shown."""

    level: int
    nodes: tuple[NodeId, ...]


Item: TypeAlias = Row | Gap


def options_of(
    depth: int | None, top: int | None, best_path: bool, statuses: Iterable[str], techniques: Iterable[str], regimes: Iterable[str]
) -> TreeOptions:
    """Raises BadInput for what can't be shown."""
    known = [status.value for status in NodeStatus]
    for status in statuses:
        if status not in known:
            raise BadInput(f"--status {status}: one of {', '.join(known)}")
    for name, value, least in (("--depth", depth, 0), ("--top", top, 1)):
        if value is not None and value < least:
            raise BadInput(f"{name} {value}: at least {least}")
    return TreeOptions(depth, top, best_path, frozenset(map(NodeStatus, statuses)), frozenset(techniques), frozenset(regimes))


class Selection:
    """What `options` leave of a tree. `best` is where the incumbent stands."""

    def __init__(self, tree: Tree, options: TreeOptions, best: NodeId) -> None:
        self._tree, self._options = tree, options
        self.matching = frozenset(view.id for view in tree.nodes() if options.matches(view)) if options.filtered else None
        self._leading = None if self.matching is None else frozenset(_upwards(tree, self.matching))
        self._path = frozenset(_upwards(tree, [best])) if options.best_path else None

    def items(self) -> Iterator[Item]:
        """Depth first, best subtrees first; lazily: of a large tree only the plans that are shown are looked at."""
        stack: list[Item] = [self._row(ROOT, 0)]
        while stack:
            item = stack.pop()
            yield item
            if isinstance(item, Row) and not item.cut:
                stack += reversed(self._below(item))

    def ids(self) -> list[NodeId]:
        return sorted(item.node for item in self.items() if isinstance(item, Row))

    def _row(self, node: NodeId, level: int) -> Row:
        context = self.matching is not None and node not in self.matching
        cut = len(self._tree.children(node)) if self._options.depth is not None and level >= self._options.depth else 0
        return Row(node, level, context, cut)

    def _below(self, row: Row) -> list[Item]:
        children = sorted(self._kept(row.node), key=partial(best_first, self._tree))
        level, top = row.level + 1, self._options.top
        if self._path is not None:
            shown = [child for child in children if child in self._path]
            rest = tuple(child for child in children if child not in self._path) if shown or not self._options.filtered else ()
            return [*([Gap(level, rest)] if rest else []), *(self._row(child, level) for child in shown)]
        shown, rest = children[:top], tuple(children[top:]) if top is not None else ()
        return [*(self._row(child, level) for child in shown), *([Gap(level, rest)] if rest else [])]

    def _kept(self, node: NodeId) -> Iterable[NodeId]:
        children = self._tree.children(node)
        return children if self._leading is None else (child for child in children if child in self._leading)


def _upwards(tree: Tree, nodes: Iterable[NodeId]) -> Iterator[NodeId]:
    """The nodes and all above them, each once."""
    seen: set[NodeId] = {ROOT}
    yield ROOT
    for node in nodes:
        at = node
        while at not in seen:
            seen.add(at)
            yield at
            at = tree.parent(at)


def best_first(tree: Tree, node: NodeId) -> tuple[float, int]:
    best = tree.best(node)
    return (math.inf if best is None else -best, node)
