"""The stages in order, each ending the job when it fails."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ksearch.definitions.hidden import hidden_workloads
from ksearch.definitions.schema import Solution, Workload
from ksearch.judge.admission import admit
from ksearch.judge.arena import Layout
from ksearch.judge.attribution import OWN_SHARE, PROMISING, foreign_kernels, told
from ksearch.judge.baseline import BaselineTimes, reference_solution
from ksearch.judge.cache import ArtefactStore
from ksearch.judge.checks import Checker
from ksearch.judge.clocks import Clock, Timing
from ksearch.judge.compile import CompileOutcome, compile_solution
from ksearch.judge.device import Device
from ksearch.judge.device_session import DeviceSession
from ksearch.judge.failures import StageFailure, from_runner
from ksearch.judge.floor import Floor
from ksearch.judge.host import HostFailure, Nurseries
from ksearch.judge.inputs import InputSource
from ksearch.judge.metronome import Metronomes
from ksearch.judge.oracles import Oracle
from ksearch.judge.oracles.base import Errors
from ksearch.judge.paired import Contest, Times, Watch, cpu_sentinel, cuda_sentinel, pair
from ksearch.judge.rows import hold_to_claims
from ksearch.judge.runner_handle import RunnerDied, RunnerError, RunnerTimeout
from ksearch.judge.sanitizer import LIMIT_S as SANITIZER_S
from ksearch.judge.sanitizer import find_sanitizer, sanitize
from ksearch.judge.seeds import Seeds
from ksearch.judge.session import Session
from ksearch.judge.sessions import kind_of, open_session
from ksearch.judge.verdict import Job, PairedResult, Stage, Status

PROBED = 3
"""Workloads on which repetition and mutation are probed in an evaluation: the smallest and others drawn in secret."""
PROBED_IN_PROMOTION = 16
HIDDEN_IN_EVALUATION = 2
HIDDEN_SHARE = 2.0
"""In an evaluation a hidden workload is judged only if it isn't larger than the job's largest by this factor."""


@dataclass
class Bench:
    """What a judge keeps from job to job on one device."""

    device: Device
    nurseries: Nurseries
    cache: ArtefactStore
    baselines: BaselineTimes
    clock: Clock
    metronomes: Metronomes
    floor: Floor


@dataclass
class Progress:
    """What is known of a job so far: a verdict is made of it, whether the candidate passes or fails."""

    compiled: CompileOutcome | None = None
    layers: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    hidden: Literal["full", "partial", "none"] = "none"
    sanitizer: str | None = None
    errors: dict[str, Errors] = field(default_factory=dict)
    times: dict[str, Timing] = field(default_factory=dict)
    resolution_us: float | None = None
    """Of a promotion on a GPU: what the judge's own clock leaves in doubt."""
    baseline: dict[str, float] = field(default_factory=dict)
    paired: PairedResult | None = None
    device_s: float = 0.0


class Cascade:
    """One job on one bench."""

    def __init__(self, job: Job, bench: Bench, oracle: Oracle, seeds: Seeds) -> None:
        self.job, self.bench = job, bench
        self.deadline = time.monotonic() + job.limits.total_s
        self.seeds = seeds
        self.checker = Checker(job.definition, oracle, self._source, seeds)
        self.progress = Progress()

    def run(self) -> None:
        """Raises StageFailure, or one of the exceptions that mean the machine or the definition."""
        admit(self.job)
        self.progress.compiled = self._compile(self.job.solution)
        begin = time.monotonic()
        try:
            self._measure_baseline()
            self._judge()
            if self.job.kind == "promote" and self.job.opponent is not None:
                self.progress.paired = self._pair(self.job.opponent)
        finally:
            self.progress.device_s = time.monotonic() - begin

    @property
    def remaining_s(self) -> float:
        return self.deadline - time.monotonic()

    def _source(self, workload: Workload) -> InputSource:
        return InputSource(self.job.definition, workload, self.bench.device.spec, self.job.dataset_root)

    @property
    def _workloads(self) -> list[Workload]:
        return [judged.workload for judged in self.job.workloads]

    def _by_size(self, workloads: Sequence[Workload]) -> list[Workload]:
        return sorted(workloads, key=lambda workload: (_size(workload), workload.uuid))

    def _compile(self, solution: Solution) -> CompileOutcome:
        outcome = compile_solution(
            solution,
            self.bench.device.target,
            self.bench.cache,
            limit_s=min(self.job.limits.compile_s, max(1.0, self.remaining_s)),
            unsafe=self.job.unsafe_runner,
        )
        if outcome.failure is not None:
            self.progress.compiled = outcome
            message = _first_error(outcome.report.log) if outcome.failure is Status.COMPILE_ERROR else "compilation took too long"
            raise StageFailure(outcome.failure, Stage.COMPILE, message, log=outcome.report.log)
        return outcome

    def open(self, solution: Solution, artefact: Path | None) -> Session:
        """A fresh runner with the solution loaded. Raises StageFailure when loading fails."""
        kind = kind_of(self.bench.device, solution, allow_libraries=self.job.allow_libraries)
        metronome = self.bench.metronomes.get(kind, self.job, smallest(self._workloads))
        session = open_session(self.bench.nurseries.of(kind), self.bench.device, self.job, lambda: self.remaining_s)
        session.metronome = metronome
        try:
            session.load(solution, artefact)
        except (RunnerDied, RunnerError, RunnerTimeout) as error:
            session.close()
            raise from_runner(error, Stage.SMOKE, None, session.runner.log.text) from error
        return session

    def _measure_baseline(self) -> None:
        baseline = self.job.baseline or reference_solution(self.job.definition)
        self.progress.baseline = self.bench.baselines.get(baseline, self.bench.device.spec, self._workloads, self._time_baseline)

    def _time_baseline(self, baseline: Solution, workloads: list[Workload]) -> dict[str, float]:
        session = self.open(baseline, self._compile(baseline).artefact)
        try:
            times = self.bench.clock.time(self.checker, session, workloads, self.job.timed_calls)
            return {uuid: timing.latency_us for uuid, timing in times.items()}
        finally:
            session.close()

    def _judge(self) -> None:
        compiled = self.progress.compiled
        assert compiled is not None
        session = self.open(self.job.solution, compiled.artefact)
        try:
            self.progress.layers = session.runner.layers
            self._check(session)
            if self.job.kind == "promote" and self.bench.device.cuda:
                session.runner.stop()
                self._sanitize(compiled.artefact)
            self.progress.times = self.bench.clock.time(self.checker, session, self._workloads, self.job.timed_calls)
            if self.job.kind == "promote" and isinstance(session, DeviceSession):
                self.progress.resolution_us = hold_to_claims(self.checker, session, self._workloads, self.progress.times)
            self._refuse_impossible()
            self._refuse_libraries(session)
        finally:
            session.close()

    def _sanitize(self, artefact: Path | None) -> None:
        """On the smallest workload, the runner standing still: it takes a context of its own, and tens of times a call's time."""
        workload = smallest(self._workloads)
        found = sanitize(find_sanitizer(), self.job, workload, artefact, min(SANITIZER_S, max(1.0, self.remaining_s / 4)))
        self.progress.sanitizer = found.standing
        if found.error is not None:
            raise StageFailure(Status.RUNTIME_ERROR, Stage.SANITIZER, found.error, workload=workload.uuid, log=found.log[-16_384:])

    def _refuse_impossible(self) -> None:
        """A time below the physical floor is an accusation: whatever was measured, it was not the work."""
        for workload in self._workloads:
            timing, output_bytes = self.progress.times[workload.uuid], Layout.of(self.job.definition, workload).output_bytes
            if self.bench.floor.forbids(timing.latency_us + timing.doubt_us, output_bytes):
                least = f"{self.bench.floor.us(output_bytes):.3g} us"
                message = f"{timing.latency_us:.3g} us is less than the {least} that writing the outputs and one launch take here"
                raise StageFailure(Status.REJECTED, Stage.TIMING, message, workload=workload.uuid)

    def _refuse_libraries(self, session: Session) -> None:
        """A language is a promise: of own kernels on a device, of no library beside the C++ runtime and tvm-ffi on a cpu."""
        if self.bench.device.cuda:
            self._refuse_foreign_kernels(session)
            return
        brought = session.brought()
        self.progress.libraries = brought or ()
        if self.job.solution.spec.language != "cpp" or self.job.allow_libraries:
            return
        if brought is None and "no-libraries" not in self.progress.layers:
            raise HostFailure("what a process loads can be neither seen nor kept from it here: judge cpp elsewhere, or --allow-libraries")
        if brought:
            message = f"the candidate loaded {', '.join(brought)}; cpp promises kernels of its own (--allow-libraries lifts this)"
            raise StageFailure(Status.REJECTED, Stage.TIMING, message)

    def _refuse_foreign_kernels(self, session: Session) -> None:
        solution, compiled = self.job.solution, self.progress.compiled
        foreign = foreign_kernels(solution, None if compiled is None else compiled.artefact, session.kernels)
        self.progress.libraries = told(foreign)
        share = sum(foreign.values())
        if solution.spec.language in PROMISING and not self.job.allow_libraries and share > 1 - OWN_SHARE:
            message = f"{share:.0%} of the kernel time is in kernels that are not the candidate's: {', '.join(told(foreign))}"
            raise StageFailure(Status.REJECTED, Stage.TIMING, f"{message} (--allow-libraries lifts this)")

    def _check(self, session: Session) -> None:
        workloads = self._by_size(self._workloads)
        self.checker.smoke(session, workloads[0])
        self.progress.errors = self.checker.numerics(session, workloads)
        probed = self._probed(workloads, PROBED_IN_PROMOTION if self.job.kind == "promote" else PROBED)
        self.checker.repetition(session, probed)
        self._check_hidden(session, workloads)
        self.checker.mutation(session, probed)

    def _probed(self, workloads: list[Workload], count: int) -> list[Workload]:
        others = workloads[1:]
        return [workloads[0], *secrets.SystemRandom().sample(others, min(count - 1, len(others)))]

    def _check_hidden(self, session: Session, workloads: list[Workload]) -> None:
        drawn = list(hidden_workloads(self.job.definition, workloads, self.seeds.of("hidden")))
        if self.job.kind == "evaluate":
            limit = HIDDEN_SHARE * max(_size(workload) for workload in workloads)
            cheap = [workload for workload in drawn if _size(workload) <= limit]
            chosen = secrets.SystemRandom().sample(cheap, min(HIDDEN_IN_EVALUATION, len(cheap)))
        else:
            chosen = drawn
        self.checker.numerics(session, chosen, Stage.HIDDEN)
        if chosen:
            self.progress.hidden = "full" if len(chosen) == len(drawn) else "partial"

    def _pair(self, opponent: Solution) -> PairedResult:
        artefacts = [self._compile(solution).artefact for solution in (self.job.solution, opponent)]
        judged = self.job.paired_workloads or self.job.workloads
        total = sum(item.weight for item in judged)
        weights = {item.workload.uuid: item.weight / total for item in judged}
        device = self.bench.device
        sentinel = cuda_sentinel(device.index) if device.cuda else cpu_sentinel()

        def open_both() -> list[Session]:
            return [self.open(solution, path) for solution, path in zip((self.job.solution, opponent), artefacts, strict=True)]

        # A device context takes seconds to make: on a GPU the two processes live for all blocks, on cpu for one.
        kept = open_both() if device.cuda else []

        def open_block(number: int) -> Contest:
            sessions = kept or open_both()
            workloads = [item.workload for item in judged]

            def fight(watch: Watch) -> tuple[Times, Times]:
                return self.bench.clock.duel(self.checker, sessions, workloads, number, self.progress.times, watch)

            return Contest(fight, [] if kept else sessions)

        try:
            return pair(open_block, weights, self.job.objective, sentinel)
        except StageFailure as error:
            raise StageFailure(
                error.status, Stage.PAIRED, error.message, workload=error.workload, element=error.element, log=error.log
            ) from error
        finally:
            for session in kept:
                session.close()


def _size(workload: Workload) -> int:
    """A rough measure of work: the product of the axes, and the lengths where they are given."""
    return math.prod(max(1, extent) for extent in workload.axes.values()) + sum(workload.recipe.lengths)


def smallest(workloads: Sequence[Workload]) -> Workload:
    return min(workloads, key=lambda workload: (_size(workload), workload.uuid))


def _first_error(log: str) -> str:
    lines = [line for line in log.splitlines() if "error" in line.lower()]
    return (lines or log.splitlines() or ["the compiler gave no reason"])[0][:500]
