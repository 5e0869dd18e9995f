"""The wall: all layers of the sandbox, put up in order by the process they will hold. Trusted code until `raise_wall` returns."""

from __future__ import annotations

import ctypes
import os
import resource
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import Field

from ksearch.definitions.schema import Frozen
from ksearch.judge.process import checked, libc, prctl
from ksearch.judge.sandbox import landlock, namespaces, seccomp

PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_SET_SECUREBITS = 24, 38, 28
SECURE_NOROOT_LOCKED = 0b11
CAPABILITY_VERSION_3 = 0x20080522
OPEN_FILES = 1024
MAX_FILE_BYTES = 4 * 2**30


class WallRefused(Exception):
    """The layers without which no candidate is run can't be had on this machine."""


class WallPlan(Frozen):
    """What a confined process may reach. `memory_bytes` None where an address-space limit breaks the driver (CUDA)."""

    scratch: str
    cuda: bool = False
    processes: bool = False
    memory_bytes: int | None = None
    cpu_seconds: int | None = None
    core: int | None = None
    extra_readable: tuple[str, ...] = ()
    libraries: bool = True
    """Whether interpreter, libraries and toolchain can be read; False for compiled code, which gets what its process has loaded."""
    watched: bool = False
    """The command attaches to a program that it starts, as compute-sanitizer does: where both see no other process and no network."""
    unsafe: bool = False
    without: tuple[str, ...] = Field(default=())
    """Layers not to use, by name ('landlock', 'namespaces'): for trying the fallbacks."""

    @property
    def readable(self) -> tuple[str, ...]:
        return (*(toolchain_paths() if self.libraries else ()), *self.extra_readable)

    @property
    def devices(self) -> tuple[str, ...]:
        plain = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom", "/dev/full")
        if not self.cuda:
            return plain
        return (*plain, *(str(path) for path in Path("/dev").glob("nvidia*")), "/dev/dxg")


def toolchain_paths() -> tuple[str, ...]:
    """Interpreter, libraries, compilers and what they read. Not the working folder, homes, data sets or this program's files."""
    system = ["/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin", "/opt/cuda", "/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime"]
    system += ["/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/nsswitch.conf", "/etc/passwd", "/etc/group", "/sys"]
    python = [sys.prefix, sys.base_prefix, sys.exec_prefix]
    python += [path for path in sys.path if _holds_installed_packages(path)]
    libraries = os.environ.get("LD_LIBRARY_PATH", "").split(":")
    cuda = [os.environ.get("CUDA_HOME", ""), os.environ.get("CUDA_PATH", "")]
    found = [path for path in (*system, *python, *libraries, *cuda) if path.startswith("/") and path != "/"]
    return tuple(dict.fromkeys((*found, *(os.path.realpath(path) for path in found))))


def _holds_installed_packages(path: str) -> bool:
    """A folder that an installer filled, as opposed to a checkout or a script's folder."""
    return path.endswith(("site-packages", "dist-packages")) or (os.path.isdir(path) and any(Path(path).glob("*.dist-info")))


def raise_wall(plan: WallPlan, entered: Iterable[str]) -> tuple[str, ...]:
    """Confine this process for good; returns the active layers. `entered` are the namespaces its parent made for it.

    Raises WallRefused where no_new_privs, seccomp and one of Landlock and a mount namespace are not all to be had, unless
    `plan.unsafe`.
    """
    layers = list(entered)
    proc = "pid-namespace" in layers and "mount-namespace" in layers and namespaces.show_own_processes()
    layers += ["own-proc"] if proc else []
    walled = _files(plan, layers, own_proc=proc)
    _limits(plan)
    layers.append("rlimits")
    layers += ["no-capabilities"] if _drop_capabilities() else []
    _attempt(layers, "no_new_privs", lambda: prctl(PR_SET_NO_NEW_PRIVS, 1))
    if walled is None:
        _attempt(layers, "landlock", lambda: _landlock(plan, own_proc=proc))
    if plan.core is not None:
        os.sched_setaffinity(0, {plan.core})
    alone = {"pid-namespace", "network-namespace"} <= set(layers)
    watched, pinned = plan.watched and alone, plan.core is not None
    policy = seccomp.Policy(processes=plan.processes, unix_sockets=plan.cuda, watched=watched, pinned=pinned)
    _attempt(layers, "seccomp", lambda: seccomp.apply(policy))
    _require(plan, layers)
    layers += [] if plan.libraries else ["no-libraries"]
    return tuple(layers)


def _attempt(layers: list[str], name: str, raise_layer: Any) -> None:
    try:
        layers.append(raise_layer() or name)
    except OSError:
        return


def _require(plan: WallPlan, layers: list[str]) -> None:
    files = any(layer.startswith(("landlock", "private-root")) for layer in layers)
    missing = [name for name in ("no_new_privs", "seccomp") if name not in layers] + ([] if files else ["landlock or a mount namespace"])
    if missing and not plan.unsafe:
        raise WallRefused(f"this machine lacks {', '.join(missing)}; run it elsewhere, or accept the risk with --unsafe-runner")


def _files(plan: WallPlan, layers: list[str], *, own_proc: bool) -> str | None:
    """A root of its own where Landlock is missing; None when Landlock will do (or nothing can)."""
    if (landlock.version() > 0 and "landlock" not in plan.without) or "mount-namespace" not in layers:
        return None
    root = os.path.join(plan.scratch, ".root")
    os.mkdir(root)
    try:
        namespaces.show_only(root, (*plan.readable, *(["/proc"] if own_proc else [])), [plan.scratch], plan.devices)
    except OSError:
        return None
    os.chdir(plan.scratch)
    layers.append("private-root")
    return "private-root"


def _landlock(plan: WallPlan, *, own_proc: bool) -> str:
    if "landlock" in plan.without:
        raise OSError("left out")
    proc = ("/proc",) if own_proc or plan.cuda else ("/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/sys")
    # The CUDA driver names its threads by writing below /proc/self, and gives up when it can't.
    own = ("/proc/self",) if plan.cuda else ()
    return landlock.restrict((*plan.readable, *proc), (plan.scratch,), (*plan.devices, *own))


def _limits(plan: WallPlan) -> None:
    limits = [(resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, MAX_FILE_BYTES), (resource.RLIMIT_NOFILE, OPEN_FILES)]
    limits += [(resource.RLIMIT_NPROC, 512), (resource.RLIMIT_MEMLOCK, 64 * 2**20)] if not plan.cuda else [(resource.RLIMIT_NPROC, 4096)]
    limits += [(resource.RLIMIT_DATA, plan.memory_bytes)] if plan.memory_bytes is not None else []
    limits += [(resource.RLIMIT_CPU, plan.cpu_seconds)] if plan.cpu_seconds is not None else []
    for limit, value in limits:
        _, hard = resource.getrlimit(limit)
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(limit, (value, value))


class _CapabilityHeader(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


def _drop_capabilities() -> bool:
    """Give up every capability, now and for what is executed later; a user who had none loses nothing."""
    for capability in range(64):
        if libc().prctl(PR_CAPBSET_DROP, ctypes.c_ulong(capability), *[ctypes.c_ulong(0)] * 3) != 0:
            break
    libc().prctl(PR_SET_SECUREBITS, ctypes.c_ulong(SECURE_NOROOT_LOCKED), *[ctypes.c_ulong(0)] * 3)
    header, empty = _CapabilityHeader(CAPABILITY_VERSION_3, 0), (ctypes.c_uint32 * 6)()
    checked(libc().capset(ctypes.byref(header), ctypes.byref(empty)), "capset")
    status = Path("/proc/self/status").read_text()
    return any(line.split() == ["CapEff:", "0" * 16] for line in status.splitlines())
