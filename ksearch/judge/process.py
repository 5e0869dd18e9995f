"""Kernel calls that tie a process to its parent and hide its memory. Linux, standard library alone."""

from __future__ import annotations

import ctypes
import os
import signal
import threading
from functools import lru_cache

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4


@lru_cache(maxsize=1)
def libc() -> ctypes.CDLL:
    library = ctypes.CDLL(None, use_errno=True)
    library.syscall.restype = ctypes.c_long
    return library


def checked(result: int, call: str) -> int:
    """`result`, or OSError with the call's name when it is negative."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")
    return result


def prctl(option: int, value: int) -> None:
    arguments = [ctypes.c_ulong(x) for x in (value, 0, 0, 0)]
    checked(libc().prctl(ctypes.c_int(option), *arguments), f"prctl({option})")


def die_with_parent(expected_parent: int | None = None) -> None:
    """Ask for SIGKILL when the parent's creating thread ends; leave at once if the parent is gone already.

    The signal is lost on a change of credentials, so this comes after those.
    """
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if expected_parent is not None and os.getppid() != expected_parent:
        os._exit(1)


def hide_memory() -> None:
    """Non-dumpable: other processes of the same user can no longer open this one's memory, environment or descriptors."""
    prctl(PR_SET_DUMPABLE, 0)


def watch_lifeline(descriptor: int) -> None:
    """Leave when the pipe's last writer is gone. The parent-death signal alone misses a parent that died before it was set."""

    def wait() -> None:
        while os.read(descriptor, 4096):
            pass
        os._exit(1)

    threading.Thread(target=wait, name="lifeline", daemon=True).start()


def usable_cores() -> tuple[int, ...]:
    return tuple(sorted(os.sched_getaffinity(0)))


def wait_passively() -> None:
    """Let OpenMP's idle threads sleep. Call it before torch is loaded: OpenMP reads its environment once.

    By default they spin at the end of each parallel region, which assumes that the cores are ours. With four judges on one
    machine (a GPU each) every region then waits for threads that don't run: a small reduction took 60 times as long.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
