"""An evaluator that invents its answers: a deterministic landscape over sources, for demonstrations and tests.

It needs no device and no torch. The latency of a candidate is a pure function of its sources and the seed, so that two
runs over the same plans get the same numbers. Nothing it says is a measurement, and its timer says so.
"""

from __future__ import annotations

import hashlib
import math
import threading
from concurrent.futures import Future, ThreadPoolExecutor

from ksearch.judge.verdict import (
    DeviceInfo,
    Evidence,
    Job,
    JudgedWorkload,
    PairedResult,
    Stage,
    Status,
    Verdict,
    WorkloadResult,
)

BASELINE_US = 1000.0
FAILURE_SHARE = 0.2
"""Share of candidates that fail, half at compile and half at numerics."""

SPREAD_LN = 1.0
"""Standard spread of ln latency over candidates."""

NOISE_LN = 0.01


class FakeEvaluator:
    """`delay_s` is how long each answer takes."""

    name = "fake"

    def __init__(self, seed: int = 0, delay_s: float = 0.0) -> None:
        self.seed, self.delay_s = seed, delay_s
        self._closed = threading.Event()
        self._pool = ThreadPoolExecutor(16, thread_name_prefix="fake-evaluator")

    def submit(self, job: Job) -> Future[Verdict]:
        return self._pool.submit(self._answer, job)

    def close(self) -> None:
        self._closed.set()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _answer(self, job: Job) -> Verdict:
        self._closed.wait(self.delay_s)
        return fake_verdict(job, self.seed)


def fake_verdict(job: Job, seed: int) -> Verdict:
    digest = job.solution.digest
    lottery = _uniform(seed, digest, "fate")
    if lottery < FAILURE_SHARE and job.opponent is not None:
        stage, status = (
            (Stage.COMPILE, Status.COMPILE_ERROR) if lottery < FAILURE_SHARE / 2 else (Stage.NUMERICS, Status.INCORRECT_NUMERICAL)
        )
        return _verdict(job, status, stage=stage, evidence=Evidence(message="the fake landscape has a hole here"))
    ours = _latency(seed, digest)
    paired = None if job.opponent is None or job.kind == "evaluate" else _pair(ours, _latency(seed, job.opponent.digest))
    return _verdict(job, Status.PASSED, rows=tuple(_row(judged, ours) for judged in job.workloads), paired=paired)


def _verdict(
    job: Job,
    status: Status,
    stage: Stage | None = None,
    evidence: Evidence | None = None,
    rows: tuple[WorkloadResult, ...] = (),
    paired: PairedResult | None = None,
) -> Verdict:
    return Verdict(
        job=job.job, solution=job.solution.digest, status=status, stage=stage, evidence=evidence, workloads=rows, paired=paired,
        device=DeviceInfo(kind="cpu", name="fake landscape"), timer="invented", noise_ln=NOISE_LN,
    )  # fmt: skip


def _row(judged: JudgedWorkload, latency_us: float) -> WorkloadResult:
    return WorkloadResult(
        uuid=judged.workload.uuid,
        regime=judged.regime,
        weight=judged.weight,
        latency_us=latency_us,
        baseline_us=BASELINE_US,
        samples_us=(latency_us,),
    )


def _pair(ours: float, theirs: float) -> PairedResult:
    gain = math.log(theirs / ours)
    return PairedResult(log_ratios=(gain,) * 5, mean=gain, low=gain - NOISE_LN, high=gain + NOISE_LN, promoted=gain > NOISE_LN)


def _latency(seed: int, digest: str) -> float:
    """Microseconds, log-uniform around a third of the baseline."""
    return BASELINE_US / 3 * math.exp(SPREAD_LN * (2 * _uniform(seed, digest, "latency") - 1))


def _uniform(seed: int, digest: str, purpose: str) -> float:
    value = hashlib.sha256(f"{seed}/{digest}/{purpose}".encode()).digest()
    return int.from_bytes(value[:8], "big") / 2**64
