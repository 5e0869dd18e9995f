"""`ksearch tree`: the search tree as text or JSON, best subtrees first."""

from __future__ import annotations

import atexit
import gc
import json
import math
import sys
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from ksearch.report.summary import us
from ksearch.store.events import EvaluationSettled
from ksearch.store.fold import CandidateState, RunState
from ksearch.store.forecasts import shown
from ksearch.store.journal import no_collections, read_state
from ksearch.store.log import EventLog
from ksearch.store.runs import default_runs_dir, find_run
from ksearch.tree import NodeStatus, NodeView, Tree
from ksearch.tree.types import ROOT, NodeId


def print_tree(run: str, runs_dir: Path | None, *, depth: int | None, rows: int, as_json: bool) -> None:
    paths = find_run(run, default_runs_dir(runs_dir))
    atexit.register(gc.freeze)  # else a large tree is searched for cycles once more, only to end the process
    with no_collections(), EventLog.open_reader(paths.database) as log:
        state = read_state(log, books=False)
        if as_json:
            print(json.dumps({"run": state.header.run, "nodes": _records(state)}))  # noqa: T201
        else:
            sys.stdout.write("".join(f"{line}\n" for line in tree_lines(state, depth=depth, rows=rows)))


def _records(state: RunState) -> list[Mapping[str, Any]]:
    return [] if state.tree is None else [_record(state, view) for view in state.tree.nodes()]


def _record(state: RunState, view: NodeView) -> Mapping[str, Any]:
    """One node of `ksearch tree --json`. `plan` lists the keys from the root; latencies are subset means in microseconds."""
    candidate = shown_candidate(state, view.id)
    judged = None if candidate is None else _judged(state, candidate)
    return {
        "id": view.id, "parent": view.parent, "plan": [action.key for action in view.plan],
        "N": view.subtree.visits, "Q": view.value, "best": view.subtree.best, "P": _prior(view),
        "O": view.subtree.in_flight, "K": view.subtree.skipped, "F": view.subtree.failed,
        "status": view.status, "own_best": view.own.best, "attempts": view.attempts, "failed_stage": view.failed_stage,
        "claimed_gain": None if view.action is None else view.action.gain_mean,
        "p_success": None if view.action is None else view.action.p_success,
        "intent": None if view.action is None else view.action.intent,
        "rationale": None if view.action is None else view.action.rationale,
        "queued": [proposal.action.key for proposal in view.queued],
        "candidates": [other.id for other in state.candidates_of(view.id)],
        "latency_us": None if judged is None else judged.latency_us,
        "baseline_us": None if judged is None else judged.baseline_us,
        "message": None if judged is None else judged.message,
        "incumbent": _is_incumbent(state, candidate),
        "forecast": None if candidate is None else shown(state.surrogate, candidate.id),
    }  # fmt: skip


def shown_candidate(state: RunState, node: int) -> CandidateState | None:
    """The candidate that stands for a node: the best that passed, else the last written."""
    written = state.candidates_of(node)
    return state.best_candidate_of(node) or (written[-1] if written else None)



def _judged(state: RunState, candidate: CandidateState) -> EvaluationSettled | None:
    """The verdict on a candidate's code, which stands with the first candidate that had it."""
    verdicts = state.twin_of(candidate).verdicts
    return verdicts.get("evaluate") or verdicts.get("promote")


def _is_incumbent(state: RunState, candidate: CandidateState | None) -> bool:
    return state.incumbent is not None and candidate is not None and state.incumbent.candidate == state.twin_of(candidate).id


def tree_lines(state: RunState, *, depth: int | None, rows: int) -> Iterator[str]:
    """Header, then one line for each node, depth first, the best subtree of each plan first; at most `rows` nodes (0: all)."""
    if state.tree is None:
        yield f"{state.header.run}: the root isn't measured yet, there is no tree"
        return
    nodes, place = len(state.tree), f"{state.header.definition_name} on {state.header.device_name}"
    yield f"{state.header.run}  {place}: {nodes} nodes, {state.evaluations} evaluations"
    yield "     N    F    O    K      Q    best     P    latency  plan (* incumbent, x closed, ? unproven)"
    walk = _walk(state.tree, depth)
    shown = list(islice(walk, rows or None))
    yield from (_line(state, view) for view in state.tree.nodes(shown))
    if next(walk, None) is not None:
        yield f"... {nodes - len(shown)} more nodes; --rows 0 shows all"


def _walk(tree: Tree, depth: int | None) -> Iterator[NodeId]:
    """Depth first, lazily: of a large tree only the plans that are shown are looked at."""
    stack = [(ROOT, 0)]
    while stack:
        node, level = stack.pop()
        yield node
        if depth is None or level < depth:
            stack += [(child, level + 1) for child in sorted(tree.children(node), key=lambda child: _worst_first(tree, child))]


def _worst_first(tree: Tree, node: NodeId) -> tuple[float, int]:
    best = tree.best(node)
    return (-math.inf if best is None else best, -node)


def _prior(view: NodeView) -> float | None:
    """The root has no siblings to be preferred to."""
    return None if view.parent is None else view.prior


def _line(state: RunState, view: NodeView) -> str:
    candidate, counts, prior = shown_candidate(state, view.id), view.subtree, _prior(view)
    judged = None if candidate is None else _judged(state, candidate)
    latency = f"{us(judged.latency_us)} us" if judged is not None and judged.latency_us is not None else "-"
    best = "-" if counts.best is None else f"{counts.best:+.3f}"
    share = "-" if prior is None else f"{prior:.2f}"
    star = "*" if _is_incumbent(state, candidate) else " "
    mark = {NodeStatus.CLOSED: "x", NodeStatus.UNPROVEN: "?"}.get(view.status, star)
    name = "root" if view.action is None else view.action.key
    stage = f"  [{view.failed_stage}]" if view.status is NodeStatus.CLOSED else ""
    forecast = "" if candidate is None else _forecast(state, candidate)
    visits = f"{counts.visits:6d} {counts.failed:4d} {counts.in_flight:4d} {counts.skipped:4d}"
    return f"{visits} {view.value:+6.3f} {best:>7} {share:>5} {latency:>10}  {'  ' * view.depth}{mark} #{view.id} {name}{stage}{forecast}"


def _forecast(state: RunState, candidate: CandidateState) -> str:
    """What was expected of the node's candidate, as a reward beside the measured one; empty without a forecast."""
    said = shown(state.surrogate, candidate.id)
    if said is None:
        return ""
    retired = f", {said['retired']}" if said["retired"] else ""
    return f"  (forecast {said['reward']:+.3f} ± {said['sigma']:.3f}, {said['p_passes']:.0%} to pass{retired})"
