"""Policies compared on landscapes: many seeds, what each needed to come near the best, and how sure that is.

The cost of an arm on a landscape is the mean number of evaluations until the incumbent is within 5 % of the best
latency; a search that never gets there counts as twice its budget (PAR2, the penalised average that solver
competitions use). Landscapes are weighed equally by the geometric mean of the ratio of two arms' costs.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from statistics import fmean
from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict

from ksearch.landscapes.ground import Ground, RecordedGround, reaches, regret
from ksearch.landscapes.landscape import Landscape
from ksearch.landscapes.replay import Replayed, Setting, replay
from ksearch.landscapes.synthetic import draw

PENALTY = 2
"""A search that never comes within 5 % counts as so many times its budget."""

RESAMPLES = 2000
"""Bootstrap resamples: the ends of a 95 % interval then repeat to a percent or so."""

HELD_OUT_SEEDS = 10_000
"""Worlds of held-out synthetic families are drawn from here on: no tuning ever saw them."""

Split: TypeAlias = Literal["tuning", "held-out"]


@dataclass(frozen=True)
class Field:
    """Where arms are compared: a ground for each seed. A recorded landscape is the same ground with other noise."""

    name: str
    split: Split
    ground: Callable[[int], Ground]


@dataclass(frozen=True)
class SyntheticDraw:
    """Draws a family's worlds; a class and no closure, so that it can be sent to another process."""

    family: str
    first: int

    def __call__(self, seed: int) -> Ground:
        return draw(self.family, self.first + seed)


@dataclass(frozen=True)
class Same:
    ground: Ground

    def __call__(self, seed: int) -> Ground:
        return self.ground


def synthetic_field(family: str, split: Split) -> Field:
    return Field(family, split, SyntheticDraw(family, HELD_OUT_SEEDS if split == "held-out" else 0))


def recorded_field(landscape: Landscape, split: Split) -> Field:
    return Field(landscape.name, split, Same(RecordedGround(landscape)))


class Score(BaseModel):
    """One search. `reached` evaluations and `reached_s` simulated seconds are None when it never came within 5 %, `measured` is which
    evaluation was that of the kernel that came there; `curve` is the regret (nats) after 0, 1, ... evaluations."""

    model_config = ConfigDict(frozen=True)

    field: str
    policy: str
    evaluators: int
    seed: int
    budget: int
    reached: int | None
    reached_s: float | None
    measured: int | None
    evaluations: int
    seconds: float
    issuing_seconds: float
    curve: tuple[float, ...]

    @property
    def cost(self) -> float:
        """At least 1: a root that is near enough already costs nobody anything, and ratios must exist."""
        return max(1, PENALTY * self.budget if self.reached is None else self.reached)

    @property
    def area(self) -> float:
        """Mean regret over the whole budget, nats."""
        return fmean(self.curve)


def score(field: Field, ground: Ground, setting: Setting, done: Replayed) -> Score:
    near = next((step for step in done.improvements if reaches(ground, step.reward)), None)
    return Score(
        field=field.name, policy=setting.policy, evaluators=setting.evaluators, seed=setting.seed, budget=setting.budget,
        reached=None if near is None else near.evaluations, reached_s=None if near is None else near.seconds,
        measured=None if near is None else near.measured,
        evaluations=done.evaluations, seconds=done.seconds, issuing_seconds=done.issuing_seconds,
        curve=_curve(ground, setting.budget, done),
    )  # fmt: skip


def _curve(ground: Ground, budget: int, done: Replayed) -> tuple[float, ...]:
    curve = [0.0] * (budget + 1)
    steps = [*done.improvements]
    for place in range(budget + 1):
        while len(steps) > 1 and steps[1].evaluations <= place:
            steps.pop(0)
        curve[place] = round(regret(ground, steps[0].reward), 6)
    return tuple(curve)


@dataclass(frozen=True)
class Task:
    field: Field
    setting: Setting

    def __call__(self) -> Score:
        ground = self.field.ground(self.setting.seed)
        return score(self.field, ground, self.setting, replay(ground, self.setting))


def run_tasks(tasks: Sequence[Task], processes: int = 1) -> list[Score]:
    """The scores in the tasks' order."""
    if processes <= 1:
        return [task() for task in tasks]
    with ProcessPoolExecutor(processes) as pool:
        return list(pool.map(_run, tasks, chunksize=8))


def _run(task: Task) -> Score:
    return task()


def tasks_of(
    fields: Iterable[Field], policies: Iterable[str], seeds: int, budget: int, evaluators: int = 1, *, stop_near: bool = False
) -> list[Task]:
    """`stop_near` ends a search once it is within 5 %: its cost is known then, its area and the rest of its curve are not."""
    settings = [Setting(policy, seed, budget, evaluators, stop_near=stop_near) for policy in policies for seed in range(seeds)]
    return [Task(field, setting) for field in fields for setting in settings]


# ---------------------------------------------------------------------- what the scores say


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with the ends of its 95 % bootstrap interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


Samples: TypeAlias = Mapping[str, Sequence[float]]
"""By field: one number for each seed, in the order of seeds."""


def costs(scores: Iterable[Score], policy: str, evaluators: int = 1) -> dict[str, list[float]]:
    by_field: dict[str, list[float]] = {}
    for row in scores:
        if (row.policy, row.evaluators) == (policy, evaluators):
            by_field.setdefault(row.field, []).append(row.cost)
    return by_field


def ratio(mine: Samples, theirs: Samples, seed: int = 0) -> Estimate:
    """Geometric mean over fields of the ratio of mean costs, below 1 when `mine` is cheaper.

    The bootstrap redraws seeds within each field, the same for both arms, which met the same worlds. Fields aren't redrawn:
    the interval is about these landscapes. Raises ValueError unless both arms have the same fields and seeds.
    """
    if {name: len(row) for name, row in mine.items()} != {name: len(row) for name, row in theirs.items()}:
        raise ValueError("the arms were not run on the same landscapes and seeds")
    rng = random.Random(seed)
    return _interval(_ratio(mine, theirs, None), (_ratio(mine, theirs, rng) for _ in range(RESAMPLES)))


def _ratio(mine: Samples, theirs: Samples, rng: random.Random | None) -> float:
    logs = []
    for name, row in mine.items():
        other = theirs[name]
        drawn = range(len(row)) if rng is None else rng.choices(range(len(row)), k=len(row))
        logs.append(math.log(sum(row[place] for place in drawn) / sum(other[place] for place in drawn)))
    return math.exp(fmean(logs))


def mean(values: Sequence[float], seed: int = 0) -> Estimate:
    rng = random.Random(seed)
    return _interval(fmean(values), (fmean(rng.choices(values, k=len(values))) for _ in range(RESAMPLES)))


def _interval(value: float, resampled: Iterable[float]) -> Estimate:
    ordered = sorted(resampled)
    edge = len(ordered) // 40
    return Estimate(value, ordered[edge], ordered[-edge - 1])


def geometric_cost(row: Samples) -> float:
    """Geometric mean over fields of the mean cost."""
    return math.exp(fmean(math.log(fmean(values)) for values in row.values()))


def best_policy(scores: Sequence[Score], fields: Iterable[str], among: Iterable[str]) -> str:
    """The cheapest of `among` on these fields, all together."""
    named = set(fields)
    chosen = [row for row in scores if row.field in named]
    return min(among, key=lambda policy: geometric_cost(costs(chosen, policy)))
