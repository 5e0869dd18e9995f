"""Whether the budget that `tune` recommends is the right one where it was not tuned.

    python benchmarks/surrogates/tuning.py benchmarks/landscapes/*.landscape.json.xz

Split by time: the first half of a source's outcomes is tuned on, every setting is replayed on the second half. Runs are recorded or
exported ones, landscapes are met in an order drawn from the seed. `excess` is how much slower the recommended setting's best is
than that of the setting that was best on the second half, in hindsight, both as the mean over the replayed orders.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from ksearch.forecasting.outcomes import load_sources, replayed
from ksearch.forecasting.samples import walk
from ksearch.landscapes.landscape import SUFFIX, load
from ksearch.surrogates.statistical import Statistical
from ksearch.surrogates.tuning import TooFewOutcomes, tune


@dataclass(frozen=True)
class Row:
    name: str
    seed: int
    outcomes: int
    budget: float
    hindsight: float
    regret: float
    best: float
    plain: float
    """Regret of measuring everything."""
    seconds: float


def row_of(task: tuple[str, int]) -> Row | str:
    path, seed = task
    (source,) = load_sources([path], None)
    if path.endswith(SUFFIX):
        samples = tuple(sample for sample in walk(load(Path(path)), seed) if sample.parent is not None)
        source = type(source)(**{**vars(source), "samples": samples})
    judged = replayed(Statistical(), source).judged
    half = len(judged) // 2
    began = time.perf_counter()
    try:
        tuned = tune(judged[:half], sigma_noise=source.sigma_noise)
        seconds = time.perf_counter() - began
        later = tune(judged[half:], sigma_noise=source.sigma_noise, seed=1)
    except TooFewOutcomes as error:
        return f"{source.name}: {error}"
    mine = next(row for row in later.rows if row.setting == tuned.recommended.setting)
    best = min(later.rows, key=lambda row: row.regret)
    plain = next(row for row in later.rows if row.setting.budget == 0.0)
    return Row(
        source.name, seed, half, mine.setting.budget, best.setting.budget, mine.regret, best.regret, plain.regret, seconds,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("sources", nargs="+")
    parser.add_argument("--seeds", type=int, default=3, help="orders in which a landscape is met")
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    tasks = [(path, seed) for path in options.sources for seed in range(options.seeds if path.endswith(SUFFIX) else 1)]
    print(f"{'source':<26} {'seed':>4} {'n':>4} {'tuned':>6} {'best':>6} {'regret':>8} {'least':>8} {'excess':>8} {'of none':>8} {'s':>5}")
    rows: list[Row] = []
    with ProcessPoolExecutor(options.jobs) as pool:
        for found in pool.map(row_of, tasks):
            if isinstance(found, str):
                print(found)
                continue
            rows.append(found)
            print(line(found), flush=True)
    print(summary(rows))


def line(row: Row) -> str:
    return (
        f"{row.name:<26} {row.seed:>4} {row.outcomes:>4} {row.budget:>6.0%} {row.hindsight:>6.0%} {row.regret:>8.1%} {row.best:>8.1%} "
        f"{row.regret - row.best:>8.1%} {row.plain:>8.1%} {row.seconds:>5.1f}"
    )


def summary(rows: Sequence[Row]) -> str:
    excess = [row.regret - row.best for row in rows]
    within = sum(one <= 0.02 for one in excess)
    return f"excess {fmean(excess):.1%} on average, at most {max(excess):.1%}; within 2 points on {within} of {len(rows)}"


if __name__ == "__main__":
    main()
