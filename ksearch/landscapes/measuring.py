"""Measuring the codes of a space, many in one process: our own templates need no wall, and a device context takes seconds to make.

Checks, oracles and clocks are the judge's. On a GPU the runner's calls are made in this process; a candidate that spoils the
device ends it, and the next one gets a new process. On cpu the judge itself judges, each candidate in a runner of its own.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ksearch.definitions.hidden import hidden_workloads
from ksearch.definitions.kits import kit_for
from ksearch.definitions.schema import Definition, Solution, Workload
from ksearch.errors import BadInput
from ksearch.judge.baseline import reference_solution
from ksearch.judge.checks import Checker
from ksearch.judge.clocks import Timing
from ksearch.judge.cuda_timing import DeviceClock
from ksearch.judge.device import Device, open_device
from ksearch.judge.device_session import DeviceSession
from ksearch.judge.failures import StageFailure, from_runner
from ksearch.judge.inputs import InputSource
from ksearch.judge.judge import MAX_HOST_THREADS
from ksearch.judge.metronome import Metronome, wall_time
from ksearch.judge.oracles import Oracle, oracle_for
from ksearch.judge.oracles.base import Draw, Errors, Expectation, Problem
from ksearch.judge.process import usable_cores, wait_passively
from ksearch.judge.reference import Reference
from ksearch.judge.runner.cuda_calls import CudaCalls
from ksearch.judge.runner_handle import RunnerError, Spent
from ksearch.judge.seeds import Seeds
from ksearch.judge.sessions import FLUSH_BYTES
from ksearch.judge.statistics import log_noise
from ksearch.judge.verdict import Job, JudgedWorkload, Limits, Stage, Status
from ksearch.landscapes.compiling import Compiled, load_python
from ksearch.landscapes.records import Measured

HIDDEN = 2
"""Hidden workloads on which each candidate is checked."""
LIMIT_S = 60.0
"""For one candidate; a kernel that waits for itself forever is ended then."""
MESSAGE = 400


@dataclass(frozen=True)
class MeasurePlan:
    """`seed` decides every input, so that all candidates get the same and what is right is worked out once."""

    definition: Definition
    workloads: tuple[Workload, ...]
    regimes: Mapping[str, str]
    device: str
    timed_calls: int
    seed: int
    triton_cache: str
    unsafe: bool
    cores: tuple[tuple[int, ...], ...] = ()
    """By worker: the cores it keeps to (cpu)."""


@dataclass(frozen=True)
class Greeting:
    """On what a worker measures."""

    device_name: str
    versions: Mapping[str, str]
    timer: str
    baselines_us: Mapping[str, float]


@dataclass(frozen=True)
class MeasureTask:
    solution: Solution
    compiled: Compiled
    turn: int


Measure = Callable[[MeasureTask], tuple[Measured, bool]]


def hidden_of(definition: Definition, workloads: tuple[Workload, ...], seed: int) -> tuple[Workload, ...]:
    """The hidden workloads of a sweep: none larger than what is timed."""
    size = kit_for(definition).size
    limit = max(size(definition, workload) for workload in workloads)
    drawn = hidden_workloads(definition, workloads, Seeds(seed).of("hidden"))
    return tuple(workload for workload in drawn if size(definition, workload) <= limit)[:HIDDEN]


def prepare_device(number: int, plan: MeasurePlan) -> tuple[Greeting, Measure]:
    os.environ["TRITON_CACHE_DIR"] = plan.triton_cache
    wait_passively()
    import torch

    torch.set_num_threads(min(MAX_HOST_THREADS, len(usable_cores())))
    bench = DeviceBench(plan, open_device(plan.device))
    return bench.greeting, bench.measure


class DeviceBench:
    """A device, the runner's side of it, and what is right for every input that a candidate can meet."""

    def __init__(self, plan: MeasurePlan, device: Device) -> None:
        self.plan, self.device = plan, device
        self.scratch = Path(tempfile.mkdtemp(prefix="ksearch-sweep-"))
        self.hidden = hidden_of(plan.definition, plan.workloads, plan.seed)
        by_uuid = {workload.uuid: workload for workload in (*plan.workloads, *self.hidden)}
        sources = {uuid: InputSource(plan.definition, workload, device.spec, None) for uuid, workload in by_uuid.items()}
        oracle = RememberingOracle(oracle_for(plan.definition, Reference(plan.definition)), sources)
        self.checker = Checker(plan.definition, oracle, self._seeded, Seeds(plan.seed))
        self.clock = DeviceClock(device)
        self.runner = InProcessRunner(self.scratch)
        preparation = {
            "definition": plan.definition.model_dump(mode="json"), "dataset_root": None, "device": device.spec,
            "cupti": device.cupti, "flush_bytes": FLUSH_BYTES,
        }  # fmt: skip
        self.session = DeviceSession(self.runner, Limits(timeout_s=LIMIT_S), lambda: LIMIT_S, preparation=preparation)
        self.session.metronome = InProcessMetronome(self.runner, self.session)
        self.greeting = Greeting(device.info.name, device.info.details, self.clock.name, self._baselines())

    def _seeded(self, workload: Workload) -> InputSource:
        return Seeded(self.plan.definition, workload, self.device.spec, None)

    def _baselines(self) -> dict[str, float]:
        self._load(reference_solution(self.plan.definition), None)
        return {uuid: timing.latency_us for uuid, timing in self._time().items()}

    def measure(self, task: MeasureTask) -> tuple[Measured, bool]:
        """(What was found; whether the device is still sound.)"""
        begin = time.monotonic()
        fields: dict[str, Any] = {}
        try:
            artefact = None if task.compiled.artefact is None else Path(task.compiled.artefact)
            self._load(task.solution, artefact)
            self._check()
            times = self._time()
            fields["latencies_us"] = {uuid: timing.latency_us for uuid, timing in times.items()}
            fields["noise_ln"] = log_noise([timing.samples_us for timing in times.values()])
            status = Status.PASSED
        except StageFailure as failure:
            status = failure.status
            fields |= {"stage": failure.stage.value, "message": f"{failure.message} (workload {failure.workload})"[:MESSAGE]}
        seconds = time.monotonic() - begin
        fields |= {"device_seconds": seconds, "wall_seconds": seconds + task.compiled.seconds}
        return measured(task, status.value, **fields), status is Status.PASSED or self._sound()

    def _load(self, solution: Solution, artefact: Path | None) -> None:
        shutil.rmtree(self.runner.scratch, ignore_errors=True)
        self.runner.scratch = Path(tempfile.mkdtemp(dir=self.scratch.parent, prefix="ksearch-sweep-"))
        self.runner.solution = solution
        try:
            self.session.load(solution, artefact)
        except RunnerError as error:
            raise from_runner(error, Stage.SMOKE, None, "") from error

    def _check(self) -> None:
        """The judge's stages; only the probes for kernels that remember earlier calls are left out."""
        workloads = self.plan.workloads
        self.checker.smoke(self.session, workloads[0])
        self.checker.numerics(self.session, workloads)
        self.checker.repetition(self.session, workloads[:1])
        self.checker.numerics(self.session, self.hidden, Stage.HIDDEN)

    def _time(self) -> dict[str, Timing]:
        return self.clock.time(self.checker, self.session, self.plan.workloads, self.plan.timed_calls)

    def _sound(self) -> bool:
        """Whether the device still does what it is told, after a failure."""
        import torch

        try:
            torch.cuda.synchronize()
            return bool(torch.ones(8, device=self.device.spec).sum().item() == 8)
        except RuntimeError:
            return False


class InProcessRunner:
    """The judge's handle on a runner, the runner being this process: the same calls, without a wall, a channel or a way to stop it."""

    layers: tuple[str, ...] = ()
    log = type("NoLog", (), {"text": ""})

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        self.pid = os.getpid()
        self.calls = CudaCalls()
        self.solution: Solution | None = None
        self._prepared = False

    def ask(self, message: dict[str, Any], timeout_s: float, descriptors: tuple[int, ...] = ()) -> dict[str, Any]:
        """Raises RunnerError for whatever the candidate raises."""
        try:
            return self._perform(message, descriptors)
        except Exception as error:
            raise RunnerError(_told(error)) from error

    def _perform(self, message: dict[str, Any], descriptors: tuple[int, ...]) -> dict[str, Any]:
        match message["op"]:
            case "load":
                self._load(message)
            case "map":
                self.calls.map(os.dup(descriptors[0]), message["bytes"])
            case "prepare" if self._prepared:
                pass
            case "prepare":
                self.calls.prepare(message)
                self._prepared = True
            case "bind" | "refresh" | "settle" as step:
                return getattr(self.calls, step)(message) or {}
        return {}

    def _load(self, message: dict[str, Any]) -> None:
        from ksearch.judge.runner.stub import load

        assert self.solution is not None
        self.calls.returns = not message["destination_passing"]
        self.calls.converts = message["artefact"] is not None
        self.calls.function = load(message) if self.calls.converts else load_python(self.solution, Path(message["folder"]))

    def call(self, timeout_s: float, reveal: Callable[[], None] | None, collect: Callable[[], None]) -> Spent:
        """Raises RunnerError."""
        import torch

        begin = time.perf_counter()
        try:
            with torch.no_grad():
                self.calls.prepared()()
        except Exception as error:
            raise RunnerError(_told(error)) from error
        collect()
        return Spent(time.perf_counter() - begin, None)

    def stop(self) -> None:
        """Everything is synchronous here: between calls nothing of the candidate runs."""

    def resume(self) -> None:
        """See `stop`."""


class InProcessMetronome(Metronome):
    """What a request costs with nothing in it, in this process: the runner's call of a function that does nothing."""

    def __init__(self, runner: InProcessRunner, session: DeviceSession) -> None:
        super().__init__(session, wall_time)
        self._calls = runner.calls

    def _tick(self) -> float:
        kept = self._calls.function, self._calls.returns
        self._calls.function, self._calls.returns = _nothing, False
        try:
            return super()._tick()
        finally:
            self._calls.function, self._calls.returns = kept


def _nothing(*given: object) -> None:
    """A candidate that does nothing."""


def _told(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"


class Seeded(InputSource):
    """Inputs by their seed alone: they are made when what is right for them has to be worked out, once."""

    def new(self, seed: int) -> tuple[Any, ...]:
        return (seed,)


class RememberingOracle:
    """An oracle that works out what is right once for each workload and seed, for all candidates."""

    def __init__(self, oracle: Oracle, sources: Mapping[str, InputSource]) -> None:
        """`sources` by workload."""
        self.oracle, self.sources = oracle, sources
        self.exact = oracle.exact
        self._known: dict[tuple[str, int], Expectation] = {}

    def expect(self, workload: str, inputs: tuple[Any, ...], draw: Draw | None = None) -> Expectation:
        key = (workload, inputs[0])
        if key not in self._known:
            source = self.sources[workload]
            found = self.oracle.expect(workload, source.new(inputs[0]), source.new)
            self._known[key] = replace(found, inputs=())
        return self._known[key]

    def check(self, expectation: Expectation, outputs: Any) -> Problem | Errors:
        return self.oracle.check(expectation, outputs)

    def refuse_nonsense(self, expectation: Expectation) -> None:
        self.oracle.refuse_nonsense(expectation)


def prepare_cpu(number: int, plan: MeasurePlan) -> tuple[Greeting, Measure]:
    """The judge's own process on its cores: one for itself, one for runners."""
    if plan.cores:
        os.sched_setaffinity(0, plan.cores[number % len(plan.cores)])
    from ksearch.judge.judge import Judge

    bench = CpuBench(plan, Judge())
    return bench.greeting, bench.measure


class CpuBench:
    def __init__(self, plan: MeasurePlan, judge: Any) -> None:
        self.plan, self.judge = plan, judge
        verdict = judge.judge(self._job(reference_solution(plan.definition)))
        if verdict.status is not Status.PASSED or verdict.device is None or verdict.timer is None:
            raise BadInput(f"the reference of {plan.definition.name} fails on this machine: {verdict.evidence}")
        baselines = {result.uuid: float(result.baseline_us) for result in verdict.workloads}
        details = {name: value for name, value in verdict.device.details.items() if name not in ("cores", "runner_core")}
        self.greeting = Greeting(verdict.device.name, details, verdict.timer, baselines)

    def _job(self, solution: Solution) -> Job:
        plan = self.plan
        judged = [
            JudgedWorkload(workload=workload, regime=plan.regimes[workload.uuid], weight=1 / len(plan.workloads))
            for workload in plan.workloads
        ]
        return Job(
            job="sweep", kind="evaluate", definition=plan.definition, solution=solution, workloads=tuple(judged), device="cpu",
            timed_calls=plan.timed_calls, unsafe_runner=plan.unsafe, limits=Limits(timeout_s=20.0, total_s=LIMIT_S),
        )  # fmt: skip

    def measure(self, task: MeasureTask) -> tuple[Measured, bool]:
        verdict = self.judge.judge(self._job(task.solution))
        if verdict.status is Status.INFRASTRUCTURE:
            raise RuntimeError(f"the machine failed, not the candidate: {verdict.evidence}")
        fields: dict[str, Any] = {
            "noise_ln": verdict.noise_ln,
            "device_seconds": verdict.device_seconds,
            "wall_seconds": verdict.wall_seconds + task.compiled.seconds,
        }
        if verdict.status is Status.PASSED:
            fields["latencies_us"] = {result.uuid: result.latency_us for result in verdict.workloads}
        else:
            fields |= {"stage": verdict.stage.value, "message": verdict.evidence.message[:MESSAGE]}
        return measured(task, verdict.status.value, **fields), True


def measured(task: MeasureTask, status: str, **fields: Any) -> Measured:
    compiled = task.compiled
    return Measured(
        code=task.solution.digest, turn=task.turn, status=status, registers=compiled.registers, spill_bytes=compiled.spill_bytes,
        shared_bytes=compiled.shared_bytes, compile_seconds=compiled.seconds, **fields,
    )  # fmt: skip
