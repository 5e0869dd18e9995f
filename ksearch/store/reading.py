"""Read access to a run that leaves no trace: nothing is created, locked or migrated, also in a read-only folder.

SQLite reads a WAL database through two side files (-wal, -shm), and makes them when they are missing. While a writer
lives they exist, and an ordinary read-only connection follows it. When none does, the main file is complete and is read
as `immutable`, which touches nothing. A writer may then start under our feet, so what was read is believed only if
afterwards the main file is unchanged and the WAL still empty; else the file is opened again and the query repeated.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from ksearch.store import schema
from ksearch.store.errors import NotARun

_PATIENCE_S = 10.0
"""How long SQLite waits while a writer that was killed is recovered by another process."""


class ReadConnection:
    """Queries on a run's file. A log of an older schema is copied to memory and migrated there: it shows the moment it was opened."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._still: tuple[int, ...] | None = None
        self._connection = self._open()

    def query(self, sql: str, parameters: Sequence[object] = ()) -> list[Any]:
        """All rows, from one consistent state of the log."""
        while True:
            with schema.explained(self.path):
                rows = self._connection.execute(sql, parameters).fetchall()
            if not self._moved():
                return rows
            self._connection.close()
            self._connection = self._open()

    def close(self) -> None:
        self._connection.close()

    def _open(self) -> sqlite3.Connection:
        while True:
            if not self.path.is_file():
                raise NotARun(f"{self.path} is not a ksearch run: no such file")
            self._still = _signature(self.path) if _wal_is_empty(self.path) else None
            with schema.explained(self.path):
                connection = self._connect()
                version = schema.identify(connection, self.path)
            if self._moved():
                connection.close()
                continue
            if version < schema.SCHEMA_VERSION:
                return self._migrated_copy(connection, version)
            return connection

    def _connect(self) -> sqlite3.Connection:
        mode = "?mode=ro" if self._still is None else "?mode=ro&immutable=1"
        return sqlite3.connect(self.path.absolute().as_uri() + mode, uri=True, isolation_level=None, timeout=_PATIENCE_S)

    def _migrated_copy(self, connection: sqlite3.Connection, version: int) -> sqlite3.Connection:
        copy = sqlite3.connect(":memory:", isolation_level=None)
        with schema.explained(self.path):
            connection.backup(copy)
            schema.migrate(copy, version)
        connection.close()
        self._still = None
        return copy

    def _moved(self) -> bool:
        return self._still is not None and not (_wal_is_empty(self.path) and _signature(self.path) == self._still)


def schema_of(path: Path) -> int:
    """The schema version of a run's file as it lies there. Raises NotARun, NewerSchema."""
    if not path.is_file():
        raise NotARun(f"{path} is not a ksearch run: no such file")
    mode = "?mode=ro&immutable=1" if _wal_is_empty(path) else "?mode=ro"
    with schema.explained(path), closing(sqlite3.connect(path.absolute().as_uri() + mode, uri=True, timeout=_PATIENCE_S)) as connection:
        return schema.identify(connection, path)


def _wal_is_empty(path: Path) -> bool:
    try:
        return path.with_name(path.name + "-wal").stat().st_size == 0
    except FileNotFoundError:
        return True


def _signature(path: Path) -> tuple[int, ...]:
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns
