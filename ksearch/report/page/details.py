"""One kernel's files and verdicts, read from the log's blobs when they are wanted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pydantic import ValidationError

from ksearch.definitions.schema import Solution
from ksearch.judge.verdict import CompileReport, Evidence, PairedResult, Verdict, WorkloadResult
from ksearch.records.model import CandidateRecord, EvaluationRecord, RunRecord
from ksearch.records.reading import StoredRun
from ksearch.report.page.model import (
    CandidateDetail,
    CompileFacts,
    EvaluationDetail,
    FailureEvidence,
    PairedInterval,
    RegimeLatency,
    SourceText,
    WorkloadLatency,
)
from ksearch.store.errors import BlobError


def candidate_details(run: StoredRun, record: RunRecord) -> Iterator[CandidateDetail]:
    """Of every candidate, in the order of their numbers."""
    return (candidate_detail(run, record, candidate) for candidate in record.candidates)


def candidate_detail(run: StoredRun, record: RunRecord, candidate: CandidateRecord) -> CandidateDetail:
    return kernel_detail(run, candidate, candidate if candidate.twin is None else record.candidates[candidate.twin])


def kernel_detail(run: StoredRun, candidate: CandidateRecord, judged: CandidateRecord) -> CandidateDetail:
    """`judged` is the first candidate with the same code, whose verdicts stand for it."""
    evaluations = tuple(_evaluation(run, answer) for answer in judged.evaluations)
    try:
        solution = run.solution(candidate)
    except (BlobError, ValidationError) as error:
        return CandidateDetail(candidate=candidate.id, digest=candidate.digest, missing=_reason(error), evaluations=evaluations)
    return CandidateDetail(
        candidate=candidate.id, digest=candidate.digest, name=solution.name, entry_point=solution.spec.entry_point,
        evaluations=evaluations, sources=tuple(SourceText(path=source.path, text=source.content) for source in solution.sources),
    )  # fmt: skip


def solution_of(blob: bytes) -> Solution:
    return Solution.model_validate_json(blob)


def verdict_of(run: StoredRun, digest: str) -> Verdict | str:
    """The verdict, or why there is none: a log may have been cut or made by another program, and is shown all the same."""
    try:
        return run.verdict(digest)
    except (BlobError, ValidationError) as error:
        return _reason(error)


def _reason(error: BlobError | ValidationError) -> str:
    return "the log doesn't hold it" if isinstance(error, BlobError) else f"it is of another format: {error.error_count()} errors"


def _evaluation(run: StoredRun, answer: EvaluationRecord) -> EvaluationDetail:
    verdict = verdict_of(run, answer.verdict)
    if isinstance(verdict, str):
        return EvaluationDetail(kind=answer.kind, missing=verdict)
    return EvaluationDetail(
        kind=answer.kind, regimes=regime_latencies(verdict, run.floors()), workloads=tuple(map(_workload, verdict.workloads)),
        evidence=None if verdict.evidence is None else _evidence(verdict.evidence),
        paired=None if verdict.paired is None else _paired(verdict.paired),
        compile=None if verdict.compile is None else _compile(verdict.compile), timer=verdict.timer, isolation=verdict.isolation,
        hidden=verdict.hidden, resolution_us=verdict.resolution_us, noise_ln=verdict.noise_ln,
    )  # fmt: skip


def regime_latencies(verdict: Verdict, floors: Mapping[str, float]) -> tuple[RegimeLatency, ...]:
    """Weighted means by regime, with the floors of the same workloads.

    Regimes stand in the order in which they first appear; workloads without a latency are left out.
    """
    groups: dict[str, list[WorkloadResult]] = {}
    for row in verdict.workloads:
        if row.latency_us is not None:
            groups.setdefault(row.regime, []).append(row)
    return tuple(_regime(regime, rows, floors) for regime, rows in groups.items())


def _regime(regime: str, rows: list[WorkloadResult], floors: Mapping[str, float]) -> RegimeLatency:
    return RegimeLatency(
        regime=regime, workloads=len(rows), weight=sum(row.weight for row in rows),
        baseline_us=_mean([(row.weight, row.baseline_us) for row in rows]),
        latency_us=_mean([(row.weight, row.latency_us) for row in rows]),
        floor_us=_mean([(row.weight, floors.get(row.uuid)) for row in rows]),
    )  # fmt: skip


def _mean(rows: list[tuple[float, float | None]]) -> float | None:
    known = [(weight, value) for weight, value in rows if value is not None]
    total = sum(weight for weight, _ in known)
    return sum(weight * value for weight, value in known) / total if len(known) == len(rows) and total > 0 else None


def _workload(row: WorkloadResult) -> WorkloadLatency:
    return WorkloadLatency(
        uuid=row.uuid, regime=row.regime, weight=row.weight, latency_us=row.latency_us, baseline_us=row.baseline_us,
        max_abs_error=row.max_abs_error, max_rel_error=row.max_rel_error,
    )  # fmt: skip


def _evidence(evidence: Evidence) -> FailureEvidence:
    return FailureEvidence(
        message=evidence.message, workload=evidence.workload, element=evidence.element, log=evidence.log, reproduce=evidence.reproduce
    )


def _paired(paired: PairedResult) -> PairedInterval:
    return PairedInterval(blocks=len(paired.log_ratios), mean=paired.mean, low=paired.low, high=paired.high)


def _compile(report: CompileReport) -> CompileFacts:
    return CompileFacts(
        seconds=report.seconds, cached=report.cached, registers=report.registers, spill_bytes=report.spill_bytes,
        shared_bytes=report.shared_bytes, log=report.log,
    )  # fmt: skip
