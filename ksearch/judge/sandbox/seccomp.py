"""A seccomp filter, assembled by hand: system calls that no kernel needs and an attacker does are refused.

Classic BPF over (system call number, architecture, arguments); see seccomp(2) and linux/seccomp.h for the constants.
"""

from __future__ import annotations

import ctypes
import errno
import platform
from dataclasses import dataclass

from ksearch.judge.process import checked, libc

PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2
RET_KILL, RET_ERRNO, RET_ALLOW = 0x80000000, 0x00050000, 0x7FFF0000
LOAD, JUMP_EQUAL, JUMP_AT_LEAST, JUMP_SET, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
NUMBER, ARCHITECTURE, ARGUMENT_0, ARGUMENT_1 = 0, 4, 16, 24
AF_UNIX = 1
CLONE_THREAD, CLONE_NEW_ANY = 0x00010000, 0x7E020080
X32_BIT = 0x40000000

AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

# Numbers on x86_64 and aarch64; None where the architecture has no such call.
FORBIDDEN: dict[str, tuple[int | None, int | None]] = {
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "pidfd_getfd": (438, 438),
    "kcmp": (312, 272), "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282),
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "move_mount": (429, 429),
    "open_tree": (428, 428), "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432), "mount_setattr": (442, 442),
    "open_by_handle_at": (304, 265), "unshare": (272, 97), "setns": (308, 268),
    "keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218),
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "init_module": (175, 105), "finit_module": (313, 273),
    "delete_module": (176, 106), "reboot": (169, 142), "swapon": (167, 224), "swapoff": (168, 225), "acct": (163, 89),
    "settimeofday": (164, 170), "clock_settime": (227, 112), "adjtimex": (159, 171), "clock_adjtime": (305, 266),
    "iopl": (172, None), "ioperm": (173, None), "personality": (135, 92), "quotactl": (179, 60),
    "connect": (42, 203), "accept": (43, 202), "accept4": (288, 242),
    "sched_setscheduler": (144, 119), "sched_setattr": (314, 274),
}  # fmt: skip
WATCHING = ("ptrace", "process_vm_readv", "process_vm_writev", "connect", "accept", "accept4")
"""What a debugger's interface needs of the kernel."""
ABSENT: dict[str, tuple[int | None, int | None]] = {
    # ENOSYS: callers know to fall back. clone3 hides its flags behind a pointer that a filter can't follow.
    "clone3": (435, 435), "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
}  # fmt: skip
SOCKET, CLONE = (41, 198), (56, 220)
FORKING: dict[str, tuple[int | None, int | None]] = {"fork": (57, None), "vfork": (58, None), "execve": (59, 221), "execveat": (322, 281)}
SET_AFFINITY = (203, 122)


class _Instruction(ctypes.Structure):
    _fields_ = [("code", ctypes.c_ushort), ("jt", ctypes.c_ubyte), ("jf", ctypes.c_ubyte), ("k", ctypes.c_uint)]


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.POINTER(_Instruction))]


@dataclass(frozen=True, slots=True)
class Policy:
    """`processes`: whether new processes may be made (a compiler driver and Triton's launcher need them).
    `unix_sockets`: whether socket(AF_UNIX) may be called (the CUDA driver does); connecting is refused all the same."""

    processes: bool = False
    unix_sockets: bool = False
    watched: bool = False
    """A tool of the judge's attaches to the program that it runs: `WATCHING` is left to it."""
    pinned: bool = False
    """sched_setaffinity is answered with success and ignored, so that a candidate keeps the core it was given."""


Code = list[tuple[int, int, int, int]]


def _refuse(number: int | None, error: int) -> Code:
    return [] if number is None else [(JUMP_EQUAL, 0, 1, number), (RETURN, 0, 0, RET_ERRNO | error)]


def assemble(policy: Policy, machine: str) -> Code:
    """The filter's instructions as (code, jump if true, jump if false, operand)."""
    column = 0 if machine == "x86_64" else 1
    code: Code = [(LOAD, 0, 0, ARCHITECTURE), (JUMP_EQUAL, 1, 0, AUDIT[machine]), (RETURN, 0, 0, RET_KILL), (LOAD, 0, 0, NUMBER)]
    if machine == "x86_64":
        code += [(JUMP_AT_LEAST, 0, 1, X32_BIT), (RETURN, 0, 0, RET_ERRNO | errno.ENOSYS)]
    for name, numbers in FORBIDDEN.items():
        if not (policy.watched and name in WATCHING):
            code += _refuse(numbers[column], errno.EPERM)
    for numbers in ABSENT.values():
        code += _refuse(numbers[column], errno.ENOSYS)
    if not policy.processes:
        for numbers in FORKING.values():
            code += _refuse(numbers[column], errno.EPERM)
    if policy.pinned:
        code += _refuse(SET_AFFINITY[column], 0)
    code += _socket_rule(SOCKET[column], policy.unix_sockets)
    code += _clone_rule(CLONE[column], policy.processes)
    return [*code, (RETURN, 0, 0, RET_ALLOW)]


def _socket_rule(number: int, unix_allowed: bool) -> Code:
    if not unix_allowed:
        return _refuse(number, errno.EPERM)
    return [
        (JUMP_EQUAL, 0, 4, number),
        (LOAD, 0, 0, ARGUMENT_0),
        (JUMP_EQUAL, 1, 0, AF_UNIX),
        (RETURN, 0, 0, RET_ERRNO | errno.EAFNOSUPPORT),
        (RETURN, 0, 0, RET_ALLOW),
    ]


def _clone_rule(number: int, processes: bool) -> Code:
    """No new namespaces; no new processes either unless allowed. Threads always."""
    kind = [] if processes else [(JUMP_SET, 1, 0, CLONE_THREAD), (RETURN, 0, 0, RET_ERRNO | errno.EPERM)]
    body = [(LOAD, 0, 0, ARGUMENT_0), (JUMP_SET, 0, 1, CLONE_NEW_ANY), (RETURN, 0, 0, RET_ERRNO | errno.EPERM), *kind]
    body.append((RETURN, 0, 0, RET_ALLOW))
    return [(JUMP_EQUAL, 0, len(body), number), *body]


def apply(policy: Policy) -> None:
    """Install the filter for this thread and what it starts. Needs no_new_privs; raises OSError where refused."""
    machine = platform.machine()
    if machine not in AUDIT:
        raise OSError(errno.ENOSYS, f"no seccomp filter for the architecture {machine}")
    code = assemble(policy, machine)
    instructions = (_Instruction * len(code))(*(_Instruction(*line) for line in code))
    program = _Program(len(code), instructions)
    checked(libc().prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0), "seccomp")
