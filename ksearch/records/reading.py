"""Opening a stored run to look at it: its records at any moment, and the kernels and verdicts they name."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

from pydantic import ValidationError

from ksearch.errors import BadInput
from ksearch.records.building import (
    candidate_record,
    change_record,
    head_record,
    node_record,
    run_record,
    technique_records,
    ticket_record,
)
from ksearch.records.history import History
from ksearch.records.model import CandidateRecord, NodeRecord, RunChange, RunRecord, TechniqueRecord, TicketRecord
from ksearch.records.rows import FlatRow, candidate_rows, node_rows
from ksearch.records.touched import touched_by
from ksearch.settings import Settings
from ksearch.store.events import ArmOpenedEvent, RunCreated, TicketIssued, parse_event
from ksearch.store.fold import BrokenLog, RunState
from ksearch.store.journal import no_collections
from ksearch.store.log import EventLog, InboxRow
from ksearch.store.runs import default_runs_dir, find_run
from ksearch.tree import Tree
from ksearch.tree.types import NodeId

if TYPE_CHECKING:
    import networkx as nx

    from ksearch.definitions.schema import Definition, Solution
    from ksearch.judge.verdict import JudgedWorkload, Verdict
    from ksearch.profiling.bounds import Bounds


class Turn(NamedTuple):
    """A ticket that was issued for a node, the event's number, and the opening of the node where that came just before."""

    seq: int
    issued: TicketIssued
    opened: ArmOpenedEvent | None


MOST_CHANGES = 2000
"""Events that are told as changes: after more of them most rows have changed."""


class StoredRun:
    """A run open for reading, also while another process writes it. A context manager; changes nothing on disk.

    `record` folds new events only: called again on a growing run it costs what was added.
    """

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._state, self._history = _begin(log)
        self._floors: tuple[str, Mapping[str, float]] = ("", {})

    @classmethod
    def open(cls, run: str, runs_dir: Path | None = None) -> Self:
        """By name, unique beginning of a name, path, or `latest`. Raises UnknownRun, NotARun, NewerSchema, BrokenLog."""
        return cls(EventLog.open_reader(find_run(run, default_runs_dir(runs_dir)).database))

    def record(self, upto: int | None = None) -> RunRecord:
        """The run as it stands, or as it stood after event `upto` (1 is the first)."""
        with no_collections():
            self._move(upto)
            return run_record(self._state, self._history, self._log.meta, self._timer())

    def advance(self, events: int) -> bool:
        """Fold at most so many events more; whether some are left. For who wants to show a long run while it is read."""
        target = self.folded + events
        with no_collections():
            self._fold(target)
        return self.folded == target and self.last_seq > target

    @property
    def so_far(self) -> RunState:
        """The fold of what was folded by now. Don't change it."""
        return self._state

    def state(self, upto: int | None = None) -> RunState:
        """The fold itself, for what the records leave out (`state.tree.explain`). Don't change it; a later call does."""
        with no_collections():
            self._move(upto)
        return self._state

    def head(self, upto: int | None = None) -> RunRecord:
        """The run without its rows: cheap, however long the run is."""
        with no_collections():
            self._move(upto)
        return head_record(self._state, self._history, self._log.meta, self._timer())

    def changes(self, since: int) -> RunChange | None:
        """What came after event `since`, at the cost of what came; None when so much changed that `record` tells it better."""
        with no_collections():
            self._move(None)
            if not 0 < since <= self.folded or self.folded - since > MOST_CHANGES:
                return None
            told = islice(self._log.events(after=since), self.folded - since)  # the search may have written more by now
            touched = touched_by((parse_event(stored.payload) for stored in told), self._state, self._history)
            head = head_record(self._state, self._history, self._log.meta, self._timer())
            return None if touched.everything else change_record(self._state, self._history, head, since, touched)

    def node(self, node: int) -> NodeRecord:
        """One node at the moment that `record`, `head` or `state` was last asked for. Raises BadInput for an unknown one."""
        tree = self._state.tree
        if tree is None or not 0 <= node < len(tree):
            raise BadInput(_unknown_node(self._state.header.run, node, 0 if tree is None else len(tree)))
        return node_record(self._state, self._history, tree.node(NodeId(node)), tree.explain(NodeId(node)))

    def turns(self, node: int) -> list[Turn]:
        """When the search turned to a node, in order; none for one that the run doesn't have. Read from the log, folded or not.

        Raises BrokenLog for an event that can't be read.
        """
        found: list[Turn] = []
        seq, opened = 0, None
        for stored in self._log.events_at(node, ("arm_opened", "ticket_issued")):
            try:
                event = parse_event(stored.payload)
            except ValidationError as error:
                raise BrokenLog(f"run {self._state.header.run}: event {stored.seq} can't be read: {error}") from error
            if isinstance(event, ArmOpenedEvent):
                seq, opened = stored.seq, event
            elif isinstance(event, TicketIssued):
                found.append(Turn(stored.seq, event, opened if seq == stored.seq - 1 else None))
        return found

    def candidate(self, candidate: int) -> CandidateRecord:
        """One candidate at that moment."""
        return candidate_record(self._state, self._history, self._state.candidates[candidate])

    def ticket(self, ticket: int) -> TicketRecord:
        """One decision at that moment."""
        return ticket_record(self._state, self._history, ticket)

    def techniques(self) -> tuple[TechniqueRecord, ...]:
        """What became of each technique until that moment."""
        return technique_records(self._state)

    def builds_on(self, candidate: CandidateRecord) -> CandidateRecord | None:
        """The kernel that stands for the parent of its node, at that moment; None for the root's own."""
        parent = None if self._state.tree is None else self.node(candidate.node).parent
        shown = None if parent is None else self.node(parent).shown
        return None if shown is None else self.candidate(shown)

    @property
    def tree(self) -> Tree | None:
        """Of that moment; None until the root is measured."""
        return self._state.tree

    @property
    def folded(self) -> int:
        """The event after which what was last asked for stands."""
        return self._history.last.seq

    @property
    def last_seq(self) -> int:
        """The newest event in the file, folded or not."""
        return self._log.last_seq

    def inbox(self) -> list[InboxRow]:
        """What other processes asked of this run, answered or not."""
        return self._log.inbox()

    def solution(self, candidate: CandidateRecord) -> Solution:
        from ksearch.definitions.schema import Solution

        return Solution.model_validate_json(self._log.get_blob(candidate.solution))

    def verdict(self, digest: str) -> Verdict:
        from ksearch.judge.verdict import Verdict

        return Verdict.model_validate_json(self._log.get_blob(digest))

    def definition(self) -> Definition:
        from ksearch.definitions.schema import Definition

        return Definition.model_validate_json(self._log.get_blob(self._state.header.definition))

    def workloads(self) -> tuple[JudgedWorkload, ...]:
        """The full set, with regimes and weights."""
        return self._workloads(self._state.header.workloads)

    def subset(self) -> tuple[JudgedWorkload, ...]:
        """The stratified subset that an ordinary evaluation times."""
        return self._workloads(self._state.header.subset)

    def _workloads(self, digest: str) -> tuple[JudgedWorkload, ...]:
        from ksearch.jobs import WORKLOADS

        return WORKLOADS.validate_json(self._log.get_blob(digest))

    def bounds(self) -> Bounds | None:
        """Floors of every workload of the full set and the ceilings they rest on, at that moment; None where `record().bounds` is."""
        from ksearch.profiling.bounds import Bounds

        known = self._state.bounds
        return None if known is None else Bounds.model_validate_json(self._log.get_blob(known.bounds))

    def floors(self) -> Mapping[str, float]:
        """The floor of each workload by its uuid, in microseconds; empty where none are known."""
        known = self._state.bounds
        if known is not None and known.bounds != self._floors[0]:
            bounds = self.bounds()
            self._floors = (known.bounds, {} if bounds is None else {row.uuid: row.floor_us for row in bounds.workloads})
        return {} if known is None else self._floors[1]

    def times(self) -> dict[int, float]:
        """When each event was written, by its number, in seconds since the epoch."""
        return {stored.seq: stored.time for stored in self._log.events()}

    def graph(self, upto: int | None = None) -> nx.DiGraph[int]:
        """The tree as a networkx graph, node attributes as in `nodes`."""
        from ksearch.records.graph import graph_of

        return graph_of(self.record(upto))

    def nodes(self, upto: int | None = None) -> list[FlatRow]:
        """A flat row for each node: `pandas.DataFrame(run.nodes())`."""
        return node_rows(self.record(upto))

    def candidates(self, upto: int | None = None) -> list[FlatRow]:
        """A flat row for each candidate."""
        return candidate_rows(self.record(upto))

    def parent_of(self, record: RunRecord, candidate: CandidateRecord) -> CandidateRecord | None:
        """The kernel that a candidate's plan builds on: what stands for the parent node; None for the root's own."""
        parent = record.nodes[candidate.node].parent if candidate.node < len(record.nodes) else None
        shown = None if parent is None else record.nodes[parent].shown
        return None if shown is None else record.candidates[shown]

    def diff(self, before: CandidateRecord, after: CandidateRecord, context: int = 3) -> str:
        """Unified diff of all source files; empty when the code is the same."""
        return "".join(_diff(self.solution(before), self.solution(after), f"#{before.node}", f"#{after.node}", context))

    def blob(self, digest: str) -> bytes:
        return self._log.get_blob(digest)

    def close(self) -> None:
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _move(self, upto: int | None) -> None:
        if upto is not None and upto < self._history.last.seq:
            self._state, self._history = _begin(self._log)
        self._fold(upto)

    def _fold(self, upto: int | None) -> None:
        for stored in self._log.events(after=self._history.last.seq):
            if upto is not None and stored.seq > upto:
                return
            event = self._state.replay(stored.seq, stored.payload, stored.time)
            self._history.note(stored.seq, event, self._state)

    def _timer(self) -> str | None:
        """Of the latest answer that was timed; timers are never mixed within a run."""
        for row in reversed(self._history.progress):
            if row.reward is not None:
                answer = next(reversed(self._state.candidates[row.candidate].verdicts.values()))
                return self.verdict(answer.verdict).timer
        return None


def _begin(log: EventLog) -> tuple[RunState, History]:
    first = next(log.events(), None)
    header = None if first is None else parse_event(first.payload)
    if first is None or not isinstance(header, RunCreated):
        raise BrokenLog("the log does not begin with run_created")
    state = RunState.begin(header, Settings.model_validate_json(log.get_blob(header.settings)))
    state.last_time = first.time
    history = History()
    history.note(first.seq, header, state)
    return state, history


def _diff(old: Solution, new: Solution, old_label: str, new_label: str, context: int) -> Iterator[str]:
    before, after = ({source.path: source.content for source in solution.sources} for solution in (old, new))
    for path in sorted(before.keys() | after.keys()):
        lines = difflib.unified_diff(
            before.get(path, "").splitlines(keepends=True), after.get(path, "").splitlines(keepends=True),
            f"{old_label}/{path}", f"{new_label}/{path}", n=context,
        )  # fmt: skip
        for line in lines:
            yield line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"


def node_of(record: RunRecord, node: int) -> int:
    """The node, if the run has it; raises BadInput."""
    if not 0 <= node < len(record.nodes):
        raise BadInput(_unknown_node(record.run, node, len(record.nodes)))
    return node


def _unknown_node(run: str, node: int, nodes: int) -> str:
    known = f"`ksearch tree {run}` lists them (0 to {nodes - 1})" if nodes else "its root isn't measured yet"
    return f"run {run}: has no node {node}; {known}"
