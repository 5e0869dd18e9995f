"""Honest candidates pass, and their numbers make sense."""

from __future__ import annotations

import pytest

from ksearch.evaluators.judge_process import JudgeProcess
from ksearch.judge.paired import tolerated_shift
from ksearch.judge.verdict import Stage, Status, Verdict
from tests.judge.conftest import HONEST, HONEST_CPP, Judged, definition, job_of, solution

RETURNING = (
    HONEST.replace("def run(x, w, out):", "def run(x, w):")
    .replace("out.copy_(", "return (")
    .replace(" * w.float())", " * w.float()).to(x.dtype)")
)


def latencies(verdict: Verdict) -> list[float]:
    assert verdict.status is Status.PASSED, verdict.evidence
    found = [result.latency_us for result in verdict.workloads]
    return [latency for latency in found if latency is not None]


def test_torch_passes_with_everything_a_verdict_promises(judged: Judged) -> None:
    verdict = judged(HONEST)
    assert all(0.5 < latency < 50_000 for latency in latencies(verdict))
    assert verdict.timer in ("cpu-time", "judge-clock")
    assert verdict.hidden in ("partial", "full")
    assert verdict.device is not None
    assert verdict.device.kind == "cpu"
    assert verdict.resolution_us is not None
    for result in verdict.workloads:
        assert result.baseline_us is not None
        assert result.max_rel_error is not None
        assert len(result.samples_us) >= 3
    assert {"no_new_privs", "seccomp", "rlimits"} <= set(verdict.isolation)


def test_cpp_is_compiled_once_and_is_faster_than_torch_s_many_passes(judged: Judged) -> None:
    first, second = judged(HONEST_CPP, "cpp"), judged(HONEST_CPP, "cpp")
    assert all(latency > 0 for latency in latencies(first))
    assert first.compile is not None
    assert second.compile is not None
    assert second.compile.cached


def test_returned_outputs_are_copied(judged: Judged) -> None:
    assert judged(RETURNING, returns=True).status is Status.PASSED


def test_outputs_may_come_by_name_and_wrong_names_are_told(judged: Judged) -> None:
    by_name = RETURNING.replace("return (", "return dict(output=(").replace(".to(x.dtype)", ".to(x.dtype))")
    assert judged(by_name, returns=True).status is Status.PASSED
    wrong = judged(by_name.replace("output=", "result="), returns=True)
    assert wrong.status is Status.RUNTIME_ERROR
    assert wrong.evidence is not None
    assert "['result'] returned where the definition has ['output']" in wrong.evidence.message


def test_a_reference_that_fails_is_told_at_once_as_final(judge_process: JudgeProcess) -> None:
    broken = definition().model_copy(update={"reference": "def run(hidden_states, weight):\n    return hidden_states, weight\n"})
    verdict = judge_process.judge(job_of(solution(HONEST), definition=broken.model_dump()))
    assert (verdict.status, verdict.final) == (Status.INFRASTRUCTURE, True)
    assert verdict.evidence is not None
    assert "2 outputs where 1 are declared" in verdict.evidence.message


def test_compile_error_names_the_line(judged: Judged) -> None:
    verdict = judged(HONEST_CPP.replace("float s = 0;", "float s = undeclared;"), "cpp")
    assert (verdict.status, verdict.stage) == (Status.COMPILE_ERROR, Stage.COMPILE)
    assert verdict.evidence is not None
    assert "undeclared" in verdict.evidence.message


def test_python_syntax_error_is_a_compile_error(judged: Judged) -> None:
    assert judged("def run(:\n").stage is Stage.COMPILE


@pytest.mark.parametrize(
    ("source", "status"),
    [
        ("raise ImportError('nothing here')", Status.RUNTIME_ERROR),
        ("run = 3", Status.RUNTIME_ERROR),
        ("def run(x, w, out):\n    raise ValueError('no')", Status.RUNTIME_ERROR),
        ("def run(x, w, out):\n    out.copy_(x[:, :7])", Status.RUNTIME_ERROR),
    ],
)
def test_exceptions_are_told(judged: Judged, source: str, status: Status) -> None:
    verdict = judged(source)
    assert (verdict.status, verdict.stage) == (status, Stage.SMOKE)
    assert verdict.evidence is not None
    assert "Traceback" in verdict.evidence.log


@pytest.mark.parametrize(
    ("change", "status"),
    [("out = x.float()", Status.INCORRECT_DTYPE), ("out = x[:, :5]", Status.INCORRECT_SHAPE), ("out = (x, x)", Status.RUNTIME_ERROR)],
)
def test_returned_shape_dtype_and_arity_are_strict(judged: Judged, change: str, status: Status) -> None:
    assert judged(f"def run(x, w):\n    {change}\n    return out", returns=True).status is status


def test_promotion_needs_a_real_gain(judge_process: JudgeProcess) -> None:
    """Against itself a kernel is never promoted; against one that does the work many times over it is, if the machine held still."""
    slow = HONEST.replace("    f = x.float()", "    for _ in range(400): f = x.float()")
    same = judge_process.judge(job_of(solution(HONEST), kind="promote", opponent=solution(HONEST + "# again")))
    better = judge_process.judge(job_of(solution(HONEST), kind="promote", opponent=solution(slow)))
    for verdict in (same, better):
        assert verdict.status is Status.PASSED, verdict.evidence
        assert verdict.hidden == "full"
        assert verdict.paired is not None
    assert same.paired is not None
    assert abs(same.paired.mean) < 0.7
    assert better.paired is not None
    assert better.paired.mean > 0.7
    still = (better.paired.sentinel_shift or 0) <= tolerated_shift(better.paired.log_ratios)
    assert better.paired.promoted == (better.paired.low > 0 and still)
