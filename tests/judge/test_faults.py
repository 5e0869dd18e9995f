"""Candidates that break things: each a clear verdict within its limit, the next candidate and the host unaffected."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import pytest

from ksearch.evaluators.judge_process import JudgeProcess
from ksearch.judge.verdict import Job, Status
from tests.judge.conftest import HONEST, Judged, job_of, rows, solution

ENDED = {Status.RUNTIME_ERROR, Status.INCORRECT_NUMERICAL}
"""Process 1 of a namespace ignores signals from within: the call then returns with nothing written."""
BREAKING = {
    "hangs while loading": ("import time\ntime.sleep(1000)", {Status.TIMEOUT}),
    "sleeps for ever": ("import time\ndef run(x, w, out):\n    time.sleep(1000)", {Status.TIMEOUT}),
    "fills the disk": (
        "import os\ndef run(x, w, out):\n    block = b'x' * (1 << 24)\n    for n in range(10_000):\n"
        "        with open(f'f{n}', 'wb') as file:\n            for _ in range(256): file.write(block)",
        {Status.RUNTIME_ERROR, Status.TIMEOUT, Status.REJECTED},
    ),
    "a file without end": (
        "def run(x, w, out):\n    with open('big', 'wb') as file:\n        while True: file.write(b'x' * (1 << 24))",
        {Status.RUNTIME_ERROR, Status.TIMEOUT, Status.REJECTED},
    ),
    "opens every descriptor": (
        "import os\nKEPT = []\ndef run(x, w, out):\n    while True: KEPT.append(os.open('/dev/null', 0))",
        {Status.RUNTIME_ERROR},
    ),
    "recursion": ("def run(x, w, out):\n    run(x, w, out)", {Status.RUNTIME_ERROR}),
    "aborts": ("import os\ndef run(x, w, out):\n    os.abort()", {Status.RUNTIME_ERROR}),
    "kills its group": ("import os, signal\ndef run(x, w, out):\n    os.killpg(0, signal.SIGKILL)", ENDED),
    "kills everyone": ("import os, signal\ndef run(x, w, out):\n    os.kill(-1, signal.SIGKILL)", ENDED),
}


@pytest.mark.parametrize("kind", BREAKING)
def test_breaking_ends_in_a_clear_verdict_in_time(judged: Judged, kind: str) -> None:
    source, wanted = BREAKING[kind]
    verdict = judged(source)
    assert verdict.status in wanted, verdict.evidence
    assert verdict.wall_seconds < 12
    assert verdict.evidence is not None
    assert verdict.evidence.message


def test_the_next_candidate_is_unaffected(judged: Judged) -> None:
    assert judged(HONEST).status is Status.PASSED


def test_files_of_others_can_be_neither_deleted_nor_read(judged: Judged, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_text("here")
    verdict = judged(
        f"import contextlib, os, shutil\nfor path in ({str(kept)!r}, {str(tmp_path)!r}, '/usr/bin/env', os.path.expanduser('~/..')):\n"
        "    with contextlib.suppress(OSError): os.unlink(path)\n    shutil.rmtree(path, ignore_errors=True)\n"
        f"    with contextlib.suppress(OSError): open(path, 'w').close()\nif os.path.exists({str(kept)!r}):\n"
        f"    with contextlib.suppress(OSError):\n        open({str(kept)!r}).read()\n        os._exit(3)\n{HONEST}"
    )
    assert verdict.status is Status.PASSED, verdict.evidence
    assert kept.read_text() == "here"


def test_a_candidate_that_wakes_itself_is_charged_for_what_it_does(judged: Judged) -> None:
    """A timer whose signal continues a stopped process: what runs then is in the kernel's books all the same."""
    waking = (
        "import ctypes, signal\nlibc = ctypes.CDLL(None)\n"
        "class Event(ctypes.Structure):\n"
        "    _fields_ = [('value', ctypes.c_void_p), ('signo', ctypes.c_int), ('notify', ctypes.c_int), ('pad', ctypes.c_int * 12)]\n"
        "class Time(ctypes.Structure):\n"
        "    _fields_ = [(n, ctypes.c_long) for n in ('interval_s', 'interval_ns', 'value_s', 'value_ns')]\n"
        "timer, event = ctypes.c_void_p(), Event(0, signal.SIGCONT, 0)\n"
        "if libc.timer_create(1, ctypes.byref(event), ctypes.byref(timer)) == 0:\n"
        "    libc.timer_settime(timer, 0, ctypes.byref(Time(0, 200_000, 0, 200_000)), None)\n"
    )
    verdict, honest = judged(waking + HONEST), judged(HONEST)
    assert verdict.status is Status.PASSED, verdict.evidence
    for woken, plain in zip(verdict.workloads, honest.workloads, strict=True):
        assert (woken.latency_us or 0) > 0.3 * (plain.latency_us or 0)


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


@pytest.mark.slow
def test_forty_evaluations_leave_nothing(cache: Path) -> None:
    """No process, no shared memory, no temporary file, no open descriptor is left by what went before."""
    process = JudgeProcess("cpu")
    try:
        bad = ("def run(x, w, out):\n    raise ValueError", "import os\ndef run(x, w, out):\n    os._exit(0)", HONEST + "    out.zero_()")
        quick = [_quick(source) for source in (HONEST, *bad)]
        process.judge(quick[0])
        before = left(process.pid)
        for number in range(40):
            process.judge(quick[number % len(quick)])
        assert left(process.pid) == before
    finally:
        process.kill()
    assert not Path(tempfile.gettempdir(), f"ksearch-scratch-{process.pid}").exists()


def _quick(source: str) -> Job:
    return job_of(solution(source), workloads=(rows(1).model_copy(update={"weight": 1.0}),), timed_calls=1)


def family(pid: int) -> int:
    children = [int(c) for task in os.listdir(f"/proc/{pid}/task") for c in Path(f"/proc/{pid}/task/{task}/children").read_text().split()]
    return len(children) + sum(family(child) for child in children)


def left(pid: int) -> tuple[int, int, int]:
    """Descriptors (shared memory among them), processes and scratch folders of a judge, once what it ended has gone."""
    counts = []
    for _ in range(40):
        counts.append((descriptors(pid), family(pid), len(list(Path(tempfile.gettempdir(), f"ksearch-scratch-{pid}").iterdir()))))
        time.sleep(0.05)
    return min(counts)
