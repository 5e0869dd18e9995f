"""Judges that are reached through a command or a folder: real processes, killed and lied to."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ksearch.errors import BadInput, Unavailable
from ksearch.evaluators import bundle, command
from ksearch.evaluators.bundle import BundleEvaluator
from ksearch.evaluators.command import CommandEvaluator
from ksearch.judge.batch import verdict_path
from ksearch.judge.description import Description, DeviceFacts, describe
from ksearch.judge.verdict import JUDGE_VERSION, Evidence, Job, Status, Verdict
from tests.judge.conftest import HONEST, job_of, solution

ROOT = Path(__file__).parents[2]
PATHS = os.pathsep.join([str(ROOT), *(path for path in sys.path if path)])
HERE = shlex.join(["env", f"PYTHONPATH={PATHS}", sys.executable, "-m", "ksearch", "evaluate", "-"])
"""What `ssh box ksearch evaluate -` would reach, without the way there."""


def evaluate(folder: Path, *options: str) -> None:
    arguments = [sys.executable, "-m", "ksearch", "evaluate", str(folder), *options]
    subprocess.run(arguments, check=True, timeout=90, capture_output=True, env={**os.environ, "PYTHONPATH": PATHS})


@pytest.fixture
def remote() -> Iterator[CommandEvaluator]:
    evaluator = CommandEvaluator(HERE, "cpu")
    yield evaluator
    evaluator.close()


@pytest.mark.slow
def test_a_command_judges_and_a_killed_one_is_started_again(remote: CommandEvaluator) -> None:
    assert remote.submit(job_of(solution(HONEST))).result(timeout=90).status is Status.PASSED
    process = remote._queue._judge
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    assert remote.submit(job_of(solution(HONEST))).result(timeout=90).status is Status.PASSED


def test_a_command_tells_its_devices(remote: CommandEvaluator) -> None:
    description = command.description_of(HERE)
    assert description.device("cpu", "there") == describe().device("cpu", "here")
    with pytest.raises(BadInput, match=r"--device cuda:7: there has cpu"):
        description.device("cuda:7", "there")


@pytest.mark.parametrize("program", ["false", "no-such-program-here", "echo hello", "sh -c 'read line; echo {}'"])
def test_a_command_that_is_no_judge_is_unavailable(program: str) -> None:
    with pytest.raises(Unavailable, match=f"--evaluator command:{program}"):
        command.description_of(program)


def test_a_command_that_ends_each_time_is_told_as_infrastructure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "PAUSE_S", 0.01)
    evaluator = CommandEvaluator("false", "cpu")
    try:
        verdict = evaluator.submit(job_of(solution(HONEST))).result(timeout=30)
    finally:
        evaluator.close()
    assert verdict.status is Status.INFRASTRUCTURE


STRANGE = [
    "{torn",
    "[]",
    '{"error": "not a job"}',
    Verdict(job="j", solution="s", question="another", status=Status.TIMEOUT, evidence=Evidence(message="x")).model_dump_json(),
]


@pytest.mark.parametrize("answer", STRANGE, ids=["torn", "no verdict", "refusal", "another question"])
def test_what_is_no_answer_to_the_job_is_never_a_verdict_on_it(monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    """Also a stream that is one answer behind: each would be taken for the next job's."""
    monkeypatch.setattr(command, "PAUSE_S", 0.01)
    evaluator = CommandEvaluator(shlex.join(["sh", "-c", "while read -r line; do printf '%s\\n' \"$0\"; done", answer]), "cpu")
    try:
        verdict = evaluator.submit(job_of(solution(HONEST))).result(timeout=30)
    finally:
        evaluator.close()
    assert verdict.status is Status.INFRASTRUCTURE


def test_a_judge_of_another_version_is_refused() -> None:
    facts = DeviceFacts(spec="cpu", name="theirs", arch=None)
    with pytest.raises(BadInput, match="install the same ksearch there"):
        Description(judge_version="0", devices=(facts,)).device("cpu", "bundle:there")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    evaluate(tmp_path, "--describe")
    return tmp_path


def submitted(folder: Path, *jobs: Job) -> tuple[BundleEvaluator, list[Path]]:
    evaluator = BundleEvaluator(folder, "cpu")
    for job in jobs:
        evaluator.submit(job)
    return evaluator, sorted(folder.glob("*.job.json"))


def test_a_bundle_waits_for_its_verdicts_and_finds_those_made_meanwhile(folder: Path) -> None:
    honest, broken = job_of(solution(HONEST)), job_of(solution("run = 3"))
    evaluator, paths = submitted(folder, honest, broken)
    evaluator.close()
    assert len(paths) == 2
    evaluate(folder)
    joined = BundleEvaluator(folder, "cpu")
    try:
        statuses = [joined.submit(job).result(timeout=20).status for job in (honest, broken)]
    finally:
        joined.close()
    assert statuses == [Status.PASSED, Status.RUNTIME_ERROR]
    assert sorted(folder.glob("*.job.json")) == paths, "asked again, a question is the same file"


def test_a_verdict_on_another_question_is_refused_and_put_aside(folder: Path) -> None:
    job = job_of(solution(HONEST))
    evaluator = BundleEvaluator(folder, "cpu")
    try:
        future = evaluator.submit(job)
        (path,) = folder.glob("*.job.json")
        foreign = Verdict(
            job=job.job, solution=job.solution.digest, question="another", status=Status.RUNTIME_ERROR, evidence={"message": "x"},
            judge_version=JUDGE_VERSION,
        )  # fmt: skip
        verdict_path(path).write_text(foreign.model_dump_json())
        verdict = future.result(timeout=20)
    finally:
        evaluator.close()
    assert verdict.status is Status.INFRASTRUCTURE
    assert verdict.evidence is not None
    assert "answers another job" in verdict.evidence.message
    assert not verdict_path(path).exists()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"job": 3}', "\x00"])
def test_torn_verdicts_are_no_verdicts(folder: Path, text: str) -> None:
    evaluator = BundleEvaluator(folder, "cpu")
    try:
        future = evaluator.submit(job_of(solution(HONEST)))
        (path,) = folder.glob("*.job.json")
        verdict_path(path).write_text(text)
        assert future.result(timeout=20).status is Status.INFRASTRUCTURE
    finally:
        evaluator.close()


def test_a_folder_that_says_nothing_of_its_device_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"ksearch evaluate .* --describe"):
        bundle.description_of(tmp_path)


def test_a_question_is_of_what_decides_the_answer() -> None:
    one = job_of(solution(HONEST))
    assert one.question == one.model_copy(update={"job": "other", "seed": 3, "dataset_root": "/elsewhere"}).question
    assert one.question != one.model_copy(update={"timed_calls": 6}).question


def test_closing_answers_what_waits(folder: Path) -> None:
    evaluator = BundleEvaluator(folder, "cpu")
    future = evaluator.submit(job_of(solution(HONEST)))
    time.sleep(0)
    evaluator.close()
    assert future.result(timeout=5).status is Status.INFRASTRUCTURE
