"""A step that loses before it pays: how many searches come within 5 % of the best, by the evaluations they had.

On worlds of the non-monotone family that no tuning saw, and of `detour` (two losing steps in a row).

    python benchmarks/search_policy/losing_step.py [--seeds 50] [--processes 2] [--out FILE]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ksearch.landscapes.comparison import run_tasks, synthetic_field, tasks_of

POLICIES = ("puct", "puct+merge=false", "flat", "evolution", "greedy+merge=false", "greedy")
AFTER = (10, 15, 20, 25, 30, 40, 60)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    rows = []
    for family in ("non-monotone", "detour"):
        fields = [synthetic_field(family, "held-out")]
        for policy in POLICIES:
            scores = run_tasks(tasks_of(fields, [policy], options.seeds, max(AFTER), stop_near=True), options.processes)
            reached = [score.reached for score in scores if score.reached is not None]
            shares = {after: sum(count <= after for count in reached) / len(scores) for after in AFTER}
            rows.append({"family": family, "policy": policy, "seeds": len(scores), "within_5_percent_after": shares})
            print(family, policy, " ".join(f"{after}: {share:.0%}" for after, share in shares.items()), flush=True)
    if options.out is not None:
        options.out.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
