"""Asking a run's writer for something from another process.

A request is one row in a table beside the events, put there by a single statement: whoever asks never holds SQLite's
write lock across Python code, takes no part in the log, and leaves nothing behind when killed. The writer takes requests
in between its steps; while there is none, they wait for the next.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

from ksearch.store import filesystem, schema
from ksearch.store.errors import StoreError
from ksearch.store.guard import refuse_secrets
from ksearch.store.log import EventLog, InboxRow
from ksearch.store.reading import schema_of
from ksearch.store.requests import REQUEST, Request

PATIENCE_S = 10.0
"""How long a request waits for its turn to write; the writer's own transactions take milliseconds."""

MAX_WAITING = 1000
"""Unanswered requests of one run: far more than a person asks, far fewer than would fill a disk."""


def put_request(database: Path, request: Request, origin: str) -> int:
    """Leave a request for the run's writer; return its number. `origin` says who passed it on, such as 'cli'.

    Raises StoreError: no run there, an older program is writing it, the folder can't be written, too many wait.
    """
    text = REQUEST.dump_json(request).decode()
    refuse_secrets([text, origin])
    _provide_table(database)
    filesystem.refuse_network(database.parent)
    with schema.explained(database), closing(_connect(database)) as connection:
        sql = """INSERT INTO inbox (time, origin, request) SELECT ?, ?, ?
            WHERE (SELECT count(*) FROM inbox WHERE outcome IS NULL) < ? RETURNING number"""
        row = connection.execute(sql, (time.time(), origin, text, MAX_WAITING)).fetchone()
    if row is None:
        raise StoreError(f"{MAX_WAITING} requests to {database.parent.name} wait already; `ksearch resume` takes them in")
    number: int = row[0]
    return number


def request_of(database: Path, number: int) -> InboxRow | None:
    """The request as it stands; None when there is none of that number."""
    with EventLog.open_reader(database) as log:
        return next((row for row in log.inbox() if row.number == number), None)


def _provide_table(database: Path) -> None:
    """A run of an older program gets its table from a writer of this one: nobody else may change a schema.

    Raises RunLocked while the older program still writes it.
    """
    if schema_of(database) < schema.SCHEMA_VERSION:
        EventLog.open_writer(database).close()


def _connect(database: Path) -> sqlite3.Connection:
    """In WAL mode without fsync and without checkpoints: those take long, and the write lock or the disk with them."""
    uri = database.absolute().as_uri() + "?mode=rw"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=PATIENCE_S)
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    return connection
