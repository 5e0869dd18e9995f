"""The tree as a networkx graph, for analysis and drawing elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ksearch.tree.tree import Tree
from ksearch.tree.types import NodeId

if TYPE_CHECKING:
    import networkx


def to_networkx(tree: Tree) -> networkx.DiGraph[NodeId]:
    """A directed graph from parents to children. Node attributes are plain values under the names of `NodeView`;
    an edge carries its action's `technique`, and a merge adds an edge of `kind` "merge" from the second parent."""
    import networkx

    graph: networkx.DiGraph[NodeId] = networkx.DiGraph()
    views = list(tree.nodes())
    for view in views:
        attributes: dict[str, Any] = {
            "status": view.status.value,
            "depth": view.depth,
            "N": view.subtree.visits,
            "O": view.subtree.in_flight,
            "K": view.subtree.skipped,
            "F": view.subtree.failed,
            "best": view.subtree.best,
            "own": view.own.best,
            "Q": view.value,
            "P": view.prior,
            "action": None if view.action is None else view.action.key,
        }
        graph.add_node(view.id, **attributes)
    for view in views:
        if view.parent is not None and view.action is not None:
            graph.add_edge(view.parent, view.id, kind="step", technique=view.action.technique)
            if view.action.second_parent is not None:
                graph.add_edge(view.action.second_parent, view.id, kind="merge", technique=view.action.technique)
    return graph
