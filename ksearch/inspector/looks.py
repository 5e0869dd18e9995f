"""What the inspector shows of one node, as records: also what `ksearch inspect --json --node N` prints (docs/views.md)."""

from __future__ import annotations

from ksearch.records.beliefs import EntryRecord
from ksearch.records.model import CandidateRecord, NodeRecord, Record, TechniqueRecord
from ksearch.records.reading import StoredRun
from ksearch.report.page.details import kernel_detail
from ksearch.report.page.model import CandidateDetail


class Look(Record):
    """Everything about one node that is shown beside the tree. `shown` is the candidate that stands for it, `kernel` its files
    and verdicts, `diff` what it changed against the parent's; None where there is none."""

    format: int = 1
    seq: int
    node: NodeRecord
    candidates: tuple[CandidateRecord, ...]
    shown: CandidateRecord | None
    kernel: CandidateDetail | None
    diff: str | None


class Beliefs(Record):
    """What the search had learnt of each technique by event `seq`, before it first turned to the node."""

    format: int = 1
    seq: int
    evaluations: int
    honesty: float | None
    techniques: tuple[TechniqueRecord, ...]
    document: tuple[EntryRecord, ...] = ()
    """What the planner had written down by then: hypotheses, lessons, questions."""


def look_at(run: StoredRun, node: int) -> Look:
    """Raises BadInput for an unknown node, BlobError when the parent's sources are gone."""
    told = run.node(node)
    shown = None if told.shown is None else run.candidate(told.shown)
    kernel = None if shown is None else kernel_detail(run, shown, shown if shown.twin is None else run.candidate(shown.twin))
    before = None if shown is None else run.builds_on(shown)
    whole = shown is not None and before is not None and kernel is not None and kernel.missing is None
    return Look(
        seq=run.folded, node=told, candidates=tuple(run.candidate(number) for number in told.candidates), shown=shown, kernel=kernel,
        diff=run.diff(before, shown) if whole and before is not None and shown is not None else None,
    )  # fmt: skip


def beliefs_before(run: StoredRun, node: int) -> Beliefs:
    """Moves the run back to that moment: give it one of its own."""
    run.state()
    told = run.node(node)
    first = min((run.ticket(number).issued_seq for number in told.tickets), default=told.seq or None)
    head = run.head(None if first is None else first - 1)
    document = head.world_model_history[-1].entries if head.world_model_history else ()
    return Beliefs(seq=head.seq, evaluations=head.evaluations, honesty=head.honesty, techniques=run.techniques(), document=document)
