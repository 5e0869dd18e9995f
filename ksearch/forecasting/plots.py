"""`--plot FILE.svg`: forecasts against outcomes, and regret against budget, as plain SVG without a drawing library."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from ksearch.errors import BadInput
from ksearch.surrogates.calibration import Judged
from ksearch.surrogates.scores import Scores
from ksearch.surrogates.tuning import Tuned

WIDTH, HEIGHT, MARGIN = 320, 260, 48
INK, DOT, RANGE = "#222", "#1f6feb", "#9cc2ff"


@dataclass(frozen=True)
class Panel:
    """Points with their vertical ranges (low, high), a line through them or the diagonal that they should lie on."""

    title: str
    across: str
    upward: str
    points: Sequence[tuple[float, float]]
    ranges: Sequence[tuple[float, float]] = ()
    diagonal: bool = False
    joined: bool = False


def save_scores(path: Path, rows: Sequence[tuple[str, Scores, Sequence[Judged]]]) -> None:
    """One row of panels for each source. Raises BadInput for a file that isn't .svg or can't be written."""
    _save(path, [_score_panels(name, scores, judged) for name, scores, judged in rows])


def save_tuning(path: Path, tuned: Tuned) -> None:
    usual = [row for row in tuned.rows if row.setting.hope == tuned.recommended.setting.hope and row.setting.audits == 0.1]
    points = [(row.setting.budget, row.regret) for row in usual]
    ranges = [(row.regret - row.error, row.regret + row.error) for row in usual]
    missed = [(row.setting.budget, row.missed) for row in usual]
    _save(path, [[
        Panel("How much slower the best is", "surrogate budget", "regret", points, ranges, joined=True),
        Panel("How often the best is missed", "surrogate budget", "share of replays", missed, joined=True),
    ]])  # fmt: skip


def _score_panels(name: str, scores: Scores, judged: Sequence[Judged]) -> list[Panel]:
    passing = [one for one in judged if one.reward is not None]
    gains = [(one.gain or 0.0, one.said_gain) for one in passing]
    ranges = [(one.low - one.parent_reward, one.high - one.parent_reward) for one in passing]
    regret = [(row.share, row.regret) for row in scores.shares if row.regret is not None]
    return [
        Panel(f"{name}: gain over the parent, ln", "measured", "forecast, 80 %", gains, ranges, diagonal=True),
        Panel("P(passes)", "forecast", "passed", list(reliability(judged)), diagonal=True),
        Panel("Regret of measuring a share", "share measured", "regret", regret, joined=True),
    ]


def reliability(judged: Sequence[Judged], bins: int = 5) -> Iterable[tuple[float, float]]:
    """Mean forecast and share that passed, over equally filled bins."""
    ordered = sorted(judged, key=lambda one: one.said.pi)
    size = math.ceil(len(ordered) / bins)
    for start in range(0, len(ordered), max(size, 1)):
        group = ordered[start : start + size]
        yield sum(one.said.pi for one in group) / len(group), sum(one.passed for one in group) / len(group)


def _save(path: Path, rows: Sequence[Sequence[Panel]]) -> None:
    if path.suffix != ".svg":
        raise BadInput(f"--plot {path}: plots are SVG files, name it {path.stem}.svg")
    width, height = max(map(len, rows)) * WIDTH, len(rows) * HEIGHT
    body = [_panel(panel, x * WIDTH, y * HEIGHT) for y, row in enumerate(rows) for x, panel in enumerate(row)]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" font-size="11">'
    try:
        path.write_text("\n".join([head, f'<rect width="{width}" height="{height}" fill="white"/>', *body, "</svg>\n"]), "utf-8")
    except OSError as error:
        raise BadInput(f"--plot {path}: {error.strerror}") from error


def _panel(panel: Panel, left: float, top: float) -> str:
    xs = [x for x, _ in panel.points]
    ys = [y for _, y in panel.points] + [end for pair in panel.ranges for end in pair]
    if panel.diagonal:
        xs = ys = [*xs, *ys]
    across, upward = _scale(xs, MARGIN, WIDTH - 12), _scale(ys, HEIGHT - MARGIN, 28)
    marks = [f'<text x="{MARGIN}" y="16" fill="{INK}">{escape(panel.title)}</text>', _axes(panel, xs, ys)]
    if panel.diagonal and xs:
        low, high = min(xs), max(xs)
        marks.append(_line([(across(low), upward(low)), (across(high), upward(high))], "#bbb"))
    for index, (low, high) in enumerate(panel.ranges):
        at = across(panel.points[index][0])
        marks.append(_line([(at, upward(low)), (at, upward(high))], RANGE))
    if panel.joined:
        marks.append(_line([(across(x), upward(y)) for x, y in panel.points], DOT))
    marks += [f'<circle cx="{across(x):.1f}" cy="{upward(y):.1f}" r="2.2" fill="{DOT}"/>' for x, y in panel.points]
    return f'<g transform="translate({left},{top})">{"".join(marks)}</g>'


def _scale(values: Sequence[float], start: float, end: float) -> Callable[[float], float]:
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    span = (high - low) or 1.0
    return lambda value: start + (value - low) / span * (end - start)


def _axes(panel: Panel, xs: Sequence[float], ys: Sequence[float]) -> str:
    ends = [f"{value:.2g}" for values in (xs, ys) for value in ((min(values), max(values)) if values else (0.0, 1.0))]
    bottom, right = HEIGHT - MARGIN, WIDTH - 12
    return (
        f'<path d="M{MARGIN},28 V{bottom} H{right}" fill="none" stroke="{INK}"/>'
        f'<text x="{MARGIN}" y="{bottom + 14}">{ends[0]}</text><text x="{right}" y="{bottom + 14}" text-anchor="end">{ends[1]}</text>'
        f'<text x="{(MARGIN + right) / 2}" y="{bottom + 30}" text-anchor="middle">{escape(panel.across)}</text>'
        f'<text x="{MARGIN - 4}" y="{bottom}" text-anchor="end">{ends[2]}</text>'
        f'<text x="{MARGIN - 4}" y="34" text-anchor="end">{ends[3]}</text>'
        f'<text transform="translate(12,{(28 + bottom) / 2}) rotate(-90)" text-anchor="middle">{escape(panel.upward)}</text>'
    )


def _line(points: Sequence[tuple[float, float]], colour: str) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{path}" fill="none" stroke="{colour}"/>'
