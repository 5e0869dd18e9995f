"""A packaged fake: verdicts from a pure function of the sources, with no torch, no device and no process.

For demonstrations (`--evaluator fake`) and tests of everything around the judge. A source may say what it wants to be by a
line `# toy: {"speedup": 2.5}` (also `//`); keys: `speedup` over the baseline, `fail` (a Status name), `noise_ln`. Without
one, the speed-up is drawn from the digest of the sources: the same code always has the same latency.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
import re
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from ksearch.definitions.schema import Solution
from ksearch.evaluators.base import Capabilities, infrastructure_verdict
from ksearch.judge.statistics import t_interval
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
SAMPLES = 5
BLOCKS = 6
FAILING_STAGE = {Status.COMPILE_ERROR: Stage.COMPILE, Status.TIMEOUT: Stage.SMOKE, Status.RUNTIME_ERROR: Stage.SMOKE}
TOY = re.compile(r"^\s*(?:#|//)\s*toy:\s*(\{.*\})\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Toy:
    """What a solution is on the fake landscape."""

    log_speedup: float
    failure: Status | None = None
    noise_ln: float | None = None


Landscape = Callable[[Solution], Toy]


def digest_landscape(solution: Solution, *, failure_rate: float = 0.0, spread_ln: float = 0.5) -> Toy:
    """The toy line if there is one, else a normal ln speed-up (standard deviation `spread_ln`) and failures by the digest."""
    for source in solution.sources:
        if (line := TOY.search(source.content)) is not None:
            return _written(json.loads(line[1]))
    chance = random.Random(hashlib.sha256(solution.digest.encode()).digest())
    failed = chance.random() < failure_rate
    failure = chance.choice([Status.COMPILE_ERROR, Status.INCORRECT_NUMERICAL, Status.RUNTIME_ERROR]) if failed else None
    return Toy(chance.gauss(0.0, spread_ln), failure)


def _written(config: dict[str, object]) -> Toy:
    fail, noise = config.get("fail"), config.get("noise_ln")
    return Toy(
        math.log(float(str(config.get("speedup", 1.0)))),
        None if fail is None else Status(str(fail)),
        None if noise is None else float(str(noise)),
    )


class FakeEvaluator:
    """Deterministic: the verdict on a job depends on the job, the seed and the settings alone."""

    name = "fake"

    def __init__(
        self,
        seed: int = 0,
        delay_s: float = 0.0,
        failure_rate: float = 0.0,
        noise_ln: float = 0.0,
        landscape: Landscape | None = None,
        workers: int = 8,
    ) -> None:
        self.seed, self.delay_s, self.noise_ln = seed, delay_s, noise_ln
        self._landscape = landscape or partial(digest_landscape, failure_rate=failure_rate)
        self._workers = workers
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="fake")
        self._closing = threading.Event()

    def capabilities(self) -> Capabilities:
        return Capabilities(devices=("cpu", "cuda"), measuring=self._workers, compiling=self._workers, needs_torch=False)

    def submit(self, job: Job) -> Future[Verdict]:
        if self._closing.is_set():
            raise RuntimeError("the evaluator is closed")
        if self.delay_s:
            return self._pool.submit(self._later, job)
        future: Future[Verdict] = Future()
        future.set_result(self.verdict(job))
        return future

    def close(self) -> None:
        self._closing.set()
        self._pool.shutdown(wait=True)

    def _later(self, job: Job) -> Verdict:
        if self._closing.wait(self.delay_s):
            return infrastructure_verdict(job, "the evaluator was closed before it answered")
        return self.verdict(job)

    def verdict(self, job: Job) -> Verdict:
        toy = self._landscape(job.solution)
        if toy.failure is not None:
            return self._failed(job, toy.failure)
        chance = random.Random(f"{self.seed} {job.kind} {job.solution.digest}")
        noise = self.noise_ln if toy.noise_ln is None else toy.noise_ln
        results = tuple(_result(judged, toy, noise, chance) for judged in job.workloads)
        return Verdict(
            job=job.job,
            solution=job.solution.digest,
            status=Status.PASSED,
            workloads=results,
            paired=self._paired(job, toy, noise, chance),
            device=_device(job),
            timer="fake",
            hidden="full" if job.kind == "promote" else "none",
            noise_ln=noise,
        )

    def _failed(self, job: Job, status: Status) -> Verdict:
        stage = FAILING_STAGE.get(status, Stage.NUMERICS)
        evidence = Evidence(message=f"{stage}: {status.value} on the fake landscape")
        return Verdict(job=job.job, solution=job.solution.digest, status=status, stage=stage, evidence=evidence, device=_device(job))

    def _paired(self, job: Job, toy: Toy, noise: float, chance: random.Random) -> PairedResult | None:
        if job.kind != "promote" or job.opponent is None:
            return None
        gain = toy.log_speedup - self._landscape(job.opponent).log_speedup
        ratios = tuple(gain + chance.gauss(0.0, noise) for _ in range(BLOCKS))
        mean, low, high = t_interval(ratios)
        return PairedResult(
            log_ratios=ratios, mean=mean, low=low, high=high, sentinel_shift=0.0, promoted=low > 0 and math.expm1(mean) >= 0.01
        )


def _result(judged: JudgedWorkload, toy: Toy, noise: float, chance: random.Random) -> WorkloadResult:
    baseline = BASELINE_US * (1 + sum(judged.workload.axes.values()) % 7)
    true = baseline * math.exp(-toy.log_speedup)
    samples = tuple(true * math.exp(chance.gauss(0.0, noise)) for _ in range(SAMPLES))
    latency = sorted(samples)[SAMPLES // 2]
    return WorkloadResult(
        uuid=judged.workload.uuid,
        regime=judged.regime,
        weight=judged.weight,
        latency_us=latency,
        baseline_us=baseline,
        samples_us=samples,
    )


def _device(job: Job) -> DeviceInfo:
    return DeviceInfo(kind="cuda" if job.device.startswith("cuda") else "cpu", name="fake")
