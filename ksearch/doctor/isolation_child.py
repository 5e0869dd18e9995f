"""Tries each isolation layer on itself and prints the answers as one JSON object. Run as a program, standard library alone.

A process of its own, because what it does to itself can't be undone, and single-threaded, because a user namespace asks for that.
Each answer is 0 or an error number; landlock's is its interface version or minus the error number.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
from pathlib import Path

PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 22, 38, 2
SYS_LANDLOCK_CREATE_RULESET, LANDLOCK_CREATE_RULESET_VERSION = 444, 1  # the same number on every architecture
CLONE_NEWUSER = 0x10000000
NAMESPACES = {"mount": 0x00020000, "pid": 0x20000000, "network": 0x40000000, "ipc": 0x08000000}

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.syscall.restype = ctypes.c_long


def error_of(result: int) -> int:
    return ctypes.get_errno() if result < 0 else 0


def no_new_privs() -> int:
    return error_of(LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))


def seccomp() -> int:
    """A null filter changes nothing: EFAULT says that the kernel would have read a real one, EINVAL that it knows no filters."""
    error = error_of(LIBC.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, None, 0, 0))
    return 0 if error == errno.EFAULT else error


def landlock() -> int:
    version = LIBC.syscall(
        ctypes.c_long(SYS_LANDLOCK_CREATE_RULESET), None, ctypes.c_size_t(0), ctypes.c_uint32(LANDLOCK_CREATE_RULESET_VERSION)
    )
    return int(version) if version >= 0 else -ctypes.get_errno()


def enter_user_namespace() -> None:
    """Enter one and map this user into it: some systems allow the first and refuse the second, which leaves it useless."""
    user, group = os.geteuid(), os.getegid()
    if error := error_of(LIBC.unshare(CLONE_NEWUSER)):
        raise OSError(error, os.strerror(error))
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {user} 1")
    Path("/proc/self/gid_map").write_text(f"0 {group} 1")


def try_namespace(flag: int) -> int:
    """What a child gets that enters a user namespace and then this one."""
    child = os.fork()
    if child == 0:
        os._exit(_enter(flag))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _enter(flag: int) -> int:
    try:
        enter_user_namespace()
    except OSError as error:
        return error.errno or errno.EPERM
    return error_of(LIBC.unshare(flag)) if flag else 0


def answers() -> dict[str, object]:
    namespaces = {"user": try_namespace(0)} | {kind: try_namespace(flag) for kind, flag in NAMESPACES.items()}
    return {"namespaces": namespaces, "no_new_privs": no_new_privs(), "seccomp": seccomp(), "landlock": landlock()}


if __name__ == "__main__":
    os.write(1, json.dumps(answers()).encode())
