"""The course of several runs as a picture: the incumbent's latency against evaluations and against time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ksearch.errors import BadInput, Unavailable
from ksearch.report.comparison import Comparison, RunSide
from ksearch.report.text import inert

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SUFFIXES = (".svg", ".png", ".pdf")


def check_plot(file: Path) -> None:
    """Before any run is read. Raises BadInput for a format that can't be drawn, Unavailable without matplotlib."""
    if file.suffix.lower() not in SUFFIXES:
        raise BadInput(f"--plot {file}: name a {', '.join(SUFFIXES)} file")
    if not file.parent.is_dir():
        raise BadInput(f"--plot {file}: {file.parent} is no folder")
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise Unavailable("--plot needs matplotlib: pip install 'ksearch-kernels[plot]'; without it, --json gives the points") from error


def draw(comparison: Comparison, file: Path) -> None:
    """A row of two pictures for each group of runs that were measured alike; latencies on a logarithmic axis."""
    from matplotlib.figure import Figure

    groups = len(comparison.groups)
    figure = Figure(figsize=(11, 4.2 * groups), layout="constrained")
    axes = figure.subplots(groups, 2, squeeze=False)
    for number, group in enumerate(comparison.groups):
        sides = [side for side in comparison.runs if side.group == number]
        title = f"{inert(group.definition)} on {inert(group.conditions.device_name)}"
        _picture(axes[number][0], sides, "evaluations", title)
        _picture(axes[number][1], sides, "at_s", "")
    figure.savefig(file)


def _picture(axes: Axes, sides: Sequence[RunSide], across: str, title: str) -> None:
    for side in sides:
        rows = [row for row in side.progress if row.incumbent_us is not None]
        at = [float(getattr(row, across)) for row in rows]
        best = [row.incumbent_us for row in rows if row.incumbent_us is not None]
        end = float(side.evaluations if across == "evaluations" else side.wall_seconds)
        if rows:
            axes.step([*at, max(end, at[-1])], [*best, best[-1]], where="post", label=f" {inert(side.run)}")
    axes.set_yscale("log")
    axes.set_xlabel("evaluations" if across == "evaluations" else "seconds of searching")
    axes.set_ylabel("latency of the incumbent, us")
    axes.set_title(title, fontsize="medium", parse_math=False)
    axes.grid(visible=True, which="both", alpha=0.25)
    if axes.get_lines():
        for text in axes.legend(fontsize="small").get_texts():
            text.set_parse_math(False)  # a `$` in a run's name is no formula
