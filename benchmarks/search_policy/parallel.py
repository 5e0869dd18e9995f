"""puct with many evaluators, against itself with one: throughput, evaluations and time to within 5 % of the best.

On the landscapes of bench_search_policy.py. While a kernel is promoted the other evaluators go on, so two counts are told: until it
was the incumbent (`cost`), and until its own evaluation was answered (`measured`).
The budget grows with the evaluators, so that none runs dry.

    python benchmarks/search_policy/parallel.py [--seeds 20] [--budget 150] [--processes 2] [--evaluators 16,64] [--out FILE]
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from statistics import fmean

sys.path.insert(0, str(Path(__file__).parent))

from bench_search_policy import held_out_fields, tuning_fields

from ksearch.landscapes.comparison import PENALTY, Score, costs, ratio, run_tasks, tasks_of


def row(scores: list[Score], one: list[Score], evaluators: int) -> dict[str, object]:
    """Everything relative to `one`: the same landscapes and seeds with a single evaluator."""
    mine, theirs = costs(scores, "puct", evaluators), costs(one, "puct")
    found = ratio(mine, theirs)
    by_field = {name: (fmean(theirs[name]), fmean(mine[name])) for name in mine}
    return {
        "evaluators": evaluators, "measured_of_one": measured(scores, one),
        "throughput_of_one": throughput(scores) / throughput(one), "reached": reached(scores),
        "reached_by_one": reached(one), "cost_of_one": [found.value, found.low, found.high],
        "geometric_cost": math.exp(fmean(math.log(pair[1]) for pair in by_field.values())),
        "seconds_to_reach": fmean(map(seconds, scores)), "seconds_to_reach_with_one": fmean(map(seconds, one)), "by_field": by_field,
    }  # fmt: skip


def measured(scores: list[Score], one: list[Score]) -> list[float]:
    """As the ratio of costs, by the number that the kernel's own evaluation had."""
    mine, theirs = ({name: [float(n) for n in numbers] for name, numbers in _numbers(rows).items()} for rows in (scores, one))
    found = ratio(mine, theirs)
    return [found.value, found.low, found.high]


def _numbers(scores: list[Score]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for score in scores:
        found.setdefault(score.field, []).append(max(1, PENALTY * score.budget if score.measured is None else score.measured))
    return found


def throughput(scores: list[Score]) -> float:
    return sum(score.evaluations for score in scores) / sum(score.issuing_seconds for score in scores)


def reached(scores: list[Score]) -> float:
    return fmean(score.reached is not None for score in scores)


def seconds(score: Score) -> float:
    return score.seconds if score.reached_s is None else score.reached_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--budget", type=int, default=150)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--evaluators", default="16,64")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    rows = []
    for split, fields in (("tuning", tuning_fields()), ("held-out", held_out_fields())):
        for count in map(int, options.evaluators.split(",")):
            budget = max(options.budget, 4 * count)
            scores, one = (run_tasks(tasks_of(fields, ["puct"], options.seeds, budget, n), options.processes) for n in (count, 1))
            rows.append({"split": split, **row(scores, one, count)})
            print(json.dumps(rows[-1]), flush=True)
    if options.out is not None:
        options.out.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
