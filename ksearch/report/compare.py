"""`ksearch compare`: a table of several runs, and a plot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from ksearch.records.reading import StoredRun
from ksearch.report.comparison import Comparison, Group, RunSide, comparison_of
from ksearch.report.text import ascii_json, clipped, inert, named, ratio, seconds, table, us


def print_comparison(names: Sequence[str], runs_dir: Path | None, *, plot: Path | None, as_json: bool) -> None:
    if plot is not None:
        from ksearch.report.plot import check_plot

        check_plot(plot)
    with ExitStack() as stack:
        comparison = comparison_of([stack.enter_context(StoredRun.open(name, runs_dir)) for name in names])
    if plot is not None:
        from ksearch.report.plot import draw

        draw(comparison, plot)
    print(ascii_json(comparison.model_dump_json()) if as_json else "\n".join(comparison_lines(comparison)))  # noqa: T201


def comparison_lines(comparison: Comparison) -> Iterator[str]:
    """A table for each group of runs that were measured alike: `near best` is within 5 % of the group's best incumbent."""
    for number, group in enumerate(comparison.groups):
        yield from _group(group, [side for side in comparison.runs if side.group == number])
    yield "near best: the incumbent came within 5 % of the best of these; ratio: to that best; latencies promoted, on the full set"
    if comparison.differences:
        what = ", ".join(comparison.differences)
        yield f"Latencies of different groups are not set against each other: {what} differ."


def _group(group: Group, sides: Sequence[RunSide]) -> Iterator[str]:
    conditions = group.conditions
    timer = "nothing timed yet" if conditions.timer is None else f"timer {inert(conditions.timer)}"
    yield f"{named(group.definition)} on {named(conditions.device_name)}, {timer}, judge {inert(conditions.judge)}"
    best_first = sorted(sides, key=lambda side: (side.ratio is None, side.ratio or 0.0))
    yield from table(_HEADINGS, [_row(side) for side in best_first], left=3)
    if asking := [side for side in best_first if side.spending]:
        yield ""
        yield from table(_MODEL_HEADINGS, [_model_row(side) for side in asking], left=1)
    yield ""


_HEADINGS = (
    "run", "policy", "status", "incumbent", "ratio", "speed-up", "near best after", "GPU s", "time", "evaluations", "GPU s", "time", "USD",
)  # fmt: skip


_MODEL_HEADINGS = ("run", "calls", "tokens", "from cache", "a candidate", "claims", "CRPS", "constant")
"""Of runs that asked models. CRPS of claimed gains, nats, beside always claiming the mean of what came."""


def _model_row(side: RunSide) -> tuple[str, ...]:
    said = side.predictions
    read = sum(role.input + role.cached + role.written for role in side.spending)
    tokens = read + sum(role.output + role.unseen for role in side.spending)
    scores = ("-", "-", "-") if said is None else (str(said.claims), _score(said.crps), _score(said.constant_crps))
    return (
        clipped(inert(side.run), 44), str(sum(role.calls for role in side.spending)), f"{tokens:,}",
        f"{sum(role.cached for role in side.spending) / read:.0%}" if read else "-",
        f"{tokens / side.evaluations:,.0f}" if side.evaluations else "-", *scores,
    )  # fmt: skip


def _score(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _policy(side: RunSide) -> str:
    """With the parts that it went without."""
    return inert(side.policy) + "".join(f", no {part.replace('_', ' ')}" for part in side.without)


def _row(side: RunSide) -> tuple[str, ...]:
    best, near = side.incumbent, side.near_best
    return (
        clipped(inert(side.run), 44), _policy(side), side.status,
        "-" if best is None else f"{us(best.latency_us)} us", "-" if side.ratio is None else f"{side.ratio:.3f}",
        "-" if best is None else ratio(best.speedup),
        *(("-", "-", "-") if near is None else (f"{near.evaluations} evaluations", f"{near.gpu_seconds:.0f}", seconds(near.at_s))),
        str(side.evaluations), f"{side.gpu_seconds:.0f}", seconds(side.wall_seconds), f"{side.usd:.2f}",
    )  # fmt: skip
