"""Namespaces: a process that sees no other process, no network and no file but those it is shown.

Entered in two steps, because a new pid namespace begins with the next child: `enter` in the parent, then, in the child,
`show_own_processes` or `show_only`.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable
from pathlib import Path

from ksearch.judge.process import checked, libc

CLONE_NEWUSER = 0x10000000
NAMESPACES = {"mount": 0x00020000, "pid": 0x20000000, "network": 0x40000000, "ipc": 0x08000000}
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 2, 4, 8, 32, 4096, 16384, 1 << 18
MNT_DETACH = 2
PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}


def enter() -> tuple[str, ...]:
    """Enter every namespace that this machine permits; returns their names. The pid namespace holds the next child."""
    entered = ["user"] if _enter_user() else []
    for name, flag in NAMESPACES.items():
        if libc().unshare(flag) == 0:
            entered.append(name)
    return tuple(f"{name}-namespace" for name in entered)


def _enter_user() -> bool:
    """A user namespace in which this user stands for itself: it brings the right to enter the others without being root."""
    user, group = os.geteuid(), os.getegid()
    if libc().unshare(CLONE_NEWUSER) != 0:
        return False
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    return True


def mount(source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    arguments = [None if text is None else text.encode() for text in (source, target, kind)]
    result = libc().mount(*arguments, ctypes.c_ulong(flags), None if data is None else data.encode())
    checked(result, f"mount {target}")


def show_own_processes() -> bool:
    """Mount a /proc of the new pid namespace; False where a container forbids it."""
    try:
        mount("none", "/", None, MS_REC | MS_PRIVATE)
        mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    except OSError:
        return False
    return True


def show_only(root: str, readable: Iterable[str], writable: Iterable[str], devices: Iterable[str]) -> None:
    """Make a file system of these paths alone the root: the wall where the kernel has no Landlock. `root` is an empty folder.

    Raises OSError where mounting is forbidden.
    """
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    mount("tmpfs", root, "tmpfs", MS_NOSUID, "size=64k,mode=755")
    for path in _outermost(readable):
        _bind(root, path, read_only=True)
    for path in (*devices, *writable):
        _bind(root, path, read_only=False)
    mount("none", root, None, MS_REMOUNT | MS_BIND | MS_RDONLY)
    os.chdir(root)
    checked(int(libc().syscall(PIVOT_ROOT[os.uname().machine], b".", b".")), "pivot_root")
    checked(libc().umount2(b".", MNT_DETACH), "umount")
    os.chdir("/")


def _outermost(paths: Iterable[str]) -> list[str]:
    kept: list[str] = []
    for path in sorted(set(paths)):
        if not any(path == parent or path.startswith(parent.rstrip("/") + "/") for parent in kept):
            kept.append(path)
    return kept


def _bind(root: str, path: str, *, read_only: bool) -> None:
    target = root + path
    if not os.path.lexists(path) or os.path.lexists(target):
        return
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if os.path.islink(path):
        os.symlink(os.readlink(path), target)
        return
    if os.path.isdir(path):
        os.mkdir(target)
    else:
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY))
    mount(path, target, None, MS_BIND | MS_REC)
    if read_only:
        kept = _locked_flags(target)
        mount("none", target, None, MS_REMOUNT | MS_BIND | MS_RDONLY | kept)


def _locked_flags(path: str) -> int:
    """Flags of the original mount, which a user namespace may not drop."""
    flags = os.statvfs(path).f_flag
    return flags & (MS_NOSUID | MS_NODEV | MS_NOEXEC)
