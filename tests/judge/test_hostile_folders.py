"""`ksearch evaluate FOLDER` on folders that a stranger filled: refused with one line before anything is judged, nothing read or
written elsewhere, nothing that hangs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ksearch.errors import BadInput, printable
from ksearch.evaluators.bundle import BundleEvaluator
from ksearch.evaluators.judge_process import JudgeProcess
from ksearch.judge import batch
from ksearch.judge.batch import evaluate_folder, read_description, verdict_path, write_whole
from ksearch.judge.verdict import Job, Status
from tests.judge.conftest import HONEST, job_of, solution

GOOD = job_of(solution(HONEST)).model_dump_json()


def changed(**changes: Any) -> str:
    return json.dumps({**json.loads(GOOD), **changes})


def link(path: Path) -> None:
    path.symlink_to("/etc/passwd")


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def pipe(path: Path) -> None:
    os.mkfifo(path)


def enormous(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**36)


def folder(path: Path) -> None:
    path.mkdir()


def text(content: str | bytes) -> Callable[[Path], None]:
    return lambda path: void(path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")))


def void(_: object) -> None:
    return None


FILES: dict[str, tuple[Callable[[Path], None], str]] = {
    "link": (link, "symbolic link"),
    "link to a device": (endless, "symbolic link"),
    "pipe": (pipe, "no plain file"),
    "64 GiB": (enormous, "limit"),
    "folder": (folder, "no plain file"),
    "byte order mark": (text("\ufeff" + GOOD), "no job"),
    "UTF-16": (text(GOOD.encode("utf-16")), "UTF-8"),
    "half a character": (text(GOOD.replace("kernel.py", "\ud800.py")), "UTF-8"),
    "cut off": (text(GOOD[:-20]), "no job"),
    "empty": (text(""), "no job"),
    "deep": (text('{"job": ' + "[" * 100_000), "no job"),
    "an endless number": (text('{"timed_calls": ' + "9" * 100_000 + "}"), "no job"),
    "NaN": (text(changed(limits={"timeout_s": float("nan")})), "limits.timeout_s"),
    "a negative axis": (text(GOOD.replace('"batch_size":1', '"batch_size":-1')), "batch_size"),
    "no workloads": (text(changed(workloads=[])), "workloads"),
    "a key of its own": (text(changed(shell="rm")), "shell"),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_hostile_job_is_refused_before_any_is_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    make, hint = FILES[kind]
    (tmp_path / "a-good.job.json").write_text(GOOD)
    make(tmp_path / "b.job.json")
    monkeypatch.setattr(batch, "Judge", lambda: pytest.fail("a judge was started"))
    with pytest.raises(BadInput, match=hint) as refused:
        evaluate_folder(tmp_path, seed=None, again=False, dataset=None)
    assert len(str(refused.value)) < 1000
    assert "\n" not in str(refused.value)
    assert not list(tmp_path.glob("*.verdict.json"))


@pytest.mark.parametrize("make", [folder, pipe, link])
def test_what_has_a_verdicts_name_and_is_none_is_refused(tmp_path: Path, make: Callable[[Path], None]) -> None:
    (tmp_path / "a.job.json").write_text(GOOD)
    make(tmp_path / "a.verdict.json")
    with pytest.raises(BadInput, match="no plain file"):
        evaluate_folder(tmp_path, seed=None, again=False, dataset=None)


@pytest.mark.parametrize("make", [pipe, enormous, link, folder, text("\x00")])
def test_a_description_that_is_none_is_refused(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "evaluator.json")
    with pytest.raises(BadInput):
        read_description(tmp_path)


@pytest.mark.parametrize("make", [pipe, enormous, link, endless, folder])
def test_a_hostile_verdict_neither_hangs_nor_counts(tmp_path: Path, make: Callable[[Path], None]) -> None:
    evaluator = BundleEvaluator(tmp_path, "cpu")
    try:
        future = evaluator.submit(Job.model_validate_json(GOOD))
        (path,) = tmp_path.glob("*.job.json")
        make(verdict_path(path))
        verdict = future.result(timeout=20)
    finally:
        evaluator.close()
    assert verdict.status is Status.INFRASTRUCTURE
    assert verdict.evidence is not None
    assert "refused" in verdict.evidence.message


def test_nothing_is_written_through_what_stands_there(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("mine")
    (tmp_path / "file").symlink_to(elsewhere)
    write_whole(tmp_path / "file", "theirs")
    assert (elsewhere.read_text(), (tmp_path / "file").read_text(), (tmp_path / "file").is_symlink()) == ("mine", "theirs", False)


def test_a_full_disk_is_one_line_and_leaves_no_half_file(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    job = tmp_path / "full" / "a.job.json"
    code = (
        "import resource, signal, sys, pathlib; from ksearch.judge.batch import _write_verdict\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "from ksearch.errors import Unavailable\n"
        f"try:\n    _write_verdict(pathlib.Path({str(job)!r}), 'x' * 5000)\n"
        "except Unavailable as error:\n    print(error)\n"
    )
    paths = os.pathsep.join([str(Path(__file__).parents[2]), *(path for path in sys.path if path)])
    environment = {**os.environ, "PYTHONPATH": paths}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert "run it again" in done.stdout, done.stderr
    assert not list((tmp_path / "full").iterdir())


def test_a_bundle_on_a_full_disk_tells_of_infrastructure(tmp_path: Path) -> None:
    evaluator = BundleEvaluator(tmp_path / "gone", "cpu")
    try:
        assert evaluator.submit(Job.model_validate_json(GOOD)).result(timeout=5).status is Status.INFRASTRUCTURE
    finally:
        evaluator.close()


EXTREMES: dict[str, dict[str, Any]] = {
    "an axis beyond all memory": {"workloads": json.loads(GOOD.replace('"batch_size":1', '"batch_size":1000000000000000'))["workloads"]},
    "a reference that is no program": {"definition": {**json.loads(GOOD)["definition"], "reference": "def run(:"}},
    "a reference that raises": {"definition": {**json.loads(GOOD)["definition"], "reference": "def run(x, w): pass\n1 / 0"}},
    "more memory than there are numbers": {"limits": {"memory_bytes": 10**30}},
    "a device that is none": {"device": "cuda:99999999999999999999"},
}


@pytest.mark.parametrize("kind", EXTREMES)
def test_a_job_beyond_reason_is_answered_and_the_judge_lives_on(judge_process: JudgeProcess, kind: str) -> None:
    pid = judge_process.pid
    try:
        job = Job.model_validate_json(changed(**EXTREMES[kind]))
    except ValueError:
        return  # refused at admission: better still
    verdict = judge_process.judge(job)
    assert verdict.status is Status.INFRASTRUCTURE
    assert verdict.evidence is not None
    assert judge_process.judge(job_of(solution(HONEST))).status is Status.PASSED
    assert judge_process.pid == pid


def test_names_do_nothing_to_a_terminal() -> None:
    assert printable("a\nb\x1b[2J\u202e\t\udcff.json") == "a b\\x1b[2J\\u202e \\udcff.json"


def test_the_program_says_it_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "a\nb\x1b[2J.job.json").write_text("{")
    paths = os.pathsep.join([str(Path(__file__).parents[2]), *(path for path in sys.path if path)])
    command = [sys.executable, "-m", "ksearch", "evaluate", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env={**os.environ, "PYTHONPATH": paths}, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "\x1b" not in done.stderr
