"""What parallel evaluators must cost where a plan grows by one measured step at a time, whatever the policy.

The fewest steps d from the plainest configuration to one within 5 % of the best, found by breadth-first search: a policy that knew
every answer would still wait for d evaluations one after the other, while the other evaluators do something. With W of them
some W (d - 1) + 1 evaluations begin by then. A merge takes several steps at once, and the bound with it.

    python benchmarks/search_policy/parallel_bound.py [--seeds 20] [--evaluators 16]
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from statistics import fmean

sys.path.insert(0, str(Path(__file__).parent))

from bench_search_policy import held_out_fields, tuning_fields

from ksearch.landscapes.ground import Ground, reaches


def fewest_steps(ground: Ground) -> int | None:
    """Over plans that pass at every step, as only those are built on; None where none leads there."""
    catalogue = ground.catalogue
    names = tuple(catalogue.defaults)
    line, seen = [tuple(catalogue.defaults.values())], {tuple(catalogue.defaults.values())}
    depth = 0
    while line:
        configs = [dict(zip(names, values, strict=True)) for values in line]
        rewards = [ground.at(config).reward for config in configs]
        if any(reward is not None and reaches(ground, reward) for reward in rewards):
            return depth
        line = []
        for config, reward in zip(configs, rewards, strict=True):
            for step in catalogue.legal_from(config) if reward is not None else ():
                values = tuple({**config, **step.sets}.values())
                if values not in seen:
                    seen.add(values)
                    line.append(values)
        depth += 1
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--evaluators", type=int, default=16)
    options = parser.parse_args()
    rows = []
    for field in [*tuning_fields(), *held_out_fields()]:
        first = field.ground(0)
        seeds = range(options.seeds) if field.ground(1) is not first else range(1)
        found = [steps for seed in seeds if (steps := fewest_steps(field.ground(seed))) is not None]
        bound = fmean(options.evaluators * max(0, steps - 1) + 1 for steps in found)
        rows.append({"field": field.name, "split": field.split, "fewest_steps": fmean(found), "evaluations_at_least": bound})
        print(json.dumps(rows[-1]), flush=True)


if __name__ == "__main__":
    main()
