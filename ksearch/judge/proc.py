"""What the kernel says of a process: states, time used, libraries mapped, descendants. Nothing here asks the process itself."""

from __future__ import annotations

import os
from pathlib import Path

STILL = frozenset("TtZX")
"""States of a thread that runs no more: stopped, traced, ended."""


def threads(pid: int) -> list[str]:
    try:
        return os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []


def running(pid: int) -> bool:
    """Whether a thread of the process is neither stopped nor gone."""
    try:
        return any(_state(pid, task) not in STILL for task in threads(pid))
    except OSError:
        return False


def asleep(pid: int) -> bool:
    """Whether the process's first thread waits for something."""
    try:
        return _state(pid, str(pid)) == "S"
    except OSError:
        return False


def _state(pid: int, task: str) -> str:
    descriptor = os.open(f"/proc/{pid}/task/{task}/stat", os.O_RDONLY)
    try:
        return os.read(descriptor, 1024).rpartition(b") ")[2][:1].decode()
    finally:
        os.close(descriptor)


def time_used(pid: int) -> int | None:
    """Nanoseconds that all threads have run so far; None where this kernel doesn't count them."""
    try:
        return sum(int(Path(f"/proc/{pid}/task/{task}/schedstat").read_text().split()[0]) for task in threads(pid))
    except (OSError, ValueError, IndexError):
        return None


def settled_time(pid: int) -> int | None:
    """`time_used` of a stopped process once the kernel has closed its books: a thread is called stopped a moment before it is off."""
    before = time_used(pid)
    while before is not None:
        now = time_used(pid)
        if now == before:
            break
        before = now
    return before


def libraries(pid: int) -> frozenset[str] | None:
    """Files whose code the process has mapped; None where this user may not see."""
    try:
        lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    except OSError:
        return None
    parts = [line.split(None, 5) for line in lines]
    return frozenset(part[5].removesuffix(" (deleted)") for part in parts if len(part) == 6 and "x" in part[1] and part[5].startswith("/"))


def status(pid: int) -> dict[str, str]:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return {}
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def session_of(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None


def with_descendants(pid: int) -> list[int]:
    """A process and all below it. As process 1 of its namespace it is also the parent of every orphan there."""
    family = [pid]
    for member in family:
        try:
            lists = [Path(f"/proc/{member}/task/{task}/children").read_text() for task in threads(member)]
        except OSError:
            continue
        family += [int(child) for text in lists for child in text.split()]
    return family
