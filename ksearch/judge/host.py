"""The judge's handle on runners: start, ask, stop, watch, kill. Nothing a runner does can hang or crash what is here."""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ksearch.judge.channel import Channel, ChannelClosed, ChannelTimeout
from ksearch.judge.runner.stub import GO, PING
from ksearch.judge.sandbox.wall import WallPlan

START_S = 120.0
MAX_LOG = 16_384
MAX_TASKS = 1024
WATCH_S = 0.25
"""How often memory and thread counts of a runner that is being waited for are looked at."""

KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "CUDA_HOME", "CUDA_PATH", "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER")
"""The whole environment of candidate code, with a few constants and its scratch folder as HOME: no key, no token, no path of data."""


class RunnerError(Exception):
    """The candidate raised; the text is what it claims."""


class RunnerTimeout(Exception):
    """No answer within the limit."""


class RunnerDied(Exception):
    """The runner ended, or broke its channel; the text says how."""


class HostFailure(Exception):
    """The machine could not give a runner: not the candidate's fault."""


def clean_environment(*, threads: int) -> dict[str, str]:
    kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    constants = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1", "PYTHONHASHSEED": "0", "OMP_WAIT_POLICY": "passive"}
    # Asking the CUDA runtime whether there is a GPU (as imports do) would spoil it for every process forked later; NVML may be asked.
    constants["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"
    counts = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    return {"PATH": os.defpath, **kept, **constants, **counts}


@dataclass
class Nursery:
    """The fork server's process and its channel; started again when it is gone."""

    cuda: bool
    threads: int = 1
    process: subprocess.Popen[bytes] | None = None
    channel: Channel | None = None

    def start(self) -> None:
        self.channel, theirs = Channel.pair()
        paths = [path for path in sys.path if path]
        environment = {**clean_environment(threads=self.threads), "PYTHONPATH": os.pathsep.join(paths)}
        arguments = [sys.executable, "-m", "ksearch.judge.runner.nursery", str(theirs.fileno()), str(int(self.cuda))]
        with theirs:
            self.process = subprocess.Popen(arguments, pass_fds=[theirs.fileno()], env=environment, stdin=subprocess.DEVNULL)
        self._ready = False

    def wait(self) -> Channel:
        if self.process is None or self.channel is None or self.process.poll() is not None:
            self.start()
        assert self.channel is not None
        if not self._ready:
            try:
                self.channel.receive(START_S)
            except (ChannelClosed, ChannelTimeout) as error:
                raise HostFailure(f"the fork server did not start: {error or 'no answer'}") from error
            self._ready = True
        return self.channel

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        if self.channel is not None:
            self.channel.close()


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
    closed: bool = field(default=False, init=False)

    def ask(self, message: dict[str, Any], timeout_s: float, descriptors: tuple[int, ...] = ()) -> dict[str, Any]:
        """Send and wait for the answer. Raises RunnerError, RunnerTimeout or RunnerDied."""
        try:
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

    def ping(self, timeout_s: float) -> float:
        """Seconds of an empty round trip."""
        return self._round_trip(PING, timeout_s)[0]

    def go(self, timeout_s: float, *, stop: bool = True) -> float:
        """Run the bound calls once; seconds by this process's clock from request to answer. The runner is stopped on return,
        unless more is to be asked of it first."""
        seconds, problem = self._round_trip(GO, timeout_s)
        if stop:
            self.stop()
        if problem is not None:
            raise RunnerError(problem)
        return seconds

    def _round_trip(self, request: bytes, timeout_s: float) -> tuple[float, str | None]:
        payload = request + secrets.token_bytes(16)
        try:
            begin = time.perf_counter()
            self.work.send_bytes(payload)
            if not self.work.readable(min(WATCH_S, timeout_s)):
                self._wait(timeout_s)
            answer = self.work.receive_bytes(timeout_s)
            seconds = time.perf_counter() - begin
        except ChannelTimeout as error:
            raise RunnerTimeout(f"no answer to a call within {timeout_s:g} s") from error
        except ChannelClosed as error:
            raise RunnerDied(self.ending(str(error))) from error
        return seconds, None if answer == payload else self._error_in(answer)

    def _error_in(self, answer: bytes) -> str:
        try:
            return str(Channel.parse(answer).get("error", "an answer that was not asked for"))
        except ChannelClosed as error:
            raise RunnerDied(f"the answer to a call is {len(answer)} bytes of nonsense") from error

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
        status = _status(self.pid)
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
        """Stop every thread, so that memory can be read while nothing writes to it."""
        if self.stopped:
            return
        for pid in self._family():
            _signal(pid, signal.SIGSTOP)
        deadline = time.monotonic() + 2.0
        while time.monotonic() < deadline and any(_running(pid) for pid in self._family()):
            time.sleep(0)
        self.stopped = True

    def resume(self) -> None:
        if self.stopped:
            self.stopped = False
            for pid in self._family():
                _signal(pid, signal.SIGCONT)

    def _family(self) -> list[int]:
        """The runner and all processes of its pid namespace, or of its session where it has no namespace of its own."""
        if "pid-namespace" not in self.layers:
            return [self.pid, *(pid for pid in _processes() if pid != self.pid and _session(pid) == self.pid)]
        if "no-processes" in self.layers:
            return [self.pid]
        return _with_descendants(self.pid)

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
        shutil.rmtree(self.scratch, ignore_errors=True)


def spawn(nursery: Nursery, plan: WallPlan, memory_bytes: int) -> Runner:
    """A runner behind the wall, torch imported, no candidate loaded yet. `plan.scratch` exists and is given up with it.

    Raises HostFailure when the machine can't give one (the wall included).
    """
    server = nursery.wait()
    work, work_end = Channel.pair()
    report, report_end = Channel.pair()
    log_read, log_write = os.pipe()
    try:
        ends = [work_end.fileno(), report_end.fileno(), log_write]
        server.send({"plan": plan.model_dump(), "threads": nursery.threads}, ends)
    except ChannelClosed as error:
        raise HostFailure(f"the fork server is gone: {error}") from error
    finally:
        work_end.close()
        report_end.close()
        os.close(log_write)
    log = Log(log_read)
    try:
        born, passed = report.receive_with_descriptors(START_S)
        runner = Runner(work, report, int(born["pid"]), passed[0], log, Path(plan.scratch), memory_bytes)
        hello = work.receive(START_S)
    except (ChannelClosed, ChannelTimeout) as error:
        raise HostFailure(f"a runner did not start: {error or 'no answer'}; {log.text[-500:]}") from error
    if "refused" in hello:
        raise HostFailure(str(hello["refused"]))
    runner.layers = (*hello["layers"], *(() if plan.processes or "seccomp" not in hello["layers"] else ("no-processes",)))
    return runner


DYING_S = 2.0
SCRATCH_PREFIX = "ksearch-scratch-"


def new_scratch() -> Path:
    """A folder for one runner, in one for this process: what a killed judge leaves can be told from what is in use."""
    parent = Path(tempfile.gettempdir()) / f"{SCRATCH_PREFIX}{os.getpid()}"
    parent.mkdir(mode=0o700, exist_ok=True)
    return Path(tempfile.mkdtemp(dir=parent))


def drop_scratch(pid: int | None = None) -> None:
    """This process's folder when it is done, or that of a judge that was killed. Its runners die with it, which takes a moment."""
    folder = Path(tempfile.gettempdir()) / f"{SCRATCH_PREFIX}{os.getpid() if pid is None else pid}"
    deadline = time.monotonic() + DYING_S
    while folder.exists() and time.monotonic() < deadline:
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(0.01 if folder.exists() else 0)


def sweep_scratch() -> None:
    """Remove what judges that were killed left behind, and nothing of a live process or another user."""
    for folder in Path(tempfile.gettempdir()).glob(f"{SCRATCH_PREFIX}*"):
        owner = folder.name.removeprefix(SCRATCH_PREFIX)
        if owner.isdigit() and not Path(f"/proc/{owner}").exists() and folder.lstat().st_uid == os.getuid():
            shutil.rmtree(folder, ignore_errors=True)


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def _processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _status(pid: int) -> dict[str, str]:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return {}
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None


def _with_descendants(pid: int) -> list[int]:
    """A process and all below it. As process 1 of its namespace it is also the parent of every orphan there."""
    family = [pid]
    for member in family:
        try:
            tasks = os.listdir(f"/proc/{member}/task")
            lists = [Path(f"/proc/{member}/task/{task}/children").read_text() for task in tasks]
        except OSError:
            continue
        family += [int(child) for text in lists for child in text.split()]
    return family


def _running(pid: int) -> bool:
    """Whether a thread of the process is still neither stopped nor gone."""
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
        states = [Path(f"/proc/{pid}/task/{task}/stat").read_text().rpartition(") ")[2][:1] for task in tasks]
    except OSError:
        return False
    return any(state not in "TtZX" for state in states)
