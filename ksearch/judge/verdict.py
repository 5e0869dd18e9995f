"""The judge's question and answer, as they cross processes and machines: JSON only, never pickled code.

Latencies are microseconds. An absent measurement is None, never 0.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ksearch.definitions.schema import Definition, Frozen, Solution, Workload

JUDGE_VERSION = "3"
"""Raised by every change that can move a number or a decision; a run is not resumed across it."""

Objective = Literal["mean", "geomean"]


class Status(StrEnum):
    """EvaluationStatus names of FlashInfer-Bench, plus the judge's own two."""

    PASSED = "PASSED"
    INCORRECT_SHAPE = "INCORRECT_SHAPE"
    INCORRECT_NUMERICAL = "INCORRECT_NUMERICAL"
    INCORRECT_DTYPE = "INCORRECT_DTYPE"
    RUNTIME_ERROR = "RUNTIME_ERROR"
    COMPILE_ERROR = "COMPILE_ERROR"
    TIMEOUT = "TIMEOUT"
    REJECTED = "REJECTED"
    """Caught at something no honest kernel does (traces say RUNTIME_ERROR with the reason)."""
    INFRASTRUCTURE = "INFRASTRUCTURE"
    """The machine, not the kernel: retried, never counted as the kernel's failure."""


class Stage(StrEnum):
    """Stages in the order they run; a verdict names the one that failed."""

    ADMISSION = "admission"
    COMPILE = "compile"
    SMOKE = "smoke"
    NUMERICS = "numerics"
    REPETITION = "repetition"
    HIDDEN = "hidden"
    MUTATION = "mutation"
    SANITIZER = "sanitizer"
    TIMING = "timing"
    PAIRED = "paired"


class JudgedWorkload(Frozen):
    """A workload as a job hands it over: with its regime, and its weight in the objective (weights sum to 1)."""

    workload: Workload
    regime: str
    weight: Annotated[float, Field(gt=0)]


class Limits(Frozen):
    """Bounds of one job. `timeout_s` covers one candidate call chain on one workload, `total_s` the whole job."""

    timeout_s: Annotated[float, Field(gt=0)] = 60.0
    compile_s: Annotated[float, Field(gt=0)] = 300.0
    total_s: Annotated[float, Field(gt=0)] = 900.0
    memory_bytes: Annotated[int, Field(gt=0)] = 16 * 2**30


class Job(Frozen):
    """One candidate to judge.

    `evaluate`: all stages up to timing on `workloads`. `promote`: the same, plus hidden workloads and a paired
    measurement in blocks against `opponent` (the incumbent). `baseline` None means the definition's reference.
    `dataset_root` is where safetensors paths of workloads start.
    """

    job: str
    kind: Literal["evaluate", "promote"]
    definition: Definition
    solution: Solution
    workloads: Annotated[tuple[JudgedWorkload, ...], Field(min_length=1)]
    paired_workloads: tuple[JudgedWorkload, ...] = ()
    """`promote` only: the stratified subset on which the blocks are timed; empty means all of `workloads`."""
    baseline: Solution | None = None
    opponent: Solution | None = None
    device: str = "cpu"
    objective: Objective = "mean"
    timed_calls: Annotated[int, Field(gt=0)] = 20
    allow_libraries: bool = False
    unsafe_runner: bool = False
    dataset_root: str | None = None
    limits: Limits = Limits()
    seed: int | None = None
    """Only for reproducing a failure shown in evidence: None (the rule) draws fresh secret seeds."""
    offer: Offer | None = None
    """`evaluate` only, for a judge that can't be asked again soon; no part of the question."""

    @property
    def question(self) -> str:
        """Digest of all that decides the answer, for telling whether a verdict belongs to this job. Not its name, its secret seed or
        where datasets lie, which differ from place to place."""
        text = self.model_dump_json(exclude={"job", "seed", "dataset_root", "offer"})
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class Offer(Frozen):
    """The promotion that will be asked for if the candidate is the fastest of its round, and faster than what stood a full judgement:
    `bar`, as a reward (nats over the run's baseline, whose microseconds by workload are `baselines`; over what is timed there, without).

    A place that judges folders takes it up at once: asking again would cost another way there and back.
    """

    bar: float
    baselines: dict[str, float] = Field(default_factory=dict)
    promotion: Job


Job.model_rebuild()


class Evidence(Frozen):
    """Why a stage failed: which workload and element, in numbers, and the command that shows it again."""

    message: str
    workload: str | None = None
    element: str | None = None
    log: str = ""
    seed: int | None = None
    reproduce: str | None = None


class WorkloadResult(Frozen):
    """One workload's timing: medians in microseconds over fresh inputs; `samples_us` raw, in order."""

    uuid: str
    regime: str
    weight: float
    latency_us: float | None = None
    baseline_us: float | None = None
    samples_us: tuple[float, ...] = ()
    max_abs_error: float | None = None
    max_rel_error: float | None = None


class PairedResult(Frozen):
    """Candidate against opponent in alternating blocks: one log-ratio ln(opponent / candidate) for each block."""

    log_ratios: tuple[float, ...]
    mean: float
    low: float
    high: float
    """Ends of the t interval over blocks, of such a level that the looks at fewer blocks before it and this one hold 95 % together."""
    sentinel_shift: float | None = None
    """Largest relative move of the sentinel within a block; over 0.03, or half the gain where that is more, nothing is promoted."""
    promoted: bool


class KernelReport(Frozen):
    """One kernel as it was compiled. None where no tool tells.

    `registers` are of a thread, `stack_bytes` and `spill_bytes` (stores and loads together) too. `shared_bytes` is static shared memory
    of a block; `dynamic_shared_bytes` what a launch asks for beside it, known for Triton, whose compiler decides it. `instructions` is
    the length of the code, `tensor_instructions` how many of them use the matrix units: counts of the code, not of what runs.
    """

    name: str
    registers: int | None = None
    spill_bytes: int | None = None
    stack_bytes: int | None = None
    shared_bytes: int | None = None
    dynamic_shared_bytes: int | None = None
    instructions: int | None = None
    tensor_instructions: int | None = None
    tensor_kinds: tuple[str, ...] = ()
    """Names of those instructions, 'HGMMA' or 'wgmma', most frequent first."""


class CompileReport(Frozen):
    """What the compiler said. None where the tool doesn't tell. Of each count the largest of any kernel, tensor instructions in total;
    every kernel by itself in `per_kernel`, the longest code first."""

    seconds: float
    cached: bool
    registers: int | None = None
    spill_bytes: int | None = None
    shared_bytes: int | None = None
    log: str = ""
    stack_bytes: int | None = None
    dynamic_shared_bytes: int | None = None
    kernels: int | None = None
    instructions: int | None = None
    """Of all kernels together."""
    tensor_instructions: int | None = None
    tensor_kinds: tuple[str, ...] = ()
    read_from: Literal["sass", "ptx"] | None = None
    """What instructions were counted in: machine code, or PTX where no disassembler is installed; None when nothing was counted."""
    per_kernel: tuple[KernelReport, ...] = ()


class DeviceInfo(Frozen):
    """What the numbers were measured on."""

    kind: Literal["cpu", "cuda"]
    name: str
    details: Mapping[str, str] = Field(default_factory=dict)
    """Driver, clocks, threads, cores, library versions: strings for the record."""


class Verdict(Frozen):
    """The judge's answer to one job. `stage` is the failing one, None when the candidate passed."""

    job: str
    solution: str
    """Digest of the judged solution."""
    question: str | None = None
    """`Job.question` of the job that this answers."""
    status: Status
    stage: Stage | None = None
    evidence: Evidence | None = None
    workloads: tuple[WorkloadResult, ...] = ()
    paired: PairedResult | None = None
    compile: CompileReport | None = None
    device: DeviceInfo | None = None
    timer: str | None = None
    """'cpu-time' (cpu; 'judge-clock' where the kernel keeps no books), 'cupti' or 'cuda-events'; never mixed within a run."""
    isolation: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    """What the candidate brought into its process or ran on the device beside its own code: shared libraries, vendor kernels."""
    hidden: Literal["full", "partial", "none"] = "none"
    sanitizer: str | None = None
    """What memcheck said in a promotion on a GPU, or 'not available' and why; None where it was not asked."""
    resolution_us: float | None = None
    """The least difference that the judge's own clock can tell. On a GPU, where a candidate's process is stamped from within, known
    after a promotion: how much a call could hide from many of them in a row; None in an evaluation, which believes the stamps."""
    noise_ln: float | None = None
    """Standard deviation of ln latency between repeats in this job, for tie bands."""
    final: bool = False
    """With INFRASTRUCTURE: the job itself is at fault (its baseline fails, its definition is refused), so that another try is no use."""
    device_seconds: float = 0.0
    wall_seconds: float = 0.0
    usd: Annotated[float, Field(ge=0)] = 0.0
    """US dollars that a rented machine was paid for this answer; 0 where none is rented."""
    judge_version: str = JUDGE_VERSION

    @model_validator(mode="after")
    def _legal(self) -> Self:
        passed = self.status is Status.PASSED
        if passed and (self.stage is not None or any(w.latency_us is None for w in self.workloads)):
            raise ValueError("a passed verdict names no failing stage and has a latency for every workload")
        if passed and not self.workloads:
            raise ValueError("a passed verdict has workloads")
        if not passed and self.evidence is None:
            raise ValueError("a failed verdict carries evidence")
        return self
