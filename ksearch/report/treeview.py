"""`ksearch tree`: the search tree as text or JSON, best subtrees first."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ksearch.report.summary import us
from ksearch.store.fold import CandidateState, RunState
from ksearch.store.journal import read_state
from ksearch.store.log import EventLog
from ksearch.store.runs import default_runs_dir, find_run
from ksearch.tree import NodeView, views


def print_tree(run: str, runs_dir: Path | None, *, depth: int | None, rows: int, as_json: bool) -> None:
    paths = find_run(run, default_runs_dir(runs_dir))
    with EventLog.open_reader(paths.database) as log:
        state = read_state(log)
    if as_json:
        print(json.dumps({"run": state.header.run, "nodes": [_record(state, view) for view in _views(state)]}))  # noqa: T201
        return
    sys.stdout.write("".join(f"{line}\n" for line in tree_lines(state, depth=depth, rows=rows)))


def _views(state: RunState) -> Iterator[NodeView]:
    return iter(()) if state.tree is None else views(state.tree)


def _record(state: RunState, view: NodeView) -> Mapping[str, Any]:
    """One node of `ksearch tree --json`. `plan` lists the keys from the root; latencies are subset means in microseconds."""
    assert state.tree is not None
    candidate = shown_candidate(state, view.id)
    judged = None if candidate is None else candidate.verdicts.get("evaluate") or candidate.verdicts.get("promote")
    return {
        "id": view.id, "parent": view.parent, "plan": [action.key for action in state.tree.plan(view.id)],
        "N": view.N, "Q": view.Q, "best": view.best, "P": view.P, "O": view.O, "K": view.K, "F": view.F,
        "status": view.status, "own_best": view.own_best, "attempts": view.attempts, "failed_stage": view.failed_stage,
        "claimed_gain": None if view.action is None else view.action.gain_mean,
        "p_success": None if view.action is None else view.action.p_success,
        "intent": None if view.action is None else view.action.intent,
        "rationale": None if view.action is None else view.action.rationale,
        "queued": list(view.queued),
        "candidates": [other.id for other in state.candidates_of(view.id)],
        "latency_us": None if judged is None else judged.latency_us,
        "baseline_us": None if judged is None else judged.baseline_us,
        "message": None if judged is None else judged.message,
        "incumbent": state.incumbent is not None and candidate is not None and state.incumbent.candidate == candidate.id,
    }  # fmt: skip


def shown_candidate(state: RunState, node: int) -> CandidateState | None:
    """The candidate that stands for a node: the best that passed, else the last written."""
    written = state.candidates_of(node)
    return state.best_candidate_of(node) or (written[-1] if written else None)


def tree_lines(state: RunState, *, depth: int | None, rows: int) -> Iterator[str]:
    """Header, then one line for each node, depth first, the best subtree of each plan first; at most `rows` nodes (0: all)."""
    if state.tree is None:
        yield f"{state.header.run}: the root isn't measured yet, there is no tree"
        return
    nodes = list(views(state.tree))
    children: dict[int, list[NodeView]] = {}
    for view in nodes:
        if view.parent is not None:
            children.setdefault(view.parent, []).append(view)
    yield f"{state.header.run}  {state.header.definition_name} on {state.header.device_name}: {len(nodes)} nodes, {state.evaluations} evaluations"
    yield "     N    F    O    K      Q    best     P    latency  plan (* incumbent, x closed, ? unproven)"
    for shown, (view, level) in enumerate(_walk(nodes[0], children, depth)):
        if rows and shown >= rows:
            yield f"... {len(nodes) - shown} more nodes; --rows 0 shows all"
            return
        yield _line(state, view, level)


def _walk(root: NodeView, children: Mapping[int, list[NodeView]], depth: int | None) -> Iterator[tuple[NodeView, int]]:
    stack = [(root, 0)]
    while stack:
        view, level = stack.pop()
        yield view, level
        if depth is None or level < depth:
            below = sorted(children.get(view.id, ()), key=lambda child: (child.best if child.best is not None else -math.inf, -child.id))
            stack += [(child, level + 1) for child in below]


def _line(state: RunState, view: NodeView, level: int) -> str:
    candidate = shown_candidate(state, view.id)
    judged = None if candidate is None else candidate.verdicts.get("evaluate") or candidate.verdicts.get("promote")
    latency = f"{us(judged.latency_us)} us" if judged is not None and judged.latency_us is not None else "-"
    best = "-" if view.best is None else f"{view.best:+.3f}"
    prior = "-" if view.P is None else f"{view.P:.2f}"
    star = "*" if state.incumbent is not None and candidate is not None and state.incumbent.candidate == candidate.id else " "
    mark = {"closed": "x", "unproven": "?"}.get(view.status, star)
    name = "root" if view.action is None else view.action.key
    stage = f"  [{view.failed_stage}]" if view.status == "closed" else ""
    return f"{view.N:6d} {view.F:4d} {view.O:4d} {view.K:4d} {view.Q:+6.3f} {best:>7} {prior:>5} {latency:>10}  {'  ' * level}{mark} #{view.id} {name}{stage}"
