"""The search tree as lines of text, best subtrees first."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TypeAlias

from ksearch.report.text import clipped, inert, named, nats, us
from ksearch.report.treeselect import Gap, Row, Selection, TreeOptions
from ksearch.store.events import EvaluationSettled
from ksearch.store.fold import CandidateState, RunState
from ksearch.store.forecasts import shown
from ksearch.tree import NodeStatus, NodeView, Tree
from ksearch.tree.types import NodeId

Line: TypeAlias = list[tuple[str, str]]
"""Pieces of one line, each with its style (a rich style; empty: none)."""

_STYLES = {NodeStatus.CLOSED: "red", NodeStatus.UNPROVEN: "yellow", NodeStatus.EXHAUSTED: "blue"}
_MARKS = {NodeStatus.CLOSED: "x", NodeStatus.UNPROVEN: "?", NodeStatus.EXHAUSTED: "="}
_LEGEND = "(* incumbent, x closed, ? unproven, = exhausted, · leads there)"
_HEADINGS = f"     N    F    O    K      Q    best     P   claim    gain    latency  plan {_LEGEND}"


def tree_lines(state: RunState, options: TreeOptions, *, rows: int) -> Iterator[Line]:
    """A header, then a line for each node, at most `rows` of them (0: all)."""
    header, tree = state.header, state.tree
    if tree is None:
        yield [(f"{named(header.run)}: the root isn't measured yet, there is no tree", "")]
        return
    selection = selection_of(state, tree, options)
    place = f"{named(header.definition_name)} on {named(header.device_name)}"
    matching = "" if selection.matching is None else f", {len(selection.matching)} match"
    yield [(named(header.run), "bold"), (f"  {place}: {len(tree)} nodes{matching}, {state.evaluations} evaluations", "")]
    yield [(_HEADINGS, "dim")]
    walk = selection.items()
    items = list(islice(walk, rows or None))
    views = tree.nodes(item.node for item in items if isinstance(item, Row))
    yield from (_line(state, item, next(views)) if isinstance(item, Row) else _gap(tree, item) for item in items)
    if left := sum(1 for item in walk if isinstance(item, Row)):
        yield [(f"... {left} more rows; --rows 0 shows all, --top, --depth and --best-path fewer", "dim")]


def selection_of(state: RunState, tree: Tree, options: TreeOptions) -> Selection:
    incumbent = state.incumbent_candidate
    return Selection(tree, options, tree.best_node().id if incumbent is None else NodeId(incumbent.written.node))


def _gap(tree: Tree, gap: Gap) -> Line:
    rewards = [best for node in gap.nodes if (best := tree.best(node)) is not None]
    found = f"best {nats(max(rewards))}" if rewards else "none passed yet"
    plans = "plan" if len(gap.nodes) == 1 else "plans"
    return [(f"{'':66}{'  ' * gap.level}… {len(gap.nodes)} more {plans} here, {found}", "dim")]


def _line(state: RunState, row: Row, view: NodeView) -> Line:
    candidate = shown_candidate(state, view.id)
    judged = None if candidate is None else judged_of(state, candidate)
    incumbent = is_incumbent(state, candidate)
    latency = f"{us(judged.latency_us)} us" if judged is not None and judged.latency_us is not None else "-"
    counts, share = view.subtree, "-" if view.parent is None else f"{view.prior:.2f}"
    visits = f"{counts.visits:6d} {counts.failed:4d} {counts.in_flight:4d} {counts.skipped:4d}"
    claim = nats(None if view.action is None else view.action.gain_mean)
    numbers = f"{visits} {view.value:+6.3f} {nats(counts.best):>7} {share:>5} {claim:>7} {nats(gain_of(state, view)):>7} {latency:>10}  "
    return [
        (numbers, "dim" if row.context else ""),
        *_plan(row, view, incumbent),
        (_pin(state, view), "bold"),
        (_forecast(state, candidate), "dim"),
    ]


def _plan(row: Row, view: NodeView, incumbent: bool) -> Line:
    style = "bold green" if incumbent else "dim" if row.context else _STYLES.get(view.status, "")
    name = "root" if view.action is None else clipped(inert(view.action.key), 160)
    stage = f"  [{inert(view.failed_stage or '')}]" if view.status is NodeStatus.CLOSED else ""
    below = f"  (+{row.cut} below)" if row.cut else ""
    mark = "·" if row.context else "*" if incumbent else _MARKS.get(view.status, " ")
    return [("  " * row.level, ""), (f"{mark} #{view.id} {name}{stage}", style), (below, "dim")]


def _pin(state: RunState, view: NodeView) -> str:
    return "  (pinned)" if is_pinned(state, view) else ""


def is_pinned(state: RunState, view: NodeView) -> bool:
    """The user wants it searched first."""
    return state.tree is not None and view.id in state.tree.pins


def gain_of(state: RunState, view: NodeView) -> float | None:
    """What the plan's last step measured over its parent, in nats."""
    if state.tree is None or view.parent is None or view.own.best is None:
        return None
    above = state.tree.own_best(view.parent)
    return None if above is None else view.own.best - above


def shown_candidate(state: RunState, node: int) -> CandidateState | None:
    """The candidate that stands for a node: the best that passed, else the last written."""
    written = state.candidates_of(node)
    return state.best_candidate_of(node) or (written[-1] if written else None)


def judged_of(state: RunState, candidate: CandidateState) -> EvaluationSettled | None:
    """The verdict on a candidate's code, which stands with the first candidate that had it."""
    verdicts = state.twin_of(candidate).verdicts
    return verdicts.get("evaluate") or verdicts.get("promote")


def is_incumbent(state: RunState, candidate: CandidateState | None) -> bool:
    return state.incumbent is not None and candidate is not None and state.incumbent.candidate == state.twin_of(candidate).id


def _forecast(state: RunState, candidate: CandidateState | None) -> str:
    """What was expected of the node's candidate, as a reward beside the measured one; empty without a forecast."""
    said = None if candidate is None else shown(state.surrogate, candidate.id)
    if said is None:
        return ""
    retired = f", {said['retired']}" if said["retired"] else ""
    return f"  (forecast {said['reward']:+.3f} ± {said['sigma']:.3f}, {said['p_passes']:.0%} to pass{retired})"
