"""The one place where a Verdict becomes what the tree and the surrogates understand."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ksearch.judge.verdict import CompileReport, JudgedWorkload, Objective, Status, Verdict
from ksearch.surrogates.types import Compiled

DEFAULT_NOISE_LN = 0.02
"""Standard deviation of ln latency assumed until a judge has measured it: about what a quiet machine repeats to."""


@dataclass(frozen=True, slots=True)
class Latencies:
    """Weighted means over a set of workloads, in microseconds."""

    candidate_us: float
    baseline_us: float


def weights_of(workloads: Sequence[JudgedWorkload]) -> Mapping[str, float]:
    return {judged.workload.uuid: judged.weight for judged in workloads}


def mean_latencies(verdict: Verdict, weights: Mapping[str, float]) -> Latencies:
    """sum_w a_w t_w over the workloads named in `weights`, normalised. Raises KeyError if the verdict lacks one of them."""
    rows = {row.uuid: row for row in verdict.workloads}
    candidate = baseline = total = 0.0
    for uuid, weight in weights.items():
        latency, reference = _timed(verdict, uuid, rows[uuid].latency_us), _timed(verdict, uuid, rows[uuid].baseline_us)
        candidate += weight * latency
        baseline += weight * reference
        total += weight
    return Latencies(candidate / total, baseline / total)


def reward(verdict: Verdict, weights: Mapping[str, float], objective: Objective) -> float:
    """r = ln(sum_w a_w t_baseline / sum_w a_w t_candidate) for 'mean'; sum_w a_w ln(t_baseline / t_candidate) for 'geomean'."""
    if objective == "mean":
        latencies = mean_latencies(verdict, weights)
        return math.log(latencies.baseline_us / latencies.candidate_us)
    rows = {row.uuid: row for row in verdict.workloads}
    logs = (
        weight * math.log(_timed(verdict, uuid, rows[uuid].baseline_us) / _timed(verdict, uuid, rows[uuid].latency_us))
        for uuid, weight in weights.items()
    )
    return sum(logs) / sum(weights.values())


def over_baselines(verdict: Verdict, baselines: Mapping[str, float]) -> Verdict:
    """The verdict with these baselines, in microseconds by workload, where one is known.

    A run has one baseline, timed with its root. A judge that was started anew, or another machine of the same kind, times it anew, and
    finds it off by a third where the reference waits for its host: what is compared may not move with that.
    """
    rows = tuple(
        row if row.uuid not in baselines or row.baseline_us is None else row.model_copy(update={"baseline_us": baselines[row.uuid]})
        for row in verdict.workloads
    )
    return verdict.model_copy(update={"workloads": rows})


def _timed(verdict: Verdict, uuid: str, latency_us: float | None) -> float:
    if latency_us is None or not latency_us > 0:
        raise ValueError(f"verdict of {verdict.job}: workload {uuid} has no positive latency")
    return latency_us


def compiled(report: CompileReport | None) -> Compiled | None:
    """A compile report as forecasters see it; None when the compiler told nothing."""
    if report is None:
        return None
    known = Compiled(
        registers=report.registers,
        spill_bytes=report.spill_bytes,
        shared_bytes=report.shared_bytes,
        stack_bytes=report.stack_bytes,
        dynamic_shared_bytes=report.dynamic_shared_bytes,
        kernels=report.kernels,
        instructions=report.instructions,
        tensor_instructions=report.tensor_instructions,
    )
    return known if known != Compiled() else None


def sigma_noise(verdict: Verdict) -> float:
    return verdict.noise_ln if verdict.noise_ln else DEFAULT_NOISE_LN


def failed_stage(verdict: Verdict) -> str:
    """The stage to tell the tree; only for verdicts that did not pass."""
    if verdict.status is Status.PASSED:
        raise ValueError(f"verdict of {verdict.job} passed")
    return str(verdict.stage) if verdict.stage is not None else str(verdict.status)
