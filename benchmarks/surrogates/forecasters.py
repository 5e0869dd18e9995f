"""Forecasters on held-out definitions: each landscape is met point by point, after the other definitions were learnt from.

    python benchmarks/surrogates/forecasters.py benchmarks/landscapes/*.landscape.json.xz --json benchmarks/surrogates/forecasters.json

Split by definition (nothing of a landscape's own definition is known when it begins) and by time (a point is forecast from
the points before it alone). Landscapes of one definition in several regimes don't teach each other.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from statistics import fmean

from ksearch.forecasting.outcomes import held_out, load_sources, named_forecaster, replayed
from ksearch.surrogates.scores import Scores, score

FORECASTERS = ("neighbours", "statistical", "ensemble")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("landscapes", nargs="+")
    parser.add_argument("--most", type=int, default=300, help="points of a landscape")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    sources = load_sources(options.landscapes, None, options.most)
    rows: dict[str, dict[str, Scores]] = {}
    print(f"{'landscape':<24} {'forecaster':<12} {'n':>4} {'pairwise':>8} {'3-20 %':>7} {'Spearman':>8} {'gains':>6} "
          f"{'AUROC':>6} {'Brier':>6} {'ECE':>6} {'CRPS':>6} {'covered':>8} {'regret at 10 %':>15}")  # fmt: skip
    for source in sources:
        for name in FORECASTERS:
            scores = score(replayed(named_forecaster(name), source, held_out(source, sources)).judged, source.sigma_noise)
            rows.setdefault(source.name, {})[name] = scores
            print(line(source.name, name, scores), flush=True)
    for name in FORECASTERS:
        print(summary(name, [row[name] for row in rows.values()]))
    if options.json is not None:
        document = {source: {name: asdict(scores) for name, scores in row.items()} for source, row in rows.items()}
        options.json.write_text(json.dumps(document, indent=1) + "\n")


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


def _p(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _n(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    main()
