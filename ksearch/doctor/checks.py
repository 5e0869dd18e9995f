"""What a check is, and how probes are run: side by side, each bounded in time, none able to take the others down."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

TOOL_SECONDS = 10.0
"""Longest wait for one external program: a healthy one answers in well under a second, one stuck on a driver never does."""


class Status(StrEnum):
    OK = "ok"
    WARN = "warn"  # works, with a limitation that `advice` names
    MISSING = "missing"  # absent; only some kinds of search need it
    ERROR = "error"  # broken, or the probe itself failed


@dataclass(frozen=True, slots=True)
class Check:
    """One fact about this machine: what was looked at, what was found and, unless all is well, the way out."""

    name: str
    status: Status
    value: str
    advice: str | None = None

    @property
    def usable(self) -> bool:
        return self.status in (Status.OK, Status.WARN)


@dataclass(frozen=True, slots=True)
class Probe:
    """A question to the machine. `names` are those of the checks it answers, so that a failure is told under them."""

    names: tuple[str, ...]
    ask: Callable[[], Sequence[Check]]
    seconds: float = 30.0


def run_all(probes: Sequence[Probe]) -> tuple[Check, ...]:
    """The checks of every probe, in the order given. The probes wait for programs and disks, so they run at the same time."""
    return tuple(check for finish in [_start(probe) for probe in probes] for check in finish())


def _start(probe: Probe) -> Callable[[], Sequence[Check]]:
    """Start a probe; the function returned waits for it. A daemon thread, because one stuck in the kernel can't be ended."""
    answers: list[Sequence[Check]] = []

    def work() -> None:
        try:
            answers.append(probe.ask())
        except Exception as error:  # noqa: BLE001 - a broken machine is what this command is for: the failure is the finding
            answers.append(failed(probe, f"{type(error).__name__}: {error}"))

    thread = threading.Thread(target=work, name=f"doctor {probe.names[0]}", daemon=True)
    thread.start()

    def finish() -> Sequence[Check]:
        thread.join(probe.seconds)
        return answers[0] if answers else failed(probe, f"no answer within {probe.seconds:g} s")

    return finish


def failed(probe: Probe, why: str) -> tuple[Check, ...]:
    return tuple(Check(name, Status.ERROR, why, "this probe failed; what depends on it may not work") for name in probe.names)


def tool_output(command: Sequence[str], seconds: float = TOOL_SECONDS) -> str:
    """Standard output of a program. Raises CalledProcessError, TimeoutExpired, or OSError when it can't be started."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=seconds, check=True)
    return done.stdout
