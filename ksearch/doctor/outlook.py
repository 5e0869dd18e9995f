"""What the checks amount to: which searches will work on this machine, and why the others won't."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ksearch.doctor.access import KEYS, MODAL
from ksearch.doctor.checks import Check, Status
from ksearch.doctor.storage import DATASET, RUNS

UNAVAILABLE = 4
"""Exit status when not even a search on the CPU can run: the code that `ksearch run` gives when its evaluator is unavailable."""


@dataclass(frozen=True, slots=True)
class Ability:
    works: bool
    reason: str

    def __str__(self) -> str:
        return f"{'yes' if self.works else 'no'} ({self.reason})"


@dataclass(frozen=True, slots=True)
class Outlook:
    """One ability for each thing a user may want of this machine."""

    cpu_search: Ability
    cuda_search: Ability
    language_model: Ability
    modal: Ability

    @property
    def exit_code(self) -> int:
        return 0 if self.cpu_search.works else UNAVAILABLE

    @property
    def sentence(self) -> str:
        named = {"cpu search": self.cpu_search, "cuda search": self.cuda_search, "language model": self.language_model, "modal": self.modal}
        return "; ".join(f"{name}: {ability}" for name, ability in named.items())


def outlook(checks: Sequence[Check]) -> Outlook:
    found = {check.name: check for check in checks}
    blocked = _first_fault(found, ("python", "torch", "numpy", RUNS, DATASET))
    return Outlook(_cpu(found, blocked), _cuda(found, blocked), _language_model(found), _modal(found))


def _first_fault(found: dict[str, Check], names: Sequence[str]) -> str | None:
    """What no search can do without. A dataset stands here only when the user named one."""
    return next((f"{name}: {found[name].value}" for name in names if name in found and not found[name].usable), None)


def _usable(found: dict[str, Check], *names: str) -> bool:
    return all(found[name].usable for name in names)


def _cpu(found: dict[str, Check], blocked: str | None) -> Ability:
    if blocked:
        return Ability(False, blocked)
    cpp = _usable(found, "c++ compiler", "ninja", "tvm-ffi")
    return Ability(True, "with " + ("Python and C++ kernels" if cpp else "Python kernels alone") + _wall(found))


def _cuda(found: dict[str, Check], blocked: str | None) -> Ability:
    gpu = found["gpu"]
    if gpu.status is Status.MISSING:
        return Ability(False, "no GPU")
    if blocked or not gpu.usable:
        return Ability(False, blocked or gpu.advice or gpu.value)
    languages = ["Triton"] if _usable(found, "triton") else []
    languages += ["CUDA"] if _usable(found, "nvcc", "ninja", "tvm-ffi") else []
    return Ability(True, f"with {' and '.join(languages) or 'Python'} kernels" + _wall(found))


def _wall(found: dict[str, Check]) -> str:
    """The runner refuses candidates unless privileges, system calls and files are all held back."""
    mounts = found["namespaces"].usable and "mount" in found["namespaces"].value.split(";")[0]
    lacks = [name for name in ("no_new_privs", "seccomp") if not found[name].usable]
    lacks += [] if found["landlock"].usable or mounts else ["landlock"]
    return f", under --unsafe-runner only: no {', '.join(lacks)}" if lacks else ""


def _language_model(found: dict[str, Check]) -> Ability:
    keys = [name for name in KEYS if found[name].usable]
    return Ability(True, f"{' and '.join(keys)} set") if keys else Ability(False, "no key: the playbook plans")


def _modal(found: dict[str, Check]) -> Ability:
    return Ability(found[MODAL].usable, f"token {found[MODAL].value}" if found[MODAL].usable else "no token")
