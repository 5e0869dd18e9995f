"""Bad jobs and solutions are refused before anything runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from ksearch.definitions.schema import Solution
from ksearch.judge.admission import admit
from ksearch.judge.failures import StageFailure
from ksearch.judge.verdict import Stage, Status
from tests.judge.conftest import HONEST, Judged, job_of, solution

HONEST_JSON = solution(HONEST).model_dump()


@pytest.mark.parametrize("path", ["/etc/cron.d/x.py", "../kernel.py", "a/../../kernel.py", "a\\b.py", "x\n.py"])
def test_paths_that_leave_the_solution_are_no_solution(path: str) -> None:
    spec = {**HONEST_JSON["spec"], "entry_point": f"{path}::run"}
    with pytest.raises(ValidationError):
        Solution.model_validate({**HONEST_JSON, "spec": spec, "sources": [{"path": path, "content": "x"}]})


@pytest.mark.parametrize(
    "changes",
    [
        {"definition": "another"},
        {"spec": {**HONEST_JSON["spec"], "language": "triton"}},
        {"spec": {**HONEST_JSON["spec"], "language": "cuda"}},
        {"spec": {**HONEST_JSON["spec"], "entry_point": "kernel.py::os.system"}},
        {"spec": {**HONEST_JSON["spec"], "language": "cpp", "binding": "torch"}},
        {"sources": [{"path": "-o.cpp", "content": "x"}], "spec": {**HONEST_JSON["spec"], "language": "cpp", "entry_point": "-o.cpp::run"}},
        {"sources": [{"path": "a b.py", "content": "x"}], "spec": {**HONEST_JSON["spec"], "entry_point": "a b.py::run"}},
    ],
)
def test_solutions_that_don_t_belong_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(StageFailure) as failure:
        admit(job_of(Solution.model_validate({**HONEST_JSON, **changes})))
    assert (failure.value.stage, failure.value.status) == (Stage.ADMISSION, Status.REJECTED)


def test_a_device_that_is_not_there_is_nobody_s_failure(judged: Judged) -> None:
    verdict = judged(HONEST, device="cuda:77")
    assert verdict.status is Status.INFRASTRUCTURE
    assert verdict.evidence is not None


def test_a_failing_baseline_says_so(judged: Judged) -> None:
    verdict = judged(HONEST, baseline=solution(HONEST + "    out.zero_()").model_dump())
    assert verdict.status is Status.INFRASTRUCTURE
    assert verdict.evidence is not None
    assert "baseline" in verdict.evidence.message


def test_lines_that_are_no_jobs_are_answered_and_the_rest_judged(cache: Path) -> None:
    lines = ["{", '{"job": 1}', "", job_of(solution("run = 3")).model_dump_json()]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, "-m", "ksearch.judge"],
        input="\n".join(lines),
        capture_output=True,
        text=True,
        env=environment,
        timeout=90,
        check=True,
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [sorted(answer)[0] for answer in answers[:2]] == ["error", "error"]
    assert answers[2]["status"] == "RUNTIME_ERROR"
    assert len(answers) == 3
