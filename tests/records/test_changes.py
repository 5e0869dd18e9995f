"""Changes since an event, put on what was known then, are the run as it stands: all that doesn't follow from the whole run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import pytest

from ksearch.records.model import CandidateRecord, NodeRecord, ProgressRow, RunChange, RunRecord, TicketRecord
from ksearch.records.reading import StoredRun
from ksearch.report.export import import_run
from ksearch.store.log import EventLog, EventRow

LOG = Path(__file__).resolve().parents[2] / "runs/recorded/dsa_topk-h200/run.jsonl"
MOVED_BY_ALL = {"Q", "mean", "V0", "q", "P", "score"}
"""Fields of a node that any measured reward moves a little."""

Row = TypeVar("Row", NodeRecord, CandidateRecord, TicketRecord)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    import_run(LOG, folder)
    return folder / "dsa_topk-h200"


@pytest.fixture
def growing(whole: Path, tmp_path: Path) -> Iterator[tuple[EventLog, list[EventRow]]]:
    """A log with the run's blobs, and its events to be appended."""
    with EventLog.open_reader(whole / "run.sqlite") as source:
        rows = [EventRow(stored.type, stored.payload, stored.time) for stored in source.events()]
        with EventLog.create(tmp_path / "growing" / "run.sqlite", source.meta) as log:
            log.append((), durable=False, blobs=[source.get_blob(digest) for digest in source.blobs()])
            yield log, rows


@pytest.mark.parametrize("step", [1, 7, 60])
def test_changes_add_up_to_the_whole(growing: tuple[EventLog, list[EventRow]], tmp_path: Path, step: int) -> None:
    log, rows = growing
    first = next(at for at, row in enumerate(rows) if row.type == "root_settled") + 1
    log.append(rows[:first], durable=False)
    told = 0
    with StoredRun.open(str(tmp_path / "growing")) as run:
        known = run.record()
        for at in range(first, len(rows) if step > 1 else first + 150, step):
            log.append(rows[at : at + step], durable=False)
            change = run.changes(known.seq)
            assert change is not None
            told += len(change.nodes)
            known = _with(known, change)
            assert _plain(known) == _plain(run.record())
        assert told < len(known.nodes) * 0.5 * len(range(first, len(rows), step)), "most rows aren't told each time"


def test_too_much_at_once_is_told_as_a_whole(whole: Path) -> None:
    with StoredRun.open(str(whole)) as run:
        assert run.changes(0) is None
        assert run.changes(1) is None, "the root was settled since"
        assert run.changes(run.last_seq + 1) is None
        now = run.changes(run.last_seq)
    assert now is not None
    assert (now.nodes, now.candidates, now.tickets) == ((), (), ())


def _with(known: RunRecord, change: RunChange) -> RunRecord:
    progress: tuple[ProgressRow, ...] = (*known.progress[: change.progress_from], *change.progress)
    return change.run.model_copy(
        update={
            "nodes": _replaced(known.nodes, [(node.id, node) for node in change.nodes]),
            "candidates": _replaced(known.candidates, [(candidate.id, candidate) for candidate in change.candidates]),
            "tickets": _replaced(known.tickets, [(ticket.ticket, ticket) for ticket in change.tickets]),
            "progress": progress,
            "incumbents": change.incumbents,
        }
    )


def _replaced(rows: tuple[Row, ...], newer: Sequence[tuple[int, Row]]) -> tuple[Row, ...]:
    found = dict(enumerate(rows)) | dict(newer)
    assert sorted(found) == list(range(len(found))), "rows stand at the index that is their number"
    return tuple(found[number] for number in range(len(found)))


def _plain(record: RunRecord) -> object:
    without = {"techniques": True, "belief_history": True, "predictions": True}
    return record.model_dump(exclude={**without, "nodes": {"__all__": MOVED_BY_ALL}})
