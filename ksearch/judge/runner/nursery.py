"""`python -m ksearch.judge.runner.nursery FD KIND`: a fork server, so that a runner starts in milliseconds, torch imported.

It is started with a clean environment, holds one descriptor and no secret, and never initialises CUDA. For each request it
forks a keeper, the keeper enters fresh namespaces and forks the runner, which is process 1 there: when the keeper or the
runner ends, everything the candidate started ends too.
"""

from __future__ import annotations

import contextlib
import gc
import os
import secrets
import signal
import socket
import sys
from typing import NoReturn

from ksearch.judge.channel import Channel, ChannelClosed
from ksearch.judge.process import die_with_parent
from ksearch.judge.runner.stub import Kind
from ksearch.judge.sandbox import namespaces
from ksearch.judge.sandbox.wall import WallPlan, WallRefused, raise_wall

GAPS: list[bytearray] = []


def main(descriptor: int, kind: Kind, judge: int) -> None:
    """`judge` is the process that started it: told, as one that is gone by now could not be asked for."""
    die_with_parent(judge)
    _import_ahead(kind)
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # keepers are reaped by the kernel
    channel = Channel(socket.socket(fileno=descriptor))
    channel.send({"ready": True, "threads": len(os.listdir("/proc/self/task"))})
    while True:
        try:
            message, passed = channel.receive_with_descriptors()
        except ChannelClosed:
            return
        if os.fork() == 0:
            channel.close()
            _keep(WallPlan.model_validate(message["plan"]), message["threads"], kind, *passed)
        for end in passed:
            os.close(end)


def _import_ahead(kind: Kind) -> None:
    """Everything of this program that a runner uses: behind the wall its files can't be read."""
    if kind == "native":
        _import_ahead_without_torch()
        return
    import torch  # noqa: F401

    from ksearch.judge.runner import cpu_calls, stub, views  # noqa: F401

    with contextlib.suppress(ImportError):  # C++ and CUDA candidates then fail to load, and say why
        import tvm_ffi  # noqa: F401
    if kind == "cuda":
        import triton  # noqa: F401

        from ksearch.definitions import kits  # noqa: F401
        from ksearch.judge.runner import cuda_calls  # noqa: F401

        with contextlib.suppress(ImportError):  # events then time; the judge looks for itself and says so
            import cupti  # noqa: F401


def _import_ahead_without_torch() -> None:
    """For compiled candidates: tvm-ffi takes torch and numpy with it where it finds them, and with them every vendor library."""
    hidden = ("torch", "numpy", "cuda", "ml_dtypes")
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    with contextlib.suppress(ImportError):
        import tvm_ffi  # noqa: F401
    for name in hidden:
        sys.modules.pop(name, None)
    from ksearch.judge.runner import dlpack, native_calls, stub  # noqa: F401


def _keep(plan: WallPlan, threads: int, kind: Kind, work: int, report: int, output: int) -> NoReturn:
    """The keeper: namespaces, then the runner in them; tells the judge the runner's pidfd, and its status at the end."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    parent = os.getppid()
    entered = () if "namespaces" in plan.without else namespaces.enter()
    die_with_parent(parent)
    child = os.fork()
    if child == 0:
        os.close(report)
        _become_runner(plan, threads, kind, entered, work, output)
    reports = Channel(socket.socket(fileno=report))
    for end in (work, output):
        os.close(end)
    try:
        reports.send({"pid": child}, [os.pidfd_open(child)])
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        reports.send({"status": status})
    except (ChannelClosed, OSError):
        os._exit(1)
    os._exit(0)


def _become_runner(plan: WallPlan, threads: int, kind: Kind, entered: tuple[str, ...], work: int, output: int) -> NoReturn:
    die_with_parent()
    os.setsid()
    _own_descriptors(work, output)
    os.chdir(plan.scratch)
    folders = {"HOME": plan.scratch, "TMPDIR": plan.scratch, "TRITON_CACHE_DIR": os.path.join(plan.scratch, "triton")}
    os.environ.update(folders)
    channel = Channel(socket.socket(fileno=3))
    try:
        layers = raise_wall(plan, entered)
    except (WallRefused, OSError) as error:
        channel.send({"refused": str(error)})
        os._exit(1)
    die_with_parent()  # giving up capabilities may have cleared it
    from ksearch.judge.runner.stub import serve

    _scatter()
    channel.send({"layers": list(layers)})
    serve(channel, threads=threads, kind=kind)
    os._exit(0)


def _scatter() -> None:
    """Every runner is a fork of one process and would have its heap at the same addresses: what a program's layout is worth by
    chance would then look like the program. With gaps of random size it is drawn anew for each runner."""
    GAPS.extend(bytearray(4096 + secrets.randbelow(2**16)) for _ in range(8))


def _own_descriptors(work: int, output: int) -> None:
    """0 is empty, 1 and 2 are captured, 3 is the work channel; nothing else stays open."""
    work, output = (os.dup2(end, 64 + k) for k, end in enumerate((work, output)))
    null = os.open(os.devnull, os.O_RDWR)
    for source, target in ((null, 0), (output, 1), (output, 2), (work, 3)):
        os.dup2(source, target)
    os.closerange(4, 1024)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))  # type: ignore[arg-type]
