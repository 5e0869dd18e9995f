"""Making a new run's file: whole or not at all."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from ksearch.store import filesystem, schema
from ksearch.store.errors import RunExists, RunsDirError
from ksearch.store.lock import WriterLock

_PATIENCE_S = 60.0
"""How long the writer waits for another's transaction: a request to the inbox takes under a millisecond, unless the process that
puts it there is suspended just then."""


def create_database(path: Path, meta: Sequence[tuple[str, str]]) -> WriterLock:
    """Make the log at `path` and return the writer's lock on it.

    It is built beside its final name and renamed, so a creation that is killed leaves no log that only looks like one.
    One that fails leaves nothing: no file, and none of the folders that were made for it. Raises RunsDirError,
    RunExists, RunLocked.
    """
    made = _make_folders(path.parent)
    lock: WriterLock | None = None
    try:
        filesystem.refuse_network(path.parent)
        lock = WriterLock(lock_path(path))
        if path.exists():
            raise RunExists(f"{path} exists already; give the run another --name")
        _build(path, lock, meta)
    except BaseException as error:
        if lock is not None:
            if isinstance(error, RunExists):
                lock.release()  # the file belongs to the run that exists
            else:
                lock.discard()
        _remove_folders(made)
        raise
    return lock


def lock_path(database: Path) -> Path:
    """run.sqlite is locked by run.lock beside it; SQLite's own locks are released whenever it likes."""
    return database.with_suffix(".lock")


def connect_writer(path: Path) -> sqlite3.Connection:
    """A connection in WAL mode, outside any transaction. Raises RunsDirError where the folder can't have a WAL."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=_PATIENCE_S)
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        connection.close()
        raise RunsDirError(f"SQLite can't write ahead in {path.parent} (journal mode {mode}); {filesystem.WAY_OUT}")
    return connection


def _build(path: Path, lock: WriterLock, meta: Sequence[tuple[str, str]]) -> None:
    partial = path.with_name(path.name + ".partial")
    _unlink_database(partial)  # of a creation that was killed: we hold the lock, so it is nobody's
    try:
        connection = connect_writer(partial)
        try:
            schema.build(connection, meta)
            filesystem.try_second_process(lock.path, partial)
        finally:
            connection.close()
        _sync(partial)
        partial.rename(path)
        _sync(path.parent)
    except (sqlite3.Error, OSError) as error:
        _unlink_database(partial)
        raise RunsDirError(f"can't make a run in {path.parent}: {error}; {filesystem.WAY_OUT}") from error
    except BaseException:
        _unlink_database(partial)
        raise


def _make_folders(folder: Path) -> list[Path]:
    """Make a folder and its parents; return those that weren't there, innermost first."""
    missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        _remove_folders(missing)
        raise RunsDirError(f"can't make the folder {folder}: {error.strerror}; choose a writable folder with --runs-dir") from error
    return missing


def _remove_folders(folders: Sequence[Path]) -> None:
    """Remove those that are empty; another run may have moved in meanwhile."""
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:
            return


def _unlink_database(path: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
