"""The contract that every evaluator keeps, and what each adds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ksearch.evaluators.base import Evaluator
from ksearch.evaluators.fake import FakeEvaluator
from ksearch.evaluators.local import LocalEvaluator
from ksearch.judge.verdict import Status
from tests.judge.conftest import HONEST, HONEST_CPP, job_of, solution


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalEvaluator]:
    before = os.environ.get("KSEARCH_CACHE")
    os.environ["KSEARCH_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    evaluator = LocalEvaluator("cpu", compile_workers=2)
    yield evaluator
    evaluator.close()
    os.environ.pop("KSEARCH_CACHE") if before is None else os.environ.update(KSEARCH_CACHE=before)


@pytest.fixture(params=["fake", "local"])
def evaluator(request: pytest.FixtureRequest) -> Evaluator:
    return FakeEvaluator(delay_s=0.01) if request.param == "fake" else request.getfixturevalue("local")


@pytest.mark.slow
def test_every_job_gets_its_own_verdict(evaluator: Evaluator) -> None:
    jobs = [job_of(solution(HONEST + f"# {number}")) for number in range(3)]
    verdicts = [future.result(timeout=60) for future in [evaluator.submit(job) for job in jobs]]
    assert [verdict.job for verdict in verdicts] == [job.job for job in jobs]
    assert [verdict.solution for verdict in verdicts] == [job.solution.digest for job in jobs]
    assert {verdict.status for verdict in verdicts} == {Status.PASSED}


def test_capabilities_are_told(evaluator: Evaluator) -> None:
    assert "cpu" in evaluator.capabilities().devices
    assert evaluator.capabilities().measuring >= 1


def test_local_compiles_ahead_and_the_judge_finds_it(local: LocalEvaluator) -> None:
    verdict = local.submit(job_of(solution(HONEST_CPP, "cpp"))).result(timeout=60)
    assert verdict.status is Status.PASSED
    assert verdict.compile is not None
    assert verdict.compile.cached


def test_a_killed_judge_is_started_again(local: LocalEvaluator) -> None:
    assert local.submit(job_of(solution(HONEST))).result(timeout=60).status is Status.PASSED
    assert local._queue._judge is not None
    os.kill(local._queue._judge.pid, signal.SIGKILL)
    assert local.submit(job_of(solution(HONEST))).result(timeout=60).status is Status.PASSED


@pytest.mark.parametrize("kind", ["fake", "local"])
def test_close_answers_what_is_open_and_takes_no_more(kind: str) -> None:
    evaluator: Evaluator = FakeEvaluator(delay_s=30.0) if kind == "fake" else LocalEvaluator("cpu", compile_workers=1)
    future = evaluator.submit(job_of(solution("def run(x, w, out):\n    while True: pass"), limits={"timeout_s": 60.0}))
    evaluator.close()
    assert future.result(timeout=5).status is Status.INFRASTRUCTURE
    with pytest.raises(RuntimeError):
        evaluator.submit(job_of(solution(HONEST)))


def test_fake_verdicts_are_a_function_of_the_sources() -> None:
    one, other = FakeEvaluator(noise_ln=0.1), FakeEvaluator(noise_ln=0.1)
    job = job_of(solution(HONEST))
    assert one.verdict(job) == other.verdict(job)
    assert FakeEvaluator(seed=1, noise_ln=0.1).verdict(job) != one.verdict(job)


def test_fake_reads_toy_lines() -> None:
    fake = FakeEvaluator()
    fast = fake.verdict(job_of(solution('# toy: {"speedup": 4}\n')))
    assert [round((w.baseline_us or 0) / (w.latency_us or 1), 6) for w in fast.workloads] == [4, 4]
    assert fake.verdict(job_of(solution('// toy: {"fail": "TIMEOUT"}\n', "cpp"))).status is Status.TIMEOUT
    promoted = fake.verdict(job_of(solution('# toy: {"speedup": 2}\n'), kind="promote", opponent=solution('# toy: {"speedup": 1}\n')))
    assert promoted.paired is not None
    assert promoted.paired.promoted


def test_fake_needs_no_torch() -> None:
    code = "import sys, ksearch.evaluators.fake, ksearch.evaluators.local, ksearch.cli.evaluate; sys.exit('torch' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *(path for path in sys.path if path)])}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0
