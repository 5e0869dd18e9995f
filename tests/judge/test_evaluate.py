"""`ksearch evaluate`: a file, a folder, and the command that shows a failure again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ksearch.judge.verdict import Verdict
from tests.judge.conftest import HONEST, Judged, job_of, solution

COMMAND = "import typer; from ksearch.cli import evaluate; app = typer.Typer(); evaluate.register(app); app.callback()(lambda: None); app()"


def evaluate(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *(path for path in sys.path if path)])}
    return subprocess.run(
        [sys.executable, "-c", COMMAND, "evaluate", *arguments], capture_output=True, text=True, env=environment, timeout=90, check=False
    )


@pytest.mark.slow
def test_a_folder_gets_a_verdict_for_each_job_that_has_none(tmp_path: Path) -> None:
    for name, source in (("a", HONEST), ("b", "run = 3")):
        (tmp_path / f"{name}.job.json").write_text(job_of(solution(source)).model_dump_json())
    done = evaluate(str(tmp_path))
    assert done.returncode == 0, done.stderr
    statuses = [Verdict.model_validate_json((tmp_path / f"{name}.verdict.json").read_text()).status for name in "ab"]
    assert statuses == ["PASSED", "RUNTIME_ERROR"]
    before = (tmp_path / "a.verdict.json").read_text()
    assert evaluate(str(tmp_path)).stdout == ""
    assert (tmp_path / "a.verdict.json").read_text() == before


def test_the_reproduction_command_shows_the_same_failure(judged: Judged) -> None:
    verdict = judged(HONEST + "    out[0, 17] += 3\n")
    assert verdict.evidence is not None
    program, command, path = (verdict.evidence.reproduce or "").split()
    assert (program, command) == ("ksearch", "evaluate")
    again = json.loads(evaluate(path).stdout)
    assert again["evidence"]["message"] == verdict.evidence.message


def test_a_file_that_is_no_job_is_bad_input(tmp_path: Path) -> None:
    bad = tmp_path / "x.job.json"
    bad.write_text("{}")
    done = evaluate(str(bad))
    assert done.returncode != 0
    assert "is no job" in done.stderr
