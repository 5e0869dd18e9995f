"""What `ksearch tree --json` prints. The schema is documented in docs/views.md."""

from __future__ import annotations

from typing import Literal

from ksearch.records.building import forecast_record
from ksearch.records.model import ForecastRecord, Record
from ksearch.report.treeselect import TreeOptions
from ksearch.report.treeview import gain_of, is_incumbent, is_pinned, judged_of, selection_of, shown_candidate
from ksearch.store.fold import RunState
from ksearch.tree import NodeView


class TreeNode(Record):
    """One plan: `plan` lists the keys of its steps from the root, N to K and `best` are of its subtree."""

    id: int
    parent: int | None
    depth: int
    children: tuple[int, ...]
    plan: tuple[str, ...]
    technique: str | None
    regime: str | None
    status: Literal["root", "unproven", "proven", "closed", "exhausted"]
    N: int
    Q: float
    best: float | None
    P: float | None
    O: int  # noqa: E741 - the design's letter for visits in flight
    K: int
    F: int
    own_best: float | None
    gain: float | None
    """Measured over the parent, nats; to be held beside `claimed_gain`."""
    attempts: int
    failed_stage: str | None
    claimed_gain: float | None
    p_success: float | None
    intent: str | None
    rationale: str | None
    queued: tuple[str, ...]
    candidates: tuple[int, ...]
    latency_us: float | None
    """Of the candidate that stands for the node, on the subset; in microseconds, weighted mean."""
    baseline_us: float | None
    message: str | None
    incumbent: bool
    pinned: bool
    forecast: ForecastRecord | None


class TreeDocument(Record):
    """The nodes that the options left, by number; `total` is how many the tree has."""

    format: Literal[1] = 1
    run: str
    total: int
    nodes: tuple[TreeNode, ...]


def tree_document(state: RunState, options: TreeOptions) -> TreeDocument:
    tree = state.tree
    if tree is None:
        return TreeDocument(run=state.header.run, total=0, nodes=())
    chosen = selection_of(state, tree, options).ids() if options.selects else None
    return TreeDocument(run=state.header.run, total=len(tree), nodes=tuple(_record(state, view) for view in tree.nodes(chosen)))


def _record(state: RunState, view: NodeView) -> TreeNode:
    candidate = shown_candidate(state, view.id)
    judged, action = None if candidate is None else judged_of(state, candidate), view.action
    return TreeNode(
        id=view.id, parent=view.parent, depth=view.depth, children=tuple(view.children), plan=tuple(step.key for step in view.plan),
        technique=None if action is None else action.technique, regime=None if action is None else action.regime,
        status=view.status.value, N=view.subtree.visits, Q=view.value, best=view.subtree.best,
        P=None if view.parent is None else view.prior, O=view.subtree.in_flight, K=view.subtree.skipped, F=view.subtree.failed,
        own_best=view.own.best, gain=gain_of(state, view), attempts=view.attempts, failed_stage=view.failed_stage,
        claimed_gain=None if action is None else action.gain_mean, p_success=None if action is None else action.p_success,
        intent=None if action is None else action.intent, rationale=None if action is None else action.rationale,
        queued=tuple(proposal.action.key for proposal in view.queued),
        candidates=tuple(other.id for other in state.candidates_of(view.id)),
        latency_us=None if judged is None else judged.latency_us, baseline_us=None if judged is None else judged.baseline_us,
        message=None if judged is None else judged.message, incumbent=is_incumbent(state, candidate),
        pinned=is_pinned(state, view),
        forecast=None if candidate is None else forecast_record(state, candidate.id),
    )  # fmt: skip
