"""A log that somebody wrote or changed by hand is shown or refused; it never ends in an error that nobody expected."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from ksearch.errors import KsearchError
from ksearch.records.reading import StoredRun
from ksearch.report.page.data import page_data
from ksearch.store.log import EventLog, EventRow
from tests.search.conftest import Bench, bench  # noqa: F401

WILD: tuple[Any, ...] = (-1, 0, 1, 2, 7, 10**6, 10**30, 1e308, -0.5, "", "x", None, True, [], {}, [1], {"a": 1})


@pytest.fixture
def original(bench: Bench) -> EventLog:  # noqa: F811
    bench.search()
    assert bench.journal is not None
    return bench.journal.log


def altered(payload: str, rng: random.Random) -> str:
    """One value somewhere in it is another."""
    event = json.loads(payload)
    place, key = event, rng.choice(sorted(event))
    while isinstance(place[key], dict) and place[key]:
        place, key = place[key], rng.choice(sorted(place[key]))
    place[key] = rng.choice(WILD)
    return json.dumps(event)


def broken(log: EventLog, folder: Path, rng: random.Random) -> None:
    """A copy with one event altered, left out, moved or doubled, past the header."""
    rows = [EventRow(stored.type, stored.payload, stored.time) for stored in log.events()]
    at, how = rng.randrange(1, len(rows)), rng.randrange(5)
    row = rows.pop(at)
    if how == 0:
        rows.insert(at, row._replace(payload_json=altered(row.payload_json, rng)))
    elif how == 1:
        rows.insert(rng.randrange(1, len(rows)), row)
    elif how == 2:
        rows[at:at] = [row, row]
    elif how == 3:
        rows.insert(at, rng.choice(rows))
    with EventLog.create(folder / "run.sqlite") as copy:
        copy.append(rows, durable=False, blobs=[log.get_blob(digest) for digest in log.blobs()])


def test_a_log_with_one_event_wrong_is_shown_or_refused_by_its_number(
    original: EventLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ksearch.store.filesystem.try_second_process", lambda *_: None)  # one folder is tried elsewhere
    rng, refused = random.Random(4), 0
    for number in range(60):
        folder = tmp_path / f"copy-{number}"
        broken(original, folder, rng)
        with StoredRun.open(str(folder)) as run:
            try:
                page_data(run)
            except KsearchError:
                refused += 1
    assert 20 < refused < 60
