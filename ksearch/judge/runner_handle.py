"""The judge's handle on one runner: ask, time a call, stop, watch, kill. Nothing a runner does can hang or crash what is here.

A timed call goes: the runner, armed, waits for a nonce; it is stopped; its processor time is read; the judge writes what the
call is about into shared memory; the runner is let go; it answers; it is stopped; the judge copies what the call made; the
processor time is read again. So all that the process does from before the inputs are there until after the outputs are taken
is counted, whichever of its threads does it, and whether or not it was to stand still.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ksearch.judge import proc
from ksearch.judge.channel import Channel, ChannelClosed, ChannelTimeout
from ksearch.judge.runner.stub import ARM, FAILED, NONCE_BYTES
from ksearch.judge.scratch import remove

MAX_LOG = 16_384
MAX_TASKS = 1024
WATCH_S = 0.25
"""How often memory and thread counts of a runner that is being waited for are looked at."""
STOP_S = 2.0
SETTLE_S = 0.01


class RunnerError(Exception):
    """The candidate raised; the text is what it claims."""


class RunnerTimeout(Exception):
    """No answer within the limit."""


class RunnerDied(Exception):
    """The runner ended, or broke its channel; the text says how."""


class Log:
    """What a runner printed: drained so that it can't block, kept up to a bound, treated as data."""

    def __init__(self, descriptor: int) -> None:
        self._text = b""
        self._descriptor = descriptor
        threading.Thread(target=self._drain, name="log", daemon=True).start()

    def _drain(self) -> None:
        with os.fdopen(self._descriptor, "rb", buffering=0) as source:
            while data := source.read(65536):
                room = MAX_LOG - len(self._text)
                self._text += data[: max(0, room)]

    @property
    def text(self) -> str:
        return self._text.decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Spent:
    """What a call took: seconds by the judge's clock, and of the processor by the kernel's books (None where it keeps none)."""

    wall_s: float
    processor_s: float | None


@dataclass
class Runner:
    """One process that loads one candidate. `layers` is the wall it stands behind."""

    work: Channel
    report: Channel
    pid: int
    pidfd: int
    log: Log
    scratch: Path
    memory_bytes: int
    layers: tuple[str, ...] = ()
    stopped: bool = field(default=False, init=False)
    parked: bool = field(default=False, init=False)
    """It sleeps after a call, until a byte says that messages follow."""
    closed: bool = field(default=False, init=False)

    def ask(self, message: dict[str, Any], timeout_s: float, descriptors: tuple[int, ...] = ()) -> dict[str, Any]:
        """Send and wait for the answer. Raises RunnerError, RunnerTimeout or RunnerDied."""
        self.resume()
        try:
            if self.parked:
                self.work.write(b"\n")
                self.parked = False
            self.work.send(message, descriptors)
            self._wait(timeout_s)
            answer = self.work.receive(timeout_s)
        except ChannelTimeout as error:
            raise RunnerTimeout(f"no answer to {message['op']} within {timeout_s:g} s") from error
        except ChannelClosed as error:
            raise RunnerDied(self.ending(str(error))) from error
        if "error" in answer:
            raise RunnerError(str(answer["error"]))
        return answer

    def call(self, timeout_s: float, reveal: Callable[[], None] | None, collect: Callable[[], None]) -> Spent:
        """Run what is bound, once: from letting it go to having it stand still. It is stopped on return.

        `reveal` writes the call's inputs while the runner stands still; None where they can't be kept from it (on a device: the
        runner then isn't stopped before). `collect` copies what the call made: what is written later is never looked at.
        """
        self.ask({"op": ARM}, timeout_s)
        nonce = secrets.token_bytes(NONCE_BYTES)
        before = None
        if reveal is not None:
            self._wait_for_sleep()
            self.stop()
            before = proc.settled_time(self.pid)
            reveal()
        try:
            if reveal is not None:
                self.work.write(nonce)  # lies in the socket until the process may run
            begin = time.perf_counter()
            if reveal is None:
                self.work.write(nonce)
            self.resume()
            if not self.work.readable(min(WATCH_S, timeout_s)):
                self._wait(timeout_s)
            answer = self.work.read(NONCE_BYTES, timeout_s)
            self.parked = True
            self._stand_still()
            collect()
            seconds = time.perf_counter() - begin
        except ChannelTimeout as error:
            raise RunnerTimeout(f"no answer to a call within {timeout_s:g} s") from error
        except ChannelClosed as error:
            raise RunnerDied(self.ending(str(error))) from error
        after = None if before is None else proc.settled_time(self.pid)
        self._refuse(answer, nonce, timeout_s)
        return Spent(seconds, None if before is None or after is None else (after - before) / 1e9)

    def _wait_for_sleep(self) -> None:
        """Until it waits for the nonce: the way there is no part of the call. Not for long: nobody is obliged to sleep."""
        deadline = time.monotonic() + SETTLE_S
        while not proc.asleep(self.pid) and time.monotonic() < deadline:
            time.sleep(0)

    def _refuse(self, answer: bytes, nonce: bytes, timeout_s: float) -> None:
        if answer == FAILED:
            self.ask({"op": "why"}, timeout_s)
        if answer != nonce:
            raise RunnerDied("the answer to a call is not what was asked for")

    def _wait(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while not self.work.readable(min(WATCH_S, max(0.0, deadline - time.monotonic()))):
            if time.monotonic() >= deadline:
                raise ChannelTimeout
            if not self.alive:
                raise RunnerDied(self.ending("no answer"))
            self._watch()

    def _watch(self) -> None:
        """Memory and thread limits that the kernel's own limits don't cover (shared memory; threads of a privileged user)."""
        status = proc.status(self.pid)
        resident = int(status.get("VmRSS", "0").split()[0]) * 1024
        if resident > self.memory_bytes:
            self.kill()
            raise RunnerDied(f"resident memory of {resident} bytes is over the limit of {self.memory_bytes}")
        if int(status.get("Threads", "0")) > MAX_TASKS:
            self.kill()
            raise RunnerDied(f"more than {MAX_TASKS} threads")

    @property
    def alive(self) -> bool:
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        return not poll.poll(0)

    def ending(self, otherwise: str) -> str:
        """How the process ended, as its keeper saw it."""
        try:
            status = int(self.report.receive(0.5)["status"])
        except (ChannelClosed, ChannelTimeout, KeyError, ValueError):
            return otherwise
        if status >= 0:
            return f"the process left with exit status {status}"
        return f"the process was ended by {signal.Signals(-status).name}"

    def stop(self) -> None:
        """Stop every thread, so that memory can be read and written while nothing else does."""
        if not self.stopped:
            self._stand_still()

    def _stand_still(self) -> None:
        """Returns when the kernel shows every thread stopped (or after two seconds: what can't be stopped is dying)."""
        family = self._family()
        for pid in family:
            _signal(pid, signal.SIGSTOP)
        deadline = time.monotonic() + STOP_S
        while any(proc.running(pid) for pid in family) and time.monotonic() < deadline:
            time.sleep(0)
            family = self._family()
        self.stopped = True

    def resume(self) -> None:
        if self.stopped:
            self.stopped = False
            for pid in self._family():
                _signal(pid, signal.SIGCONT)

    def _family(self) -> list[int]:
        """The runner and all processes of its pid namespace, or of its session where it has no namespace of its own."""
        if "no-processes" in self.layers:
            return [self.pid]
        if "pid-namespace" not in self.layers:
            return [self.pid, *(pid for pid in proc.processes() if pid != self.pid and proc.session_of(pid) == self.pid)]
        return proc.with_descendants(self.pid)

    def kill(self) -> None:
        if not self.closed:
            family = self._family()
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
            for pid in family:
                _signal(pid, signal.SIGKILL) if pid != self.pid else None

    def close(self) -> None:
        if self.closed:
            return
        self.kill()
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        poll.poll(5000)
        self.closed = True
        os.close(self.pidfd)
        self.work.close()
        self.report.close()
        remove(self.scratch)


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)
