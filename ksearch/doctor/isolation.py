"""Which layers of the wall around candidates this kernel offers, by trying each in a process that ends at once."""

from __future__ import annotations

import errno
import json
import os
import sys
from pathlib import Path

from ksearch.doctor.checks import Check, Probe, Status, tool_output

LAYERS = ("no_new_privs", "seccomp", "landlock", "namespaces")
UNSAFE = "candidates can run here with --unsafe-runner only, without this layer: use it for code you trust"


def layers() -> list[Check]:
    """One check for each of LAYERS. Off Linux none of them exists."""
    if sys.platform != "linux":
        return [Check(name, Status.MISSING, "Linux only", UNSAFE) for name in LAYERS]
    child = Path(__file__).with_name("isolation_child.py")
    said = json.loads(tool_output([sys.executable, "-I", str(child)]))
    return [
        _yes_or_no("no_new_privs", said["no_new_privs"]),
        _yes_or_no("seccomp", said["seccomp"]),
        _landlock(said["landlock"]),
        _namespaces(said["namespaces"]),
    ]


def _yes_or_no(name: str, error: int) -> Check:
    return Check(name, Status.MISSING, _reason(error), UNSAFE) if error else Check(name, Status.OK, "available")


def _landlock(abi: int) -> Check:
    """`abi` is the interface version, or minus the error number."""
    if abi > 0:
        return Check("landlock", Status.OK, f"ABI {abi}")
    return Check("landlock", Status.MISSING, _reason(-abi), "without Landlock a mount namespace must hide the files; else --unsafe-runner")


def _namespaces(errors: dict[str, int]) -> Check:
    """`errors` maps each kind of namespace to 0 or the error number that trying it gave."""
    works = [kind for kind, error in errors.items() if error == 0]
    refused = [f"{kind}: {_reason(error)}" for kind, error in errors.items() if error]
    if not refused:
        return Check("namespaces", Status.OK, ", ".join(works))
    advice = "an optional layer; the container, or kernel.unprivileged_userns_clone and AppArmor's rules, decide"
    return Check("namespaces", Status.WARN if works else Status.MISSING, "; ".join([", ".join(works) or "none", *refused]), advice)


def _reason(error: int) -> str:
    names = {errno.ENOSYS: "not in this kernel", errno.EOPNOTSUPP: "in this kernel but switched off"}
    return names.get(error, os.strerror(error))


PROBES = (Probe(LAYERS, layers),)
