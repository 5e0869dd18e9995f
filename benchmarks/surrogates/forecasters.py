"""Forecasters on held-out definitions: each landscape is met point by point, after the other definitions were learnt from.

    python benchmarks/surrogates/forecasters.py benchmarks/landscapes/*.landscape.json.xz --json benchmarks/surrogates/forecasters.json

Split by definition (nothing of a landscape's own definition is known when it begins) and by time (a point is forecast from
the points before it alone). Landscapes of one definition in several regimes don't teach each other.

Two rows say what can be had at most. `hindsight` is the statistical forecaster told of every other fifth of the landscape, the
points still to come included; `repeat` is a second measurement of each point, with the noise that repeats had. `--forgive
INCORRECT_NUMERICAL` leaves out points refused for that status, where a tolerance turned out to have been too tight.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from statistics import fmean

from ksearch.forecasting.outcomes import Source, held_out, load_sources, named_forecaster, replayed, unjudged
from ksearch.landscapes.landscape import load
from ksearch.surrogates.scores import Scores, score
from ksearch.surrogates.statistical import Statistical
from ksearch.surrogates.trust import Record
from ksearch.surrogates.types import Forecast, Sample, forecast_many

FORECASTERS = ("neighbours", "statistical", "ensemble")
LIMITS = ("hindsight", "repeat")
FOLDS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("landscapes", nargs="+")
    parser.add_argument("--most", type=int, default=300, help="points of a landscape")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only", default=",".join((*FORECASTERS, *LIMITS)), help="rows, by name")
    parser.add_argument("--forgive", action="append", default=[], metavar="STATUS")
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    sources = load_sources(options.landscapes, None, options.most)
    sources = tuple(forgiven(source, Path(path), options.forgive) for source, path in zip(sources, options.landscapes, strict=True))
    rows: dict[str, dict[str, Scores]] = {}
    print(f"{'landscape':<24} {'forecaster':<12} {'n':>4} {'pairwise':>8} {'3-20 %':>7} {'Spearman':>8} {'gains':>6} "
          f"{'AUROC':>6} {'Brier':>6} {'ECE':>6} {'CRPS':>6} {'covered':>8} {'regret at 10 %':>15}")  # fmt: skip
    tasks = [(name, source, held_out(source, sources)) for source in sources for name in options.only.split(",")]
    with ProcessPoolExecutor(options.jobs) as pool:
        for (name, source, _), scores in zip(tasks, pool.map(scored, tasks), strict=True):
            rows.setdefault(source.name, {})[name] = scores
            print(line(source.name, name, scores), flush=True)
    for name in options.only.split(","):
        print(summary(name, [row[name] for row in rows.values()]))
    for text in leads(rows):
        print(text)
    if options.json is not None:
        document = {source: {name: asdict(scores) for name, scores in row.items()} for source, row in rows.items()}
        options.json.write_text(json.dumps(document, indent=1) + "\n")


def scored(task: tuple[str, Source, Sequence[Sample]]) -> Scores:
    name, source, before = task
    return score(record_of(name, source, before).judged, source.sigma_noise)


def forgiven(source: Source, path: Path, statuses: Sequence[str]) -> Source:
    left_out = {point.code for point in load(path).points if point.status in statuses}
    return replace(source, samples=tuple(sample for sample in source.samples if sample.candidate not in left_out))


def record_of(name: str, source: Source, before: Sequence[Sample]) -> Record:
    if name == "hindsight":
        return hindsight(source)
    if name == "repeat":
        return repeated(source)
    return replayed(named_forecaster(name), source, before)


def hindsight(source: Source) -> Record:
    """Each point forecast from four fifths of all the others, drawn at random."""
    order = list(range(len(source.samples)))
    random.Random(source.name).shuffle(order)
    said: dict[int, Forecast | None] = {}
    for fold in range(FOLDS):
        asked = [index for place, index in enumerate(order) if place % FOLDS == fold]
        forecaster = Statistical()
        for index in sorted(set(order) - set(asked)):
            forecaster.learn(source.samples[index])
        said |= dict(zip(asked, forecast_many(forecaster, [unjudged(source.samples[index]) for index in asked]), strict=True))
    return recorded(source, [said[index] for index in range(len(source.samples))])


def repeated(source: Source) -> Record:
    """A second measurement as the forecast."""
    draw, noise = random.Random(source.name), max(source.sigma_noise, 1e-3)
    again = []
    for sample in source.samples:
        d50 = (sample.parent_reward or 0.0) - (sample.reward or 0.0) + draw.gauss(0.0, noise)
        again.append(Forecast("repeat", float(bool(sample.passed)), d50 - 1.2816 * noise, d50, d50 + 1.2816 * noise))
    return recorded(source, again)


def recorded(source: Source, said: Sequence[Forecast | None]) -> Record:
    record = Record(source.sigma_noise)
    for sample, forecast in zip(source.samples, said, strict=True):
        if forecast is not None and sample.parent_reward is not None:
            record.learn(forecast, sample.parent_reward, bool(sample.passed), sample.reward)
    return record


def line(source: str, name: str, scores: Scores) -> str:
    near = scores.by_distance[0][1]
    regret = scores.shares[1].regret
    return (
        f"{source:<24} {name:<12} {scores.outcomes:>4} {_p(scores.pairwise):>8} {_p(near):>7} {_n(scores.spearman):>8} "
        f"{_n(scores.gain_spearman):>6} {_n(scores.auroc):>6} {scores.brier:>6.3f} {scores.calibration_error:>6.3f} {_n(scores.crps):>6} "
        f"{_p(scores.coverage):>8} {_p(regret):>15}"
    )


def summary(name: str, rows: list[Scores]) -> str:
    regrets = [row.shares[1].regret or 0.0 for row in rows]
    return (
        f"mean {name}: pairwise {fmean(row.pairwise or 0.0 for row in rows):.3f}, "
        f"Spearman {fmean(row.spearman or 0.0 for row in rows):.3f}, "
        f"coverage {fmean(row.coverage or 0.0 for row in rows):.2f}, ECE {fmean(row.calibration_error for row in rows):.3f}, "
        f"regret of measuring the top 10 % {fmean(regrets):.1%}, at most {max(regrets):.1%}"
    )


def leads(rows: Mapping[str, Mapping[str, Scores]]) -> Iterator[str]:
    """How far a forecaster is ahead of `neighbours`, and how far it could be at most: hindsight's lead, told what is still to come."""
    shown = {source: row for source, row in rows.items() if {"neighbours", "statistical", "hindsight"} <= row.keys()}
    if not shown:
        return
    yield f"{'lead over neighbours':<24} {'pairwise':>9} {'at most':>8}   {'Spearman':>8} {'at most':>8}"
    totals: list[tuple[float, ...]] = []
    for source, row in shown.items():
        lead = [_lead(row, name, what) for what in ("pairwise", "spearman") for name in ("statistical", "hindsight")]
        totals.append(tuple(lead))
        yield _lead_line(source, lead)
    yield _lead_line("mean", [fmean(column) for column in zip(*totals, strict=True)])


def _lead(row: Mapping[str, Scores], name: str, what: str) -> float:
    return (getattr(row[name], what) or 0.0) - (getattr(row["neighbours"], what) or 0.0)


def _lead_line(name: str, lead: Sequence[float]) -> str:
    return f"{name:<24} {lead[0]:>+9.3f} {lead[1]:>+8.3f}   {lead[2]:>+8.3f} {lead[3]:>+8.3f}"


def _p(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _n(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    main()
