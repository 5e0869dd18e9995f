"""The tables of a run's SQLite file, its schema version, and how older versions become the present one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ksearch.store.errors import BadEvent, NewerSchema, NotARun, StoreError

APPLICATION_ID: Final = int.from_bytes(b"ksrc", "big")
"""Marks the file as ours in SQLite's header; file(1) and we can tell it from other databases."""

SCHEMA_VERSION: Final = 2

# Requests of other processes to the run's writer (see inbox.py). An answer is final. AUTOINCREMENT: a number is never reused.
_INBOX: Final = (
    """CREATE TABLE inbox (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        time REAL NOT NULL,
        origin TEXT NOT NULL,
        request TEXT NOT NULL CHECK (json_valid(request)),
        outcome TEXT CHECK (outcome IN ('done', 'refused')),
        reason TEXT
    )""",
    "CREATE INDEX inbox_waiting ON inbox (number) WHERE outcome IS NULL",
    """CREATE TRIGGER inbox_keep_update BEFORE UPDATE ON inbox
        WHEN OLD.outcome IS NOT NULL OR NEW.request <> OLD.request OR NEW.number <> OLD.number
        BEGIN SELECT RAISE(ABORT, 'answered requests are final'); END""",
    "CREATE TRIGGER inbox_keep_delete BEFORE DELETE ON inbox BEGIN SELECT RAISE(ABORT, 'requests are kept'); END",
)

# Append-only by trigger, since the log is only worth something when nothing in it can change afterwards. INSERT OR
# REPLACE deletes without firing delete triggers, hence the third. Sequence numbers have no gaps: nothing is deleted.
_TABLES: Final = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    """CREATE TABLE events (
        seq INTEGER PRIMARY KEY,
        time REAL NOT NULL,
        type TEXT NOT NULL CHECK (type <> ''),
        payload TEXT NOT NULL CHECK (json_valid(payload))
    )""",
    """CREATE TABLE blobs (
        digest TEXT PRIMARY KEY CHECK (length(digest) = 64),
        codec TEXT NOT NULL CHECK (codec IN ('raw', 'zlib')),
        data BLOB NOT NULL
    )""",
    "CREATE TRIGGER events_keep_update BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'events are append-only'); END",
    "CREATE TRIGGER events_keep_delete BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'events are append-only'); END",
    """CREATE TRIGGER events_keep_replace BEFORE INSERT ON events
        WHEN EXISTS (SELECT 1 FROM events WHERE seq = NEW.seq)
        BEGIN SELECT RAISE(ABORT, 'events are append-only'); END""",
    "CREATE TRIGGER blobs_keep_update BEFORE UPDATE ON blobs BEGIN SELECT RAISE(ABORT, 'blobs are append-only'); END",
    "CREATE TRIGGER blobs_keep_delete BEFORE DELETE ON blobs BEGIN SELECT RAISE(ABORT, 'blobs are append-only'); END",
    *_INBOX,
)


@dataclass(frozen=True)
class Migration:
    """Statements that turn the schema of version - 1 into that of `version`. One that rewrites events drops and restores their triggers."""

    version: int
    statements: tuple[str, ...]


MIGRATIONS: tuple[Migration, ...] = (Migration(2, _INBOX),)
"""One for each version after the first, in order."""


def build(connection: sqlite3.Connection, meta: Sequence[tuple[str, str]]) -> None:
    """Make the tables of a new log in one transaction."""
    connection.execute("BEGIN IMMEDIATE")
    for statement in _TABLES:
        connection.execute(statement)
    connection.executemany("INSERT INTO meta VALUES (?, ?)", meta)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    connection.execute("COMMIT")


def identify(connection: sqlite3.Connection, path: Path) -> int:
    """The schema version of a run's file. Raises NotARun for any other file, NewerSchema for a future one."""
    application = _pragma(connection, "application_id")
    version = _pragma(connection, "user_version")
    if application != APPLICATION_ID:
        raise NotARun(f"{path} is not a ksearch run: " + ("it is empty" if not path.stat().st_size else "it is some other SQLite database"))
    if version > SCHEMA_VERSION:
        raise NewerSchema(f"{path} has schema {version}, this program knows up to {SCHEMA_VERSION}; upgrade ksearch to open it")
    return version


def migrate(connection: sqlite3.Connection, version: int) -> None:
    """Bring the log from `version` to the present schema, in one transaction: all steps or none."""
    steps = [migration for migration in MIGRATIONS if migration.version > version]
    if not steps:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        for step in steps:
            for statement in step.statements:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {step.version}")
        connection.execute("COMMIT")
    except sqlite3.Error:
        connection.execute("ROLLBACK")
        raise


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn SQLite's errors on a run's file into the store's own."""
    try:
        yield
    except UnicodeEncodeError as error:
        raise BadEvent(f"text that is no valid Unicode can't be stored: {error.reason}") from error
    except sqlite3.IntegrityError as error:
        raise BadEvent(f"event refused: {error}") from error
    except sqlite3.DatabaseError as error:
        code = error.sqlite_errorcode & 0xFF if hasattr(error, "sqlite_errorcode") else None
        if code == sqlite3.SQLITE_NOTADB:
            raise NotARun(f"{path} is not a ksearch run: it is no SQLite file") from error
        if code == sqlite3.SQLITE_CORRUPT:
            raise NotARun(f"{path} is damaged ({error}); import an export of the run, or start a new one") from error
        raise StoreError(f"{path}: {error}") from error


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    value: int = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return value
