"""Landlock: which paths this process may reach from now on, and that it may neither connect, signal nor trace outside.

Constants from linux/landlock.h; each interface version (ABI) adds rights, and a kernel refuses those it doesn't know.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable

from ksearch.judge.process import checked, libc

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
VERSION_FLAG, RULE_PATH_BENEATH = 1, 1

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
REFER, TRUNCATE, IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
FIRST_RIGHTS = (1 << 13) - 1
"""All thirteen rights of ABI 1."""
NET_BIND_AND_CONNECT = 0b11
SCOPE_SOCKETS_AND_SIGNALS = 0b11
FILE_RIGHTS = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
"""What may be granted on something that is not a folder."""


class _Ruleset(ctypes.Structure):
    _fields_ = [("access_fs", ctypes.c_uint64), ("access_net", ctypes.c_uint64), ("scoped", ctypes.c_uint64)]


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = [("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32)]


def version() -> int:
    """The kernel's Landlock interface version; 0 where there is none."""
    return max(0, int(libc().syscall(CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(VERSION_FLAG))))


def handled_rights(abi: int) -> int:
    rights = FIRST_RIGHTS
    for since, right in ((2, REFER), (3, TRUNCATE), (5, IOCTL_DEV)):
        rights |= right if abi >= since else 0
    return rights


def restrict(readable: Iterable[str], writable: Iterable[str], devices: Iterable[str] = ()) -> str:
    """Confine this process for good; returns the layer's name. Paths that don't exist are left out. Needs no_new_privs.

    `readable` may be read and executed, `writable` (folders) everything, `devices` read, written and sent ioctls.
    Raises OSError where the kernel has no Landlock.
    """
    abi = version()
    handled = handled_rights(abi)
    attributes = _Ruleset(handled, NET_BIND_AND_CONNECT if abi >= 4 else 0, SCOPE_SOCKETS_AND_SIGNALS if abi >= 6 else 0)
    size = 8 if abi < 4 else 16 if abi < 6 else 24
    ruleset = checked(libc().syscall(CREATE_RULESET, ctypes.byref(attributes), ctypes.c_size_t(size), ctypes.c_uint32(0)), "landlock")
    for paths, rights in (
        (readable, EXECUTE | READ_FILE | READ_DIR),
        (writable, handled),
        (devices, READ_FILE | WRITE_FILE | READ_DIR | TRUNCATE | IOCTL_DEV),
    ):
        for path in paths:
            _allow(ruleset, path, rights & handled)
    checked(libc().syscall(RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0)), "landlock_restrict_self")
    os.close(ruleset)
    return f"landlock-{abi}"


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, PermissionError):
        return
    try:
        allowed = rights if os.path.isdir(path) else rights & FILE_RIGHTS
        rule = _PathBeneath(allowed, parent)
        checked(
            libc().syscall(ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(RULE_PATH_BENEATH), ctypes.byref(rule), ctypes.c_uint32(0)),
            f"landlock_add_rule {path}",
        )
    finally:
        os.close(parent)
