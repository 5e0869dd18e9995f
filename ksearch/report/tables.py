"""Tables and graphs of a run in other programs' formats. Text is made inert for each: a spreadsheet's formulas, DOT's escapes, XML."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from ksearch.records.graph import graph_of
from ksearch.records.model import NodeRecord, RunRecord
from ksearch.records.rows import FlatRow, Scalar
from ksearch.report.text import inert, nats

_FORMULA_STARTS = ("=", "+", "-", "@")
_COLOURS = {"root": "lightgrey", "proven": "palegreen", "exhausted": "lightblue", "unproven": "lightyellow", "closed": "mistyrose"}


def csv_text(rows: Sequence[FlatRow]) -> str:
    """RFC 4180. Text that a spreadsheet would take for a formula begins with an apostrophe; None is an empty cell."""
    text = io.StringIO(newline="")
    if rows:
        writer = csv.writer(text)
        writer.writerow(rows[0])
        writer.writerows([_cell(value) for value in row.values()] for row in rows)
    return text.getvalue()


def _cell(value: Scalar) -> Scalar:
    if not isinstance(value, str):
        return value
    shown = inert(value)
    return f"'{shown}" if shown.lstrip().startswith(_FORMULA_STARTS) else shown


def graphml_text(record: RunRecord) -> str:
    """Attributes keep their types. Characters that XML can't hold are written as their numbers."""
    import networkx as nx

    graph = graph_of(record)
    for attributes in (graph.graph, *(values for _, values in graph.nodes(data=True))):
        attributes.update({name: inert(value) for name, value in attributes.items() if isinstance(value, str)})
    return "\n".join(nx.generate_graphml(graph)) + "\n"


def dot_text(record: RunRecord) -> str:
    """For Graphviz: `dot -Tsvg`."""
    lines = [f"digraph {_quoted(record.run)} {{", '  node [shape=box, style=filled, fontname="sans-serif"];']
    lines += [f"  {node.id} [label={_label(node)}, fillcolor={_colour(record, node)}];" for node in record.nodes]
    for above, below, edge in graph_of(record).edges(data=True):
        lines.append(f"  {above} -> {below}{' [style=dashed]' if edge['kind'] == 'merge' else ''};")
    return "\n".join([*lines, "}"]) + "\n"


def _label(node: NodeRecord) -> str:
    name = "root" if node.action is None else node.action.key
    return f"{_quoted(f'#{node.id} {name}')[:-1]}\\n{_quoted(f'N {node.N}, best {nats(node.best)}')[1:]}"


def _colour(record: RunRecord, node: NodeRecord) -> str:
    incumbent = record.incumbent is not None and record.incumbent.node == node.id
    return "gold" if incumbent else _COLOURS[node.status]


def _quoted(text: str) -> str:
    """A DOT string: backslashes doubled, else `\\N` and the like are replaced by Graphviz."""
    escaped = inert(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
