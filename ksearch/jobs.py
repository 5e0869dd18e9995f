"""Jobs for the judge: one place decides what every candidate of a run is judged on."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Literal

from pydantic import TypeAdapter

from ksearch.coder.types import Target
from ksearch.definitions.schema import Definition, Solution
from ksearch.judge.verdict import Job, JudgedWorkload, Limits, Offer
from ksearch.settings import EvaluationSettings, Settings
from ksearch.translate import weights_of

GPU_RESERVATION_S = 60.0
"""GPU seconds set aside for a candidate in flight: what an evaluation, or a promotion, is meant to cost at most."""

RENTED_S = 600.0
"""Seconds of a rented machine that an evaluation with its promotion is meant to cost at most: a container's start and last idle wait
included."""

WORKLOADS: TypeAdapter[tuple[JudgedWorkload, ...]] = TypeAdapter(tuple[JudgedWorkload, ...])
"""How sets of workloads are stored with a run."""


@dataclass(frozen=True)
class JobFactory:
    """Everything that is the same for all jobs of a run. `subset` is timed for each candidate, `full` for promotion."""

    definition: Definition
    full: tuple[JudgedWorkload, ...]
    subset: tuple[JudgedWorkload, ...]
    baseline: Solution | None
    device: str
    target: Target
    settings: Settings
    dataset_root: str | None
    usd_per_second: Decimal = Decimal(0)
    """What the machine costs that jobs are judged on."""

    @cached_property
    def subset_weights(self) -> dict[str, float]:
        return dict(weights_of(self.subset))

    @cached_property
    def full_weights(self) -> dict[str, float]:
        return dict(weights_of(self.full))

    @property
    def gpu_reservation(self) -> float:
        """Seconds; 0 on cpu, where no GPU is used."""
        if self.target.device == "cpu":
            return 0.0
        limit = self.settings.budget.max_gpu_seconds
        return GPU_RESERVATION_S if limit is None else min(GPU_RESERVATION_S, limit)

    def offering(self, job: Job, name: str, opponent: Solution, bar: float, baselines: dict[str, float]) -> Job:
        """An evaluation that is to be followed by the candidate's promotion, called `name`, if it is faster than what stood one."""
        promotion = self.job(name, "promote", job.solution, opponent)
        return job.model_copy(update={"offer": Offer(bar=bar, baselines=baselines, promotion=promotion)})

    @property
    def usd_reservation(self) -> float:
        """US dollars set aside for a candidate in flight; 0 on machines of one's own."""
        wanted, limit = float(self.usd_per_second * Decimal(RENTED_S)), self.settings.budget.max_usd
        return wanted if limit is None else min(wanted, limit)

    def job(self, name: str, kind: Literal["evaluate", "promote"], solution: Solution, opponent: Solution | None = None) -> Job:
        options: EvaluationSettings = self.settings.evaluation
        return Job(
            job=name,
            kind=kind,
            definition=self.definition,
            solution=solution,
            workloads=self.full if kind == "promote" else self.subset,
            paired_workloads=self.subset if kind == "promote" else (),
            baseline=self.baseline,
            opponent=opponent,
            device=self.device,
            objective=self.settings.objective,
            timed_calls=max(5, options.timed_calls // 4) if kind == "promote" else options.timed_calls,
            allow_libraries=self.settings.allow_libraries,
            unsafe_runner=options.unsafe_runner,
            dataset_root=self.dataset_root,
            limits=Limits(timeout_s=options.timeout_s, compile_s=options.compile_s, total_s=options.total_s),
        )
