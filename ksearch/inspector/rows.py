"""The lines above the tree and its rows, as records: what the inspector draws first. `ksearch inspect --json` prints `Head`."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from ksearch.records.model import BudgetRecord, IncumbentRecord, Record, RunStatus
from ksearch.records.reading import StoredRun
from ksearch.report.treeselect import best_first
from ksearch.report.treeview import gain_of, is_incumbent, is_pinned, judged_of, shown_candidate
from ksearch.store.fold import RunState
from ksearch.tree import NodeView, Tree
from ksearch.tree.types import NodeId


class Head(Record):
    """The run in the lines above the tree. `budget` holds the resources that are limited or were spent."""

    format: int = 1
    run: str
    seq: int
    definition: str
    device_name: str
    timer: str | None
    status: RunStatus
    reason: str | None
    nodes: int
    evaluations: int
    wall_seconds: float
    incumbent: IncumbentRecord | None
    honesty: float | None
    budget: dict[str, BudgetRecord]


class Branch(Record):
    """One row of the tree; children with the best subtree first."""

    node: int
    key: str
    status: str
    N: int
    O: int  # noqa: E741 - the design's letter for visits in flight
    best: float | None
    own_best: float | None
    claimed: float | None
    gain: float | None
    latency_us: float | None
    failed_stage: str | None
    incumbent: bool
    pinned: bool
    children: tuple[int, ...]


def head_of(run: StoredRun, upto: int | None = None) -> Head:
    """Takes in what was written since, up to event `upto`."""
    record, tree = run.head(upto), run.tree
    budget = {name: row for name, row in record.budget.items() if row.limit is not None or row.spent}
    return Head(
        run=record.run, seq=record.seq, definition=record.definition, device_name=record.device_name, timer=record.timer,
        status=record.status, reason=record.reason, nodes=0 if tree is None else len(tree), evaluations=record.evaluations,
        wall_seconds=record.wall_seconds, incumbent=record.incumbent, honesty=record.honesty, budget=budget,
    )  # fmt: skip


def branches_of(state: RunState, nodes: Iterable[int]) -> dict[int, Branch]:
    """Rows of these nodes; none before there is a tree."""
    tree = state.tree
    return {} if tree is None else {view.id: _branch(state, tree, view) for view in tree.nodes(map(NodeId, nodes))}


def _branch(state: RunState, tree: Tree, view: NodeView) -> Branch:
    candidate = shown_candidate(state, view.id)
    judged = None if candidate is None else judged_of(state, candidate)
    return Branch(
        node=view.id, key="root" if view.action is None else view.action.key, status=view.status.value, N=view.subtree.visits,
        O=view.subtree.in_flight, best=view.subtree.best, own_best=view.own.best,
        claimed=None if view.action is None else view.action.gain_mean, gain=gain_of(state, view),
        latency_us=None if judged is None else judged.latency_us, failed_stage=view.failed_stage,
        incumbent=is_incumbent(state, candidate), pinned=is_pinned(state, view),
        children=tuple(sorted(view.children, key=partial(best_first, tree))),
    )  # fmt: skip
