"""A run's verdicts as FlashInfer-Bench Traces, one for each candidate and workload (its JSON; loaded by its own classes in a test).

REJECTED becomes RUNTIME_ERROR with the reason, since FlashInfer-Bench has no such status; INFRASTRUCTURE says nothing of a
kernel and gives no trace. An error that was not measured is NaN, which FlashInfer-Bench allows, never 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict

from ksearch.definitions.schema import Workload
from ksearch.judge.verdict import JudgedWorkload, Status, Verdict, WorkloadResult
from ksearch.records.model import CandidateRecord, EvaluationRecord, RunRecord
from ksearch.records.reading import StoredRun


class _Plain(BaseModel):
    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings")


class Correctness(_Plain):
    max_relative_error: float
    max_absolute_error: float
    extra: Mapping[str, str]


class Performance(_Plain):
    """Milliseconds; the reference is the run's baseline (named in `Correctness.extra`)."""

    latency_ms: float
    reference_latency_ms: float
    speedup_factor: float


class Environment(_Plain):
    hardware: str
    libs: Mapping[str, str]


class Evaluation(_Plain):
    status: str
    environment: Environment
    timestamp: str
    log: str
    correctness: Correctness | None = None
    performance: Performance | None = None


class Trace(_Plain):
    definition: str
    workload: Workload
    solution: str
    evaluation: Evaluation


def traces_of(run: StoredRun, record: RunRecord) -> Iterator[Trace]:
    """Of every candidate the answer that says most: its promotion, else its evaluation. Twins have their first's name alone."""
    times = run.times()
    for candidate in record.candidates:
        answer = _telling(candidate)
        if answer is not None:
            yield from _traces(run, record, candidate, answer, datetime.fromtimestamp(times[answer.seq], UTC).isoformat())


def _telling(candidate: CandidateRecord) -> EvaluationRecord | None:
    answers = [answer for answer in candidate.evaluations if answer.status != Status.INFRASTRUCTURE]
    return answers[-1] if answers else None


def _traces(run: StoredRun, record: RunRecord, candidate: CandidateRecord, answer: EvaluationRecord, when: str) -> Iterator[Trace]:
    verdict = run.verdict(answer.verdict)
    results = {row.uuid: row for row in verdict.workloads}
    for judged in _concerned(run, answer, verdict):
        yield Trace(
            definition=record.definition, workload=judged.workload, solution=candidate.name,
            evaluation=_evaluation(record, verdict, results.get(judged.workload.uuid), when, answer),
        )  # fmt: skip


def _concerned(run: StoredRun, answer: EvaluationRecord, verdict: Verdict) -> Iterator[JudgedWorkload]:
    """What the verdict speaks of: all workloads that were timed; of a failure the workload it names, else all that were asked for."""
    asked = run.workloads() if answer.kind == "promote" else run.subset()
    if verdict.status is Status.PASSED:
        named = {row.uuid for row in verdict.workloads}
    else:
        known = None if verdict.evidence is None else verdict.evidence.workload
        named = {known} if known in {judged.workload.uuid for judged in asked} else {judged.workload.uuid for judged in asked}
    return (judged for judged in asked if judged.workload.uuid in named)


def _evaluation(record: RunRecord, verdict: Verdict, row: WorkloadResult | None, when: str, answer: EvaluationRecord) -> Evaluation:
    status = Status.RUNTIME_ERROR if verdict.status is Status.REJECTED else verdict.status
    checked = status in (Status.PASSED, Status.INCORRECT_NUMERICAL)
    return Evaluation(
        status=status.value, environment=_environment(record, verdict), timestamp=when, log=_log(verdict),
        correctness=_correctness(record, verdict, row, answer) if checked else None,
        performance=_performance(row) if status is Status.PASSED else None,
    )  # fmt: skip


def _environment(record: RunRecord, verdict: Verdict) -> Environment:
    if verdict.device is None:
        return Environment(hardware=record.device_name, libs={})
    return Environment(hardware=verdict.device.name, libs=dict(verdict.device.details))


def _log(verdict: Verdict) -> str:
    if verdict.evidence is None:
        return ""
    reason = f"rejected: {verdict.evidence.message}" if verdict.status is Status.REJECTED else verdict.evidence.message
    return "\n".join(part for part in (reason, verdict.evidence.element, verdict.evidence.log) if part)


def _correctness(record: RunRecord, verdict: Verdict, row: WorkloadResult | None, answer: EvaluationRecord) -> Correctness:
    known = {"timer": verdict.timer, "baseline": record.baseline or "reference", "kind": answer.kind, "judge": verdict.judge_version}
    return Correctness(
        max_relative_error=math.nan if row is None or row.max_rel_error is None else row.max_rel_error,
        max_absolute_error=math.nan if row is None or row.max_abs_error is None else row.max_abs_error,
        extra={f"ksearch_{name}": value for name, value in known.items() if value is not None},
    )  # fmt: skip


def _performance(row: WorkloadResult | None) -> Performance:
    """Raises ValueError for a passed workload without both times: FlashInfer-Bench would read an absent one as 0."""
    if row is None or row.latency_us is None or row.baseline_us is None:
        raise ValueError("a passed workload without its latency and its baseline's has no FlashInfer-Bench trace")
    return Performance(
        latency_ms=row.latency_us / 1000, reference_latency_ms=row.baseline_us / 1000, speedup_factor=row.baseline_us / row.latency_us
    )
