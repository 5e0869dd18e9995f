"""What a forecaster sees and says. A forecast is never a result: nothing here reaches the tree's statistics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class Step:
    """One action of a plan with what its planner claimed: ln speed-up given that it works, and P(success)."""

    technique: str
    target: str
    parameter: str
    gain_mean: float
    gain_sd: float
    p_success: float

    @property
    def key(self) -> str:
        return f"{self.technique}|{self.target}|{self.parameter}"


@dataclass(frozen=True, slots=True)
class Regime:
    """A part of the workloads where the same things bound a kernel.

    `weight` is its share of the objective; `shapes` one line naming axes and dtypes of a typical workload; `moved_bytes`
    what its inputs and outputs hold together, a lower bound of the traffic of a kernel that reads all of them; latencies
    are microseconds, None where not measured (or, for the floor, not known).
    """

    name: str
    weight: float
    shapes: str = ""
    moved_bytes: float | None = None
    floor_us: float | None = None
    baseline_us: float | None = None
    parent_us: float | None = None


@dataclass(frozen=True, slots=True)
class Compiled:
    """The compile report of a candidate; None where the compiler didn't tell.

    Of registers (of a thread), bytes spilled, stack (of a thread) and shared memory (of a block; static, and what Triton asks for at
    launch) the largest of any kernel; `kernels`, `instructions` (length of the code) and `tensor_instructions` (those on the matrix
    units) in total.
    """

    registers: int | None = None
    spill_bytes: int | None = None
    shared_bytes: int | None = None
    stack_bytes: int | None = None
    dynamic_shared_bytes: int | None = None
    kernels: int | None = None
    instructions: int | None = None
    tensor_instructions: int | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """One candidate as a forecaster sees it, with its outcome once known.

    `sources` are comment-stripped; `features` are numeric code features; `reward` is ln(baseline / candidate), None
    while unmeasured; `passed` is None while unjudged. `parent_sources` are the parent's, stripped too, for the diff.
    `compiled` is known of a judged candidate, and of an unjudged one only where this very code was compiled before.
    """

    candidate: str
    definition: str
    device: str
    plan: tuple[str, ...]
    sources: tuple[str, ...]
    parent: str | None
    parent_reward: float | None
    features: tuple[tuple[str, float], ...] = ()
    passed: bool | None = None
    reward: float | None = None
    language: str = ""
    steps: tuple[Step, ...] = ()
    regimes: tuple[Regime, ...] = ()
    compiled: Compiled | None = None
    parent_sources: tuple[str, ...] = ()
    parent_compiled: Compiled | None = None
    """Of the parent, known before the candidate itself is compiled."""
    taken: int = 1
    """How many of the steps lead from the parent here: more than one for a merge, whose parts stand in `plan` and `steps`."""

    @property
    def last_keys(self) -> tuple[str, ...]:
        """Keys of the steps between the parent and this candidate."""
        return self.plan[max(0, len(self.plan) - self.taken) :]

    @property
    def last_steps(self) -> tuple[Step, ...]:
        return self.steps[max(0, len(self.steps) - self.taken) :]


@dataclass(frozen=True, slots=True)
class Forecast:
    """P(passes) and the 10, 50 and 90 % quantiles of d = ln(t_candidate / t_parent); d below 0 is faster.

    `tokens` and `usd` are what this forecast cost. `malformed` counts answers of a model that could not be used and
    were replaced by the prior.
    """

    forecaster: str
    p_passes: float
    d10: float
    d50: float
    d90: float
    tokens: int = 0
    usd: float = 0.0
    malformed: int = 0

    def __post_init__(self) -> None:
        if not 0.0 <= self.p_passes <= 1.0:
            raise ValueError(f"P(passes) is a probability, not {self.p_passes}")
        if not self.d10 <= self.d50 <= self.d90:
            raise ValueError(f"quantiles must ascend: {self.d10}, {self.d50}, {self.d90}")


class Forecaster(Protocol):
    """Anything that forecasts. `forecast` returns None when it has nothing to say."""

    @property
    def name(self) -> str: ...

    def forecast(self, sample: Sample) -> Forecast | None: ...

    def learn(self, sample: Sample) -> None:
        """Take in a judged sample (`passed` is set)."""
        ...


@runtime_checkable
class BatchForecaster(Protocol):
    """A forecaster that gives several candidates one answer together more cheaply than one by one."""

    def forecast_many(self, samples: Sequence[Sample]) -> tuple[Forecast | None, ...]: ...


def forecast_many(forecaster: Forecaster, samples: Sequence[Sample]) -> tuple[Forecast | None, ...]:
    if isinstance(forecaster, BatchForecaster):
        return forecaster.forecast_many(samples)
    return tuple(forecaster.forecast(sample) for sample in samples)
