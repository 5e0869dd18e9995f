"""Starting runners: fork servers, the environment and the scratch folder of each."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from ksearch.judge.channel import Channel, ChannelClosed, ChannelTimeout
from ksearch.judge.runner.stub import Kind
from ksearch.judge.runner_handle import Log, Runner
from ksearch.judge.sandbox.wall import WallPlan

START_S = 120.0

KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "CUDA_HOME", "CUDA_PATH", "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER")
"""The whole environment of candidate code, with a few constants and its scratch folder as HOME: no key, no token, no path of data."""


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
    """The fork server's process and its channel; started again when it is gone. `kind` is what its runners are made for."""

    kind: Kind
    threads: int = 1
    process: subprocess.Popen[bytes] | None = None
    channel: Channel | None = None

    def start(self) -> None:
        self.channel, theirs = Channel.pair()
        paths = [path for path in sys.path if path]
        environment = {**clean_environment(threads=self.threads), "PYTHONPATH": os.pathsep.join(paths)}
        arguments = [sys.executable, "-m", "ksearch.judge.runner.nursery", str(theirs.fileno()), self.kind, str(os.getpid())]
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


class Nurseries:
    """Fork servers by what their runners are for, started when first needed."""

    def __init__(self) -> None:
        self._kinds: dict[Kind, Nursery] = {}

    def of(self, kind: Kind) -> Nursery:
        if kind not in self._kinds:
            self._kinds[kind] = Nursery(kind)
            self._kinds[kind].start()
        return self._kinds[kind]

    def close(self) -> None:
        for nursery in self._kinds.values():
            nursery.close()


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
    log, runner = Log(log_read), None
    try:
        born, passed = report.receive_with_descriptors(START_S)
        runner = Runner(work, report, int(born["pid"]), passed[0], log, Path(plan.scratch), memory_bytes)
        hello = work.receive(START_S)
        if "refused" in hello:
            raise HostFailure(str(hello["refused"]))
    except (ChannelClosed, ChannelTimeout, HostFailure) as error:
        if runner is not None:
            runner.close()
        if isinstance(error, HostFailure):
            raise
        raise HostFailure(f"a runner did not start: {error or 'no answer'}; {log.text[-500:]}") from error
    runner.layers = (*hello["layers"], *(() if plan.processes or "seccomp" not in hello["layers"] else ("no-processes",)))
    return runner
