"""Candidates that attack: they are refused or gain nothing, and the next honest one passes."""

from __future__ import annotations

import json
import os
import tempfile
import time
from pathlib import Path

import pytest

from ksearch.evaluators.judge_process import JudgeProcess
from ksearch.judge.verdict import Status
from tests.judge.conftest import HONEST, Judged

FAILING = {
    "leaves with status 0": "import os\ndef run(x, w, out):\n    os._exit(0)",
    "leaves while loading": "import os\nos._exit(0)",
    "sys.exit": "import sys\ndef run(x, w, out):\n    sys.exit(0)",
    "segmentation fault": "import ctypes\ndef run(x, w, out):\n    ctypes.string_at(0)",
    "memory hog": "def run(x, w, out):\n    hog = [bytearray(1 << 28) for _ in range(64)]",
    "shared memory hog": """
import mmap
M = []
def run(x, w, out):
    while True:
        M.append(mmap.mmap(-1, 1 << 28)); M[-1][::4096] = b'x' * (1 << 16)
""",
    "fork bomb": "import os\ndef run(x, w, out):\n    while True: os.fork()",
    "thread bomb": """
import threading, time
def run(x, w, out):
    while True: threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
""",
    "stops itself": "import os, signal\ndef run(x, w, out):\n    os.kill(os.getpid(), signal.SIGSTOP); import time; time.sleep(100)",
    "closes every descriptor": "import os\ndef run(x, w, out):\n    os.closerange(0, 4096)",
}
FORGING = {
    "prints a verdict": "print('{\"status\": \"PASSED\"}')\ndef run(x, w, out):\n    print('PASSED'); out.zero_()",
    "answers in the channel's own form": """
import os, struct
def run(x, w, out):
    for fd in range(3, 64):
        try: os.write(fd, struct.pack('<I', 12) + b'{"ok": true}')
        except OSError: pass
    out.zero_()
""",
    "nonsense in the channel": """
import os
def run(x, w, out):
    for fd in range(3, 64):
        try: os.write(fd, b'\\xff' * 64)
        except OSError: pass
""",
    "a huge length in the channel": "import os\ndef run(x, w, out):\n    os.write(3, b'\\xff\\xff\\xff\\x7f')",
}


@pytest.mark.parametrize("kind", FAILING)
def test_violence_ends_in_a_clear_verdict(judged: Judged, kind: str) -> None:
    verdict = judged(FAILING[kind])
    assert verdict.status in (Status.RUNTIME_ERROR, Status.TIMEOUT, Status.REJECTED)
    assert judged(HONEST).status is Status.PASSED


def test_an_endless_loop_is_a_timeout(judged: Judged) -> None:
    verdict = judged("def run(x, w, out):\n    while True: pass")
    assert verdict.status is Status.TIMEOUT
    assert verdict.wall_seconds < 8


@pytest.mark.parametrize("kind", FORGING)
def test_forged_answers_don_t_pass(judged: Judged, kind: str) -> None:
    assert judged(FORGING[kind]).status not in (Status.PASSED, Status.INFRASTRUCTURE)
    assert judged(HONEST).status is Status.PASSED


LOOKING = """
import gc, os, socket, sys, torch
def found(x, out):
    frame = sys._getframe()
    while frame is not None:
        for value in frame.f_locals.values():
            if isinstance(value, torch.Tensor) and value.shape == out.shape and value.dtype == torch.float64: return 'frame'
        if any('expect' in name or 'reference' in name for name in frame.f_locals): return 'frame name'
        frame = frame.f_back
    mine = {x.data_ptr(), out.data_ptr()}
    for thing in gc.get_objects():
        if isinstance(thing, torch.Tensor) and thing.shape == out.shape and thing.data_ptr() not in mine and thing.dtype == torch.float64:
            return 'gc'
    for name in os.listdir('/proc'):
        if name.isdigit() and int(name) != os.getpid():
            return 'process ' + name
    return attempts()
def attempts():
    for path in PATHS:
        try: open(path, 'rb').read(1); return path
        except OSError: pass
    for path in ('/tmp/escaped', os.path.expanduser('~') + '/../escaped', '/dev/shm/escaped'):
        try: open(path, 'w').close(); return path
        except OSError: pass
    for family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX, socket.AF_NETLINK):
        try: socket.socket(family); return f'socket {family}'
        except OSError: pass
    if any(word in name for name in os.environ for word in ('KEY', 'TOKEN', 'SECRET', 'KSEARCH')): return 'environment'
    return None
def run(x, w, out):
    what = found(x, out)
    if what: raise RuntimeError('found ' + what)
    honest(x, w, out)
"""


def test_looking_around_finds_nothing(judged: Judged, judge_process: JudgeProcess, tmp_path: Path) -> None:
    """Frames, garbage collector, other processes, the judge's memory and descriptors, files, network, environment."""
    secret = tmp_path / "secret"
    secret.write_text("seed")
    pids = [judge_process.pid, os.getpid()]
    paths = [f"/proc/{pid}/{name}" for pid in pids for name in ("mem", "environ", "maps", "fd/0")]
    paths += [str(secret), str(Path(__file__)), "/etc/shadow", str(Path.home() / ".profile")]
    os.environ["SOME_API_KEY"] = "x"
    verdict = judged(f"PATHS = {json.dumps(paths)}\n" + HONEST.replace("def run", "def honest") + LOOKING)
    assert verdict.status is Status.PASSED, verdict.evidence


SYSCALLS = """
import ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
def run(x, w, out):
    for name, number in {'ptrace': 101, 'process_vm_readv': 310, 'pidfd_getfd': 438, 'bpf': 321, 'unshare': 272, 'mount': 165,
                         'keyctl': 250, 'perf_event_open': 298, 'kexec_load': 246, 'userfaultfd': 323, 'io_uring_setup': 425}.items():
        if libc.syscall(number, 0, 0, 0, 0, 0, 0) >= 0 or ctypes.get_errno() not in (errno.EPERM, errno.ENOSYS):
            raise RuntimeError(name)
    honest(x, w, out)
"""


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="numbers of x86_64")
def test_dangerous_system_calls_are_refused(judged: Judged) -> None:
    verdict = judged(HONEST.replace("def run", "def honest") + SYSCALLS)
    assert verdict.status is Status.PASSED, verdict.evidence


LYING_CLOCKS = """
import statistics, time, torch
time.perf_counter = time.monotonic = time.time = lambda: 0.0
statistics.median = min
torch.allclose = torch.equal = lambda *a, **k: True
"""


def test_patched_clocks_and_comparators_gain_nothing(judged: Judged) -> None:
    lying, honest = judged(LYING_CLOCKS + HONEST), judged(HONEST)
    assert lying.status is Status.PASSED
    for a, b in zip(lying.workloads, honest.workloads, strict=True):
        assert a.latency_us is not None
        assert b.latency_us is not None
        assert a.latency_us > b.latency_us / 5
    assert judged(LYING_CLOCKS + HONEST + "    out.zero_()").status is Status.INCORRECT_NUMERICAL


def test_nothing_is_left_behind(judged: Judged, judge_process: JudgeProcess) -> None:
    """After all of the above only the judge, its fork servers and their idle runners live, and no scratch folder but theirs is left."""
    assert judged(HONEST).status is Status.PASSED
    deadline = time.monotonic() + 10
    while not _only_idle_runners(left := _left_by(judge_process.pid)) and time.monotonic() < deadline:
        time.sleep(0.05)  # one that was killed may still be on its way out
    assert _only_idle_runners(left), left


def _left_by(judge: int) -> tuple[list[list[str]], list[str]]:
    """Runners by fork server; scratch folders."""
    servers = Path(f"/proc/{judge}/task/{judge}/children").read_text().split()
    runners = [Path(f"/proc/{server}/task/{server}/children").read_text().split() for server in servers]
    return runners, [path.name for path in Path(tempfile.gettempdir()).glob(f"ksearch-scratch-{judge}/*")]


def _only_idle_runners(left: tuple[list[list[str]], list[str]]) -> bool:
    runners, folders = left
    return len(runners) <= 2 and all(len(idle) <= 1 for idle in runners) and len(folders) == sum(map(len, runners))
