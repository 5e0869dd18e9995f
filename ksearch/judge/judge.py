"""The judge: jobs in, verdicts out, whatever a candidate does. Keeps references, baselines and devices from job to job."""

from __future__ import annotations

import json
import os
import time
from typing import Any

import ksearch.judge.host as host
from ksearch.definitions.schema import Definition
from ksearch.errors import BadInput
from ksearch.judge.baseline import BaselineFailed, BaselineTimes
from ksearch.judge.cache import ArtefactStore, cache_root
from ksearch.judge.cascade import Bench, Cascade, Progress, smallest
from ksearch.judge.compile import CompilerUnavailable
from ksearch.judge.device import Device, DeviceMissing, open_device
from ksearch.judge.failures import StageFailure
from ksearch.judge.floor import measure_floor
from ksearch.judge.inputs import InputSource
from ksearch.judge.metronome import Metronomes
from ksearch.judge.oracles import Oracle, oracle_for
from ksearch.judge.oracles.base import DefinitionRefused
from ksearch.judge.paired import tolerated_shift
from ksearch.judge.process import usable_cores, wait_passively
from ksearch.judge.reference import Reference, ReferenceFailed
from ksearch.judge.scratch import drop_scratch, sweep_scratch
from ksearch.judge.seeds import Seeds
from ksearch.judge.statistics import log_noise
from ksearch.judge.timing import JudgeClock
from ksearch.judge.toolchain import ToolMissing
from ksearch.judge.verdict import Evidence, Job, JudgedWorkload, Status, Verdict, WorkloadResult

THE_QUESTION = (BaselineFailed, DefinitionRefused, ReferenceFailed, BadInput)
"""The job itself is at fault: asked again, it would end the same way."""
NOT_THE_CANDIDATE = (*THE_QUESTION, host.HostFailure, CompilerUnavailable, DeviceMissing, ToolMissing)
"""What ends a job without saying anything of the candidate."""
KEPT_FAILURES = 200
MAX_HOST_THREADS = 8
"""Of a judge beside a GPU: its own sums are small, and machines with several GPUs run several judges."""


class Judge:
    """One at a time. `close` ends every process it started."""

    def __init__(self) -> None:
        wait_passively()
        self._benches: dict[str, Bench] = {}
        self._nurseries = host.Nurseries()
        self._oracles: dict[str, Oracle] = {}
        self._baselines = BaselineTimes()
        self._cache = ArtefactStore(cache_root())
        sweep_scratch()

    def warm(self, device: str) -> None:
        """Start what takes long (importing torch) before the first job."""
        if device not in self._benches:
            self._nurseries.of("torch" if device == "cpu" else "cuda")

    def judge(self, job: Job) -> Verdict:
        """Never raises for anything a candidate or a definition does."""
        begin = time.monotonic()
        seeds = Seeds(job.seed)
        cascade: Cascade | None = None
        try:
            bench = self._bench(job.device)
            cascade = Cascade(job, bench, self._oracle(job, seeds, bench.device), seeds)
            cascade.run()
            verdict = self._passed(job, cascade)
        except StageFailure as failure:
            verdict = self._failed(job, cascade, failure, seeds)
        except NOT_THE_CANDIDATE as error:
            evidence = Evidence(message=str(error), log=error.log if isinstance(error, BaselineFailed) else "")
            verdict = Verdict(
                job=job.job, solution=job.solution.digest, status=Status.INFRASTRUCTURE, evidence=evidence,
                final=isinstance(error, THE_QUESTION),
            )  # fmt: skip
        return verdict.model_copy(update={"wall_seconds": time.monotonic() - begin, "question": job.question})

    def close(self) -> None:
        for bench in self._benches.values():
            bench.metronomes.close()
        self._nurseries.close()
        drop_scratch()

    def _bench(self, spec: str) -> Bench:
        if spec not in self._benches:
            device = open_device(spec)
            _settle_down(device)
            if device.cuda:
                from ksearch.judge.cuda_timing import DeviceClock

                clock: JudgeClock | DeviceClock = DeviceClock(device)
            else:
                clock = JudgeClock()
            idle = Metronomes(device, self._nurseries)
            self._benches[spec] = Bench(device, self._nurseries, self._cache, self._baselines, clock, idle, measure_floor(device))
        return self._benches[spec]

    def _oracle(self, job: Job, seeds: Seeds, device: Device) -> Oracle:
        """One for each definition and device; refused at first sight when nonsense would pass."""
        key = json.dumps([_identity(job.definition), device.spec])
        if key not in self._oracles:
            oracle = oracle_for(job.definition, Reference(job.definition))
            workload = smallest([judged.workload for judged in job.workloads])
            draw = InputSource(job.definition, workload, device.spec, job.dataset_root).new
            oracle.refuse_nonsense(oracle.expect(workload.uuid, draw(seeds.of("definition")), draw))
            self._oracles[key] = oracle
        return self._oracles[key]

    def _passed(self, job: Job, cascade: Cascade) -> Verdict:
        times = cascade.progress.times.values()
        paired = cascade.progress.paired
        shift = paired.sentinel_shift if paired is not None else None
        void = paired is not None and shift is not None and shift > tolerated_shift(paired.log_ratios)
        note = Evidence(message=f"paired measurement void: the sentinel moved by {shift:.1%}") if void else None
        return Verdict(
            **_common(job, cascade),
            status=Status.PASSED,
            evidence=note,
            timer=cascade.bench.clock.name,
            resolution_us=_resolution_us(cascade.progress),
            noise_ln=log_noise([timing.samples_us for timing in times]),
        )

    def _failed(self, job: Job, cascade: Cascade | None, failure: StageFailure, seeds: Seeds) -> Verdict:
        evidence = Evidence(
            message=f"{failure.stage}: {failure.message}",
            workload=failure.workload,
            element=failure.element,
            log=failure.log,
            seed=seeds.master,
            reproduce=_keep_for_reproduction(job, seeds),
        )
        common: dict[str, Any] = {"job": job.job, "solution": job.solution.digest}
        common |= {} if cascade is None else _common(job, cascade)
        return Verdict(**common, status=failure.status, stage=failure.stage, evidence=evidence)


def _resolution_us(progress: Progress) -> float | None:
    if progress.resolution_us is not None:
        return progress.resolution_us
    known = [timing.resolution_us for timing in progress.times.values() if timing.resolution_us is not None]
    return max(known) if known else None


def _common(job: Job, cascade: Cascade) -> dict[str, Any]:
    progress = cascade.progress
    return {
        "job": job.job,
        "solution": job.solution.digest,
        "workloads": tuple(_result(judged, cascade) for judged in job.workloads),
        "paired": progress.paired,
        "compile": None if progress.compiled is None else progress.compiled.report,
        "device": cascade.bench.device.info,
        "isolation": progress.layers,
        "libraries": progress.libraries,
        "hidden": progress.hidden,
        "sanitizer": progress.sanitizer,
        "device_seconds": progress.device_s,
    }


def _result(judged: JudgedWorkload, cascade: Cascade) -> WorkloadResult:
    progress, uuid = cascade.progress, judged.workload.uuid
    timing, errors = progress.times.get(uuid), progress.errors.get(uuid)
    return WorkloadResult(
        uuid=uuid,
        regime=judged.regime,
        weight=judged.weight,
        latency_us=None if timing is None else timing.latency_us,
        baseline_us=progress.baseline.get(uuid),
        samples_us=() if timing is None else timing.samples_us,
        max_abs_error=None if errors is None else errors.max_abs,
        max_rel_error=None if errors is None else errors.max_rel,
    )


def _identity(definition: Definition) -> str:
    return definition.model_dump_json(exclude={"description", "tags", "constraints"})


def _settle_down(device: Device) -> None:
    """Off the runner's core, with no more threads than cores left; beside a GPU a few do, and other judges may share the cores."""
    import torch

    others = set(usable_cores()) - {device.core}
    if device.cuda:
        torch.set_num_threads(min(MAX_HOST_THREADS, len(others)))
    elif device.core is not None and others:
        os.sched_setaffinity(0, others)
        torch.set_num_threads(len(others))


def _keep_for_reproduction(job: Job, seeds: Seeds) -> str:
    """Store the job with its seed (its candidate has been judged: the seed is no secret any more); the command that runs it."""
    folder = cache_root() / "failures"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{job.solution.digest[:16]}-{seeds.master:x}.job.json"
    path.write_text(job.model_copy(update={"seed": seeds.master}).model_dump_json(), encoding="utf-8")
    for old in sorted(folder.glob("*.job.json"), key=lambda kept: kept.stat().st_mtime)[:-KEPT_FAILURES]:
        old.unlink(missing_ok=True)
    return f"ksearch evaluate {path}"
