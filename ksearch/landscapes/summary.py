"""What a comparison of policies came to, as data, as a table and as a plot."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean, median

from pydantic import BaseModel, ConfigDict
from rich.console import Console
from rich.table import Table

from ksearch.errors import BadInput
from ksearch.landscapes.comparison import Estimate, Score, costs, geometric_cost, mean, ratio


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True)


class Interval(_Record):
    """A figure and the ends of its 95 % bootstrap interval."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, estimate: Estimate) -> Interval:
        return cls(value=estimate.value, low=estimate.low, high=estimate.high)

    def __str__(self) -> str:
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


class Cell(_Record):
    """One policy on one landscape. `cost` is the mean of evaluations to within 5 % of the best, `reached` the share of
    searches that got there, `area` the mean regret over the budget (nats), `throughput` evaluations for each simulated second."""

    field: str
    policy: str
    cost: Interval
    reached: float
    area: float
    throughput: float


class Comparison(_Record):
    """`ratios`: by policy, the cost of `subject` over that policy's, geometric mean over landscapes; below 1 the subject is cheaper."""

    subject: str
    budget: int
    seeds: int
    evaluators: int
    cells: tuple[Cell, ...]
    geometric_costs: dict[str, float]
    ratios: dict[str, Interval]

    def cell(self, field: str, policy: str) -> Cell:
        return next(cell for cell in self.cells if (cell.field, cell.policy) == (field, policy))

    @property
    def fields(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(cell.field for cell in self.cells))

    @property
    def policies(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(cell.policy for cell in self.cells))


def compare(scores: Sequence[Score], subject: str = "puct") -> Comparison:
    """Raises ValueError for scores of more than one number of evaluators or none at all."""
    (evaluators,) = {row.evaluators for row in scores}
    policies = tuple(dict.fromkeys(row.policy for row in scores))
    fields = tuple(dict.fromkeys(row.field for row in scores))
    by_policy = {policy: costs(scores, policy, evaluators) for policy in policies}
    others = [policy for policy in policies if policy != subject] if subject in policies else []
    return Comparison(
        subject=subject,
        budget=max(row.budget for row in scores),
        seeds=len({row.seed for row in scores}),
        evaluators=evaluators,
        cells=tuple(_cell(field, policy, [row for row in scores if (row.field, row.policy) == (field, policy)])
                    for field in fields for policy in policies),
        geometric_costs={policy: geometric_cost(row) for policy, row in by_policy.items()},
        ratios={policy: Interval.of(ratio(by_policy[subject], by_policy[policy])) for policy in others},
    )  # fmt: skip


def _cell(field: str, policy: str, rows: Sequence[Score]) -> Cell:
    return Cell(
        field=field, policy=policy, cost=Interval.of(mean([row.cost for row in rows])),
        reached=fmean(row.reached is not None for row in rows), area=fmean(row.area for row in rows),
        throughput=sum(row.evaluations for row in rows) / max(1e-9, sum(row.issuing_seconds for row in rows)),
    )  # fmt: skip


def print_comparison(comparison: Comparison, console: Console) -> None:
    table = Table(
        title=f"Evaluations to within 5 % of the best: mean of {comparison.seeds} seeds, budget {comparison.budget}, "
        f"{comparison.evaluators} evaluator(s); in brackets the share of searches that got there",
    )
    table.add_column("landscape")
    for policy in comparison.policies:
        table.add_column(policy, justify="right")
    for field in comparison.fields:
        cells = (comparison.cell(field, policy) for policy in comparison.policies)
        table.add_row(field, *(f"{cell.cost.value:.1f} ({cell.reached:.0%})" for cell in cells))
    table.add_section()
    table.add_row("geometric mean", *(f"{comparison.geometric_costs[policy]:.1f}" for policy in comparison.policies))
    ratios = comparison.ratios
    shares = (str(ratios[policy]) if policy in ratios else "" for policy in comparison.policies)
    table.add_row(f"{comparison.subject} costs, of it", *shares)
    console.print(table)


def plot(scores: Sequence[Score], path: Path) -> None:
    """Median regret against evaluations, one panel for each landscape. Raises BadInput when matplotlib is missing."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise BadInput("a plot needs matplotlib: pip install 'ksearch-kernels[plot]'") from error
    fields = tuple(dict.fromkeys(row.field for row in scores))
    columns = min(4, len(fields))
    rows = -(-len(fields) // columns)
    figure = Figure(figsize=(4 * columns, 3 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).flat
    for place, field in zip(axes, fields, strict=False):
        for policy in dict.fromkeys(row.policy for row in scores):
            curve = _median_curve(row.curve for row in scores if (row.field, row.policy) == (field, policy))
            place.plot(range(len(curve)), curve, label=policy, linewidth=1.2)
        place.set(title=field, xlabel="evaluations", ylabel="regret, nats")
    for unused in list(axes):
        unused.set_visible(False)
    figure.axes[0].legend(fontsize="small")
    figure.savefig(path)


def _median_curve(curves: Iterable[Sequence[float]]) -> list[float]:
    return [median(column) for column in zip(*curves, strict=True)]
