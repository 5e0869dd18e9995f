"""The event log of one run: an append-only sequence of typed JSON events, and blobs named by their digest.

The log knows nothing of what the events mean. Each append is one transaction, committed when it returns, so it survives
the death of the process; `durable` ones also survive that of the machine. A log belongs to the thread that opened it,
and must not be used in a forked child. Do not open or copy a run's files by other means in a process that writes it:
closing them would drop SQLite's locks and ours.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import sqlite3
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

from ksearch.store import filesystem, schema
from ksearch.store.creation import connect_writer, create_database, lock_path
from ksearch.store.errors import BlobError, StoreError
from ksearch.store.guard import refuse_secrets
from ksearch.store.lock import WriterLock
from ksearch.store.reading import ReadConnection

_BATCH = 2048
"""Rows fetched at once. Between batches no snapshot is held, so a slow reader never keeps the WAL from being recycled."""

_COMPRESS_FROM = 256
"""Bytes below which zlib saves nothing worth having."""


class EventRow(NamedTuple):
    """An event to append. `time` is in seconds since the epoch; None is now."""

    type: str
    payload_json: str
    time: float | None = None


class StoredEvent(NamedTuple):
    """An event as it stands in the log: `seq` counts from 1 without gaps, `time` is in seconds since the epoch, `payload` is JSON text."""

    seq: int
    time: float
    type: str
    payload: str


class InboxRow(NamedTuple):
    """A request as it stands: `time` in seconds since the epoch, `request` JSON text, `outcome` None while it waits."""

    number: int
    time: float
    origin: str
    request: str
    outcome: Literal["done", "refused"] | None
    reason: str | None


class InboxAnswer(NamedTuple):
    number: int
    outcome: Literal["done", "refused"]
    reason: str | None


@dataclass(frozen=True)
class RunMeta:
    """What the log says of itself: its run, when it was created (seconds since the epoch) and by which version of the program."""

    run_id: str
    created: float
    program: str


def program_version() -> str:
    try:
        return importlib.metadata.version("ksearch-kernels")
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


class EventLog:
    """Made by `create`, `open_writer` or `open_reader`; a context manager that closes itself."""

    def __init__(
        self, path: Path, source: sqlite3.Connection | ReadConnection, lock: WriterLock | None, clock: Callable[[], float] = time.time
    ) -> None:
        self.path = path
        self._source = source
        self._lock = lock
        self._clock = clock
        self._full_sync: bool | None = None
        self.meta = self._read_meta()

    @classmethod
    def create(cls, path: Path, meta: RunMeta | None = None, *, clock: Callable[[], float] = time.time) -> Self:
        """A new log, open for writing. Without `meta` the run is named after the folder.

        Raises RunsDirError (unwritable, no locks, no WAL, network file system), RunExists, RunLocked; then nothing is left.
        """
        meta = meta or RunMeta(path.parent.name, clock(), program_version())
        schema_version = str(schema.SCHEMA_VERSION)
        rows = [("run", meta.run_id), ("created", repr(meta.created)), ("program", meta.program), ("created_schema", schema_version)]
        lock = create_database(path, rows)
        return cls._writer(path, lock, clock)

    @classmethod
    def open_writer(cls, path: Path, *, clock: Callable[[], float] = time.time) -> Self:
        """An existing log, for appending; an older schema is migrated. Raises NotARun, NewerSchema, RunLocked, RunsDirError."""
        ReadConnection(path).close()  # refuses what is no run before a lock file is put beside it
        filesystem.refuse_network(path.parent)
        return cls._writer(path, WriterLock(lock_path(path)), clock)

    @classmethod
    def open_reader(cls, path: Path) -> Self:
        """An existing log, to look at: works beside a living writer and in a read-only folder, and changes nothing there.

        Raises NotARun, NewerSchema, StoreError.
        """
        return cls(path, ReadConnection(path), None)

    @classmethod
    def _writer(cls, path: Path, lock: WriterLock, clock: Callable[[], float]) -> Self:
        connection: sqlite3.Connection | None = None
        try:
            with schema.explained(path):
                connection = connect_writer(path)
                schema.migrate(connection, schema.identify(connection, path))
            return cls(path, connection, lock, clock)
        except BaseException:
            if connection is not None:
                connection.close()
            lock.release()
            raise

    @property
    def run_id(self) -> str:
        return self.meta.run_id

    @property
    def last_seq(self) -> int:
        """The number of the newest event; 0 when there is none."""
        seq: int = self._query("SELECT coalesce(max(seq), 0) FROM events")[0][0]
        return seq

    def append(self, events: Sequence[EventRow], *, durable: bool, blobs: Sequence[bytes] = (), answers: Sequence[InboxAnswer] = ()) -> int:
        """Commit events, blobs and answers to the inbox in one transaction, all or none; return the number of the last event of the log.

        `durable` waits for the disk (synchronous=FULL, which also makes all earlier events durable); without it the
        commit survives the death of this process but perhaps not a power cut. Raises BadEvent, SecretRefused, StoreError.
        """
        refuse_secrets([text for event in events for text in event[:2]], blobs)
        with self._transaction(durable) as connection:
            for blob in blobs:
                _insert_blob(connection, blob)
            seq = None
            for event in events:
                when = self._clock() if event.time is None else event.time
                row = (when, event.type, event.payload_json)
                seq = connection.execute("INSERT INTO events (time, type, payload) VALUES (?, ?, ?)", row).lastrowid
            for number, outcome, reason in answers:
                connection.execute("UPDATE inbox SET outcome = ?, reason = ? WHERE number = ?", (outcome, reason, number))
        return self.last_seq if seq is None else seq

    def inbox(self, *, waiting: bool = False) -> list[InboxRow]:
        """Requests of other processes in the order they came, or only those without an answer (see inbox.py)."""
        which = "WHERE outcome IS NULL" if waiting else ""
        rows = self._query(f"SELECT number, time, origin, request, outcome, reason FROM inbox {which} ORDER BY number")  # noqa: S608
        return [InboxRow._make(row) for row in rows]

    def events(self, after: int = 0) -> Iterator[StoredEvent]:
        """Events with a number above `after`, in order, up to the newest there is when the iteration gets there."""
        sql = "SELECT seq, time, type, payload FROM events WHERE seq > ? ORDER BY seq LIMIT ?"
        while rows := self._query(sql, (after, _BATCH)):
            yield from map(StoredEvent._make, rows)
            after = rows[-1][0]
            if len(rows) < _BATCH:
                return

    def events_at(self, node: int, types: Sequence[str]) -> list[StoredEvent]:
        """Events of these types that name a node of the tree, in order. SQLite picks them out, far quicker than a fold of the log."""
        chosen = ", ".join("?" * len(types))
        where = f"type IN ({chosen}) AND json_extract(payload, '$.node') = ?"
        rows = self._query(f"SELECT seq, time, type, payload FROM events WHERE {where} ORDER BY seq", (*types, node))  # noqa: S608
        return [StoredEvent._make(row) for row in rows]

    def put_blob(self, data: bytes) -> str:
        """Store bytes in a transaction of their own and return their sha256 in hex; the same bytes are stored once."""
        self.append((), durable=False, blobs=[data])
        return digest_of(data)

    def get_blob(self, digest: str) -> bytes:
        """Raises BlobError when it isn't there or is damaged."""
        rows = self._query("SELECT codec, data FROM blobs WHERE digest = ?", (digest,))
        if not rows:
            raise BlobError(f"{self.path} holds no blob {digest}")
        codec, stored = rows[0]
        try:
            data: bytes = zlib.decompress(stored) if codec == "zlib" else stored
        except zlib.error as error:
            raise BlobError(f"blob {digest} in {self.path} is damaged: {error}") from error
        if digest_of(data) != digest:
            raise BlobError(f"blob {digest} in {self.path} is damaged: its bytes have another digest")
        return data

    def blobs(self) -> list[str]:
        """The digests of all blobs, sorted."""
        return [row[0] for row in self._query("SELECT digest FROM blobs ORDER BY digest")]

    def close(self) -> None:
        """Close the file and give up the writer's lock; again: no effect."""
        try:
            if self._lock is not None and self._lock.held and isinstance(self._source, sqlite3.Connection):
                # SQLite does this itself only when no reader is there; with it run.sqlite is complete without its side files.
                self._source.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._source.close()
        finally:
            if self._lock is not None:
                self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _query(self, sql: str, parameters: Sequence[object] = ()) -> list[Any]:
        if isinstance(self._source, ReadConnection):
            return self._source.query(sql, parameters)
        with schema.explained(self.path):
            return self._source.execute(sql, parameters).fetchall()

    @contextmanager
    def _transaction(self, durable: bool) -> Iterator[sqlite3.Connection]:
        connection = self._source
        if isinstance(connection, ReadConnection):
            raise StoreError(f"{self.path} is open for reading only")
        with schema.explained(self.path):
            self._synchronous(connection, durable)
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def _synchronous(self, connection: sqlite3.Connection, full: bool) -> None:
        if full != self._full_sync:
            connection.execute(f"PRAGMA synchronous = {'FULL' if full else 'NORMAL'}")
            self._full_sync = full

    def _read_meta(self) -> RunMeta:
        values: dict[str, str] = dict(self._query("SELECT key, value FROM meta"))
        return RunMeta(values["run"], float(values["created"]), values["program"])


def digest_of(data: bytes) -> str:
    """The name of a blob: sha256 in hex."""
    return hashlib.sha256(data).hexdigest()


def _insert_blob(connection: sqlite3.Connection, data: bytes) -> None:
    digest = digest_of(data)
    if connection.execute("SELECT 1 FROM blobs WHERE digest = ?", (digest,)).fetchone():
        return
    packed = zlib.compress(data) if len(data) >= _COMPRESS_FROM else data
    row = (digest, "zlib", packed) if len(packed) < len(data) else (digest, "raw", data)
    connection.execute("INSERT INTO blobs (digest, codec, data) VALUES (?, ?, ?)", row)
