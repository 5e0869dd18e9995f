"""Ray's evaluator on a real cluster of this machine's, whose workers are killed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ksearch.devices import Device
from ksearch.errors import BadInput, Unavailable
from ksearch.judge.verdict import Status
from tests.judge.conftest import HONEST, job_of, solution

ray = pytest.importorskip("ray", reason="ray is not installed (pip install 'ksearch-kernels[ray]')")

from ksearch.evaluators.ray import cluster  # noqa: E402
from ksearch.evaluators.ray.evaluator import RayEvaluator  # noqa: E402

SLOW = "import time\ntime.sleep(2)\n" + HONEST
"""An honest kernel that is slow to import: long enough to be under way when its worker is killed."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_a_cluster_that_is_not_there_is_one_line() -> None:
    assert not ray.is_initialized()
    with pytest.raises(Unavailable, match=r"--evaluator ray:127\.0\.0\.1:1") as refused:
        cluster.connect("127.0.0.1:1")
    assert "\n" not in str(refused.value)


@pytest.fixture(scope="module")
def device() -> Iterator[Device]:
    before = os.environ.pop("RAY_ADDRESS", None)
    try:
        found = cluster.device_of("local", "cpu")
    except Unavailable as error:
        pytest.skip(f"ray can't start a cluster on this machine: {error}")
    yield found
    cluster.leave()
    if before is not None:
        os.environ["RAY_ADDRESS"] = before


@pytest.fixture(scope="module")
def place(device: Device) -> Iterator[RayEvaluator]:
    evaluator = RayEvaluator("local", device)
    yield evaluator
    evaluator.close()


def worker_process() -> int:
    """The process of the one worker, as the kernel names it."""
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and (folder / "cmdline").read_bytes().startswith(b"ray::Worker"):
                return int(folder.name)
        except OSError:
            continue
    raise AssertionError("no worker is running")


def judges() -> set[int]:
    """Judge processes that are alive."""
    found = set()
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and b"ksearch.judge\0--lifeline" in (folder / "cmdline").read_bytes():
                found.add(int(folder.name))
        except OSError:
            continue
    return found


def test_a_worker_that_is_killed_at_work_loses_no_job(place: RayEvaluator) -> None:
    before = judges()
    future = place.submit(job_of(solution(SLOW)))
    deadline = time.monotonic() + 60
    while not place._at_work and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1.0)
    its_judges = judges() - before
    os.kill(worker_process(), signal.SIGKILL)
    verdict = future.result(timeout=90)
    assert verdict.status is Status.PASSED
    assert its_judges, "the job was under way"
    assert not its_judges & judges(), "a killed worker leaves no judge behind"


def test_verdicts_are_those_of_any_judge(place: RayEvaluator, device: Device) -> None:
    honest, broken = job_of(solution(HONEST)), job_of(solution("run = 3"))
    verdicts = [future.result(timeout=60) for future in (place.submit(honest), place.submit(broken))]
    assert [verdict.status for verdict in verdicts] == [Status.PASSED, Status.RUNTIME_ERROR]
    assert [verdict.question for verdict in verdicts] == [honest.question, broken.question]
    assert device.count == 1
    assert place.capabilities().measuring == 1


def test_a_cluster_is_asked_for_what_it_has(device: Device) -> None:
    assert device.spec == "cpu"
    with pytest.raises(BadInput, match="the cluster has no GPU"):
        cluster.device_of("local", "cuda")
    with pytest.raises(BadInput, match="have no numbers"):
        cluster.device_of("local", "cuda:1")


def test_closing_answers_what_waits(device: Device) -> None:
    evaluator = RayEvaluator("local", device)
    future = evaluator.submit(job_of(solution("def run(x, w, out):\n    while True: pass"), limits={"timeout_s": 60.0}))
    evaluator.close()
    assert future.result(timeout=5).status is Status.INFRASTRUCTURE
    with pytest.raises(RuntimeError):
        evaluator.submit(job_of(solution(HONEST)))
