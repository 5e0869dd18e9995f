r"""Policies measured against each other: tuning landscapes choose the alternative, held-out ones give the figures.

Constants are chosen on the `TUNING` families and the recorded landscapes of `TUNING_OPERATORS`. Held-out are the `HELD_OUT`
families and every other recorded landscape in benchmarks/landscapes. The alternative is the policy, other than puct
and its ablation puct-mean, that was cheapest on the tuning landscapes; the ratio to every policy is printed too.

    python benchmarks/search_policy/bench_search_policy.py [--seeds 50] [--budget 200] [--processes 2] \
        [--policies LIST] [--near] [--out FOLDER]

`parallel.py` beside it measures searches with many evaluators, `losing_step.py` the family where a step loses before it pays.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from rich.console import Console

from ksearch.landscapes.comparison import Field, Split, recorded_field, run_tasks, synthetic_field, tasks_of
from ksearch.landscapes.landscape import SUFFIX, load
from ksearch.landscapes.summary import Comparison, compare, plot, print_comparison
from ksearch.landscapes.synthetic import HELD_OUT, TUNING
from ksearch.tree import POLICIES

RECORDED = Path(__file__).resolve().parents[1] / "landscapes"
TUNING_OPERATORS = ("gemm", "gdn_decode")
ARMS = tuple("greedy+merge=false" if policy == "greedy" else policy for policy in POLICIES)
"""Best-first on the planner's own word stands without merges: a merge's claim is made of what was measured."""
ABLATIONS = ("puct+merge=false", "puct+world_model=false", "evolution+merge=false", "greedy")
OWN = ("puct", "puct-mean", "flat")
"""puct and its ablations: no alternatives to it."""


def tuning_fields() -> list[Field]:
    return [synthetic_field(family, "tuning") for family in TUNING] + recorded_fields("tuning")


def held_out_fields() -> list[Field]:
    return [synthetic_field(family, "held-out") for family in HELD_OUT] + recorded_fields("held-out")


def recorded_fields(split: Split) -> list[Field]:
    """Regimes of one operator are near relatives: an operator is on one side with all of them."""
    paths = sorted(RECORDED.glob(f"*{SUFFIX}"))
    return [recorded_field(load(path), split) for path in paths if (path.name.split(".")[0] in TUNING_OPERATORS) == (split == "tuning")]


def alternative(tuning: Comparison) -> str:
    others = [policy for policy in tuning.policies if policy.split("+")[0] not in OWN]
    return min(others, key=lambda policy: tuning.geometric_costs[policy])


def worst(comparison: Comparison, other: str) -> tuple[str, float]:
    """The landscape on which puct's cost is the greatest multiple of the other's."""
    ratios = {field: comparison.cell(field, "puct").cost.value / comparison.cell(field, other).cost.value for field in comparison.fields}
    return max(ratios.items(), key=lambda entry: entry[1])


def markdown(comparison: Comparison) -> str:
    """The table of costs as docs/policy.md shows it."""
    rows = [["landscape", *comparison.policies], ["---"] * (1 + len(comparison.policies))]
    for field in comparison.fields:
        cells = [comparison.cell(field, policy) for policy in comparison.policies]
        rows.append([field, *(f"{cell.cost.value:.1f} ({cell.reached:.0%})" for cell in cells)])
    rows.append(["geometric mean", *(f"{comparison.geometric_costs[policy]:.1f}" for policy in comparison.policies)])
    shares = [str(comparison.ratios[policy]) if policy in comparison.ratios else "" for policy in comparison.policies]
    rows.append(["puct's cost, of it", *shares])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--budget", type=int, default=200)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--policies", default=",".join((*ARMS, *ABLATIONS)))
    parser.add_argument("--near", action="store_true", help="end each search once it is within 5 %% of the best: costs, no curves")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    console, result = Console(width=160), {}
    for split, fields in (("tuning", tuning_fields()), ("held-out", held_out_fields())):
        tasks = tasks_of(fields, options.policies.split(","), options.seeds, options.budget, stop_near=options.near)
        scores = run_tasks(tasks, options.processes)
        comparison = compare(scores)
        if not options.near:
            plot(scores, options.out / f"{split}.png")
        console.print(split)
        print_comparison(comparison, console)
        result[split] = comparison
    other = alternative(result["tuning"])
    print(f"alternative (cheapest on tuning): {other}; puct over it on held-out: {result['held-out'].ratios[other]}; "
          f"worst landscape: {worst(result['held-out'], other)}")  # fmt: skip
    data = {split: comparison.model_dump() for split, comparison in result.items()} | {"alternative": other}
    (options.out / "search_policy.json").write_text(json.dumps(data, indent=1) + "\n")
    (options.out / "search_policy.md").write_text("\n".join(f"{split}\n\n{markdown(found)}" for split, found in result.items()))


if __name__ == "__main__":
    main()
