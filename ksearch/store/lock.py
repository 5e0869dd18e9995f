"""One writer for each run, held by a lock that the kernel drops when the process dies.

A POSIX record lock, not flock(2): a flock belongs to the open file and lives on in forked children, so a writer killed
while a child of it survives would leave its run locked. A record lock belongs to the process. It has two traps, both
handled here: it doesn't exclude a second writer in the same process (a table does), and closing *any* descriptor of the
file drops it (so nothing in this process opens the lock file of a run that it holds; don't copy a run's folder from the
process that writes it).
"""

from __future__ import annotations

import fcntl
import json
import os
import platform
import socket
import struct
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ksearch.store.errors import RunLocked, RunsDirError

_FLOCK: Final = "qqihh" if sys.platform == "darwin" else "hhqqi"
"""struct flock: (start, len, pid, type, whence) on macOS, (type, whence, start, len, pid) on 64-bit Linux."""

_held: dict[tuple[int, int], int] = {}
"""Lock files (device, inode) that this process holds, with the process id: a forked child inherits the table, not the locks."""


@dataclass(frozen=True)
class Holder:
    """Who holds a run: as written by the holder itself, so on another machine or in another container the pid is its own there."""

    pid: int | None
    host: str | None
    since: float | None

    def __str__(self) -> str:
        if self.pid is None:
            return "another process"
        return f"process {self.pid} on {self.host}"


class WriterLock:
    """The exclusive right to write one run, from construction until `release`. Raises RunLocked at once when it is taken."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._refuse_own()
        try:
            self._fd = _open_locked(path)
        except BlockingIOError:
            raise RunLocked(_locked_message(path, read_holder(path))) from None
        except OSError as error:
            raise RunsDirError(f"can't lock {path}: {error.strerror}; choose a writable local folder with --runs-dir") from error
        self._key = _identity(os.fstat(self._fd))
        _held[self._key] = os.getpid()
        self._sign()

    @property
    def held(self) -> bool:
        return self._fd >= 0

    def release(self) -> None:
        """Give the run up; again: no effect. The file stays: removing it would let two writers lock two files of one name."""
        if self._fd >= 0:
            _held.pop(self._key, None)
            os.close(self._fd)
            self._fd = -1

    def discard(self) -> None:
        """Remove the file and give up: for a creation that failed, when there is no run to lock."""
        self.path.unlink(missing_ok=True)
        self.release()

    def _refuse_own(self) -> None:
        if self.path.exists() and _held.get(_identity(self.path.stat())) == os.getpid():
            raise RunLocked(_locked_message(self.path, Holder(os.getpid(), platform.node(), None)))

    def _sign(self) -> None:
        holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.time()}
        text = json.dumps(holder).encode() + b"\n"
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, text, 0)


def writer_of(path: Path) -> Holder | None:
    """Who writes the run with this lock file now; None when nobody does. Takes no lock, so it can't get in a writer's way."""
    if not path.exists():
        return None
    if _held.get(_identity(path.stat())) == os.getpid():
        return Holder(os.getpid(), platform.node(), None)
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        kind = _conflict(fd)
    finally:
        os.close(fd)
    return None if kind == fcntl.F_UNLCK else read_holder(path)


def read_holder(path: Path) -> Holder:
    """The last holder's signature; all None when it is unreadable or still being written."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return Holder(int(data["pid"]), str(data["host"]), float(data["since"]))
    except (OSError, ValueError, KeyError, TypeError):
        return Holder(None, None, None)


def _open_locked(path: Path) -> int:
    """Lock the file that bears the name now: one that was removed between open and lock excludes nobody."""
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and _identity(path.stat()) == _identity(os.fstat(fd)):
                return fd
        except OSError as error:
            os.close(fd)
            if isinstance(error, PermissionError) and os.access(path, os.W_OK):
                raise BlockingIOError from None  # POSIX lets a taken lock be reported as EACCES
            raise
        os.close(fd)


def _conflict(fd: int) -> int:
    """The type of the lock that would refuse an exclusive one on `fd`; F_UNLCK when none would."""
    if sys.platform == "darwin":
        answer = fcntl.fcntl(fd, fcntl.F_GETLK, struct.pack(_FLOCK, 0, 0, 0, fcntl.F_WRLCK, os.SEEK_SET))
        return int(struct.unpack(_FLOCK, answer)[3])
    answer = fcntl.fcntl(fd, fcntl.F_GETLK, struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
    return int(struct.unpack(_FLOCK, answer)[0])


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _locked_message(path: Path, holder: Holder) -> str:
    return f"run {path.parent.name} is being written by {holder} ({path}); wait for it to end, or stop it first"
