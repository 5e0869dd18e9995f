"""The search tree as a networkx graph, for notebooks and for other programs' formats."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ksearch.records.model import RunRecord
from ksearch.records.rows import node_rows

if TYPE_CHECKING:
    import networkx as nx


def graph_of(record: RunRecord) -> nx.DiGraph[int]:
    """An edge from each plan to each that adds a step to it (`kind` "step"), and to merges of which it is the second parent ("merge").

    Node attributes are the columns of `node_rows`; what is not known is absent rather than None.
    """
    import networkx as nx

    graph: nx.DiGraph[int] = nx.DiGraph(run=record.run, definition=record.definition, device=record.device_name)
    for node, row in zip(record.nodes, node_rows(record), strict=True):
        graph.add_node(node.id, **{name: value for name, value in row.items() if value is not None and name != "node"})
        if node.parent is not None:
            graph.add_edge(node.parent, node.id, kind="step")
        if node.action is not None and node.action.second_parent is not None:
            graph.add_edge(node.action.second_parent, node.id, kind="merge")
    return graph
