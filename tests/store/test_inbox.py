"""Requests beside a living writer, and without one: none is lost, none disturbs the log."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ksearch.store import inbox, schema
from ksearch.store.errors import NotARun, RunLocked, SecretRefused, StoreError
from ksearch.store.inbox import put_request, request_of
from ksearch.store.log import EventLog, EventRow, InboxAnswer
from ksearch.store.requests import REQUEST, Ban, Pin, Stop
from tests.store.test_processes import ENVIRONMENT, kill, start

ASKER = Path(__file__).with_name("child_asker.py")


def asker(database: Path, name: str) -> tuple[subprocess.Popen[str], int]:
    """A process that asks and asks, and the number of its first request."""
    child = subprocess.Popen([sys.executable, str(ASKER), str(database), name], stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)
    assert child.stdout is not None
    return child, int(child.stdout.readline())


def downgrade(database: Path) -> None:
    """As a program of schema 1 left it."""
    connection = sqlite3.connect(database)
    connection.executescript("DROP TABLE inbox; PRAGMA user_version = 1")
    connection.close()


def test_a_request_waits_without_a_writer_and_is_answered_once(database: Path) -> None:
    assert put_request(database, Pin(node=3), "cli") == 1
    with EventLog.open_writer(database) as log:
        (row,) = log.inbox(waiting=True)
        assert REQUEST.validate_json(row.request) == Pin(node=3)
        log.append([EventRow("answered", "{}")], durable=True, answers=[InboxAnswer(1, "refused", "no such node")])
        assert log.inbox(waiting=True) == []
    row_after = request_of(database, 1)
    assert row_after is not None
    assert (row_after.outcome, row_after.reason) == ("refused", "no such node")
    assert request_of(database, 2) is None


def test_an_answer_is_final_and_requests_are_kept(database: Path) -> None:
    put_request(database, Stop(), "cli")
    with EventLog.open_writer(database) as log:
        log.append([], durable=True, answers=[InboxAnswer(1, "done", None)])
        with pytest.raises(StoreError, match="final"):
            log.append([EventRow("lost with it", "{}")], durable=True, answers=[InboxAnswer(1, "refused", "changed my mind")])
        assert log.last_seq == 0, "event and answer stand or fall together"
    connection = sqlite3.connect(database)
    with pytest.raises(sqlite3.IntegrityError, match="kept"):
        connection.execute("DELETE FROM inbox")
    connection.close()


def test_an_older_run_gets_its_inbox_and_keeps_its_events(database: Path) -> None:
    with EventLog.open_writer(database) as log:
        log.append([EventRow("tick", "{}")], durable=True)
    downgrade(database)
    assert put_request(database, Stop(), "cli") == 1
    with EventLog.open_reader(database) as log:
        assert (log.last_seq, len(log.inbox())) == (1, 1)
    fresh, old = (sqlite3.connect(path) for path in (_fresh(database), database))
    tables = "SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite%' ORDER BY name"
    assert fresh.execute(tables).fetchall() == old.execute(tables).fetchall()
    assert old.execute("PRAGMA user_version").fetchone() == (schema.SCHEMA_VERSION,)
    for connection in (fresh, old):
        connection.close()


def _fresh(database: Path) -> Path:
    path = database.parent.parent / "fresh" / "run.sqlite"
    EventLog.create(path).close()
    return path


def test_an_older_program_that_still_writes_is_left_alone(database: Path) -> None:
    downgrade(database)
    holder = start(database, "--hold")
    try:
        downgrade(database)  # what an older program would have open
        with pytest.raises(RunLocked, match=str(holder.pid)):
            put_request(database, Stop(), "cli")
    finally:
        kill(holder)


def test_what_is_no_run_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(NotARun):
        put_request(tmp_path / "absent.sqlite", Stop(), "cli")
    other = tmp_path / "other.sqlite"
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE t (x)")
    connection.close()
    with pytest.raises(NotARun):
        put_request(other, Stop(), "cli")
    assert [path.name for path in tmp_path.iterdir()] == ["other.sqlite"]


def test_keys_of_the_environment_are_refused(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "sk-0123456789abcdef")
    with pytest.raises(SecretRefused, match="SOME_API_KEY"):
        put_request(database, Ban(idea="sk-0123456789abcdef"), "cli")


def test_a_flood_is_refused(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "MAX_WAITING", 3)
    for _ in range(3):
        put_request(database, Stop(), "cli")
    with pytest.raises(StoreError, match="wait already"):
        put_request(database, Stop(), "cli")


def test_askers_that_are_killed_and_suspended_never_disturb_the_writer(database: Path) -> None:
    """Two writers' worth of processes on one file: the log has no gap, and every number told stands for a request."""
    writer, dice = start(database), random.Random(3)
    frozen, first = asker(database, "frozen")
    told = {first}
    for turn in range(4):
        askers = [asker(database, f"asker {turn} {name}") for name in range(2)]
        time.sleep(dice.uniform(0.05, 0.2))
        frozen.send_signal(signal.SIGSTOP)
        for child, first in askers:
            told |= {first, *kill(child)}
        assert writer.poll() is None, "the writer died"
        frozen.send_signal(signal.SIGCONT)
    told.update(kill(frozen))
    written = kill(writer)
    with EventLog.open_writer(database) as log:
        assert [event.seq for event in log.events()] == list(range(1, log.last_seq + 1))
        assert set(written) <= set(range(1, log.last_seq + 1))
        rows = log.inbox()
    assert len(written) > 20
    assert len(told) > 8
    assert told <= {row.number for row in rows}
    assert [row.number for row in rows] == list(range(1, len(rows) + 1))
    for row in rows:
        REQUEST.validate_json(row.request)


def test_the_writer_outwaits_a_process_that_holds_the_file(database: Path) -> None:
    """Whatever else writes into the file, such as a person with a SQLite shell, delays the writer and no more."""
    connect = "import sqlite3, sys, time; held = sqlite3.connect(sys.argv[1], isolation_level=None)"
    hold = f"{connect}; held.execute('BEGIN IMMEDIATE'); print(1, flush=True); time.sleep(1)"
    with EventLog.open_writer(database) as log:
        holder = subprocess.Popen([sys.executable, "-c", hold, str(database)], stdout=subprocess.PIPE, text=True, env=dict(os.environ))
        assert holder.stdout is not None
        holder.stdout.readline()
        assert log.append([EventRow("tick", "{}")], durable=True) == 1
        holder.wait()
