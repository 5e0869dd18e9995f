"""A search on this machine, and how its time divides between evaluations and promotions, as one JSON object.

    python benchmarks/engine/promotion_share.py --definition dsa_topk --device cuda --max-evaluations 64 --max-time 420
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from ksearch.store.events import EvaluationSettled, IncumbentChanged, PlanRefuted, RootSettled, parse_event
from ksearch.store.log import EventLog


def figures(database: Path) -> dict[str, object]:
    """Seconds are the judge's own; `at_s` counts from the run's first event."""
    with EventLog.open_reader(database) as log:
        stored = [(one.time, parse_event(one.payload)) for one in log.events()]
    began, root_at = stored[0][0], None
    seconds: dict[str, list[float]] = {"root": [], "evaluate": [], "promote": []}
    incumbents: list[dict[str, float]] = []
    best: list[dict[str, float]] = []
    for time, event in stored:
        if isinstance(event, EvaluationSettled):
            seconds[event.kind if root_at is not None else "root"].append(round(event.wall_seconds, 2))
            known = min((one["us"] for one in best), default=1e9)
            if event.kind == "evaluate" and event.latency_us is not None and event.latency_us < known:
                best.append({"evaluation": len(seconds["evaluate"]), "us": round(event.latency_us, 3), "at_s": round(time - began, 1)})
        elif isinstance(event, IncumbentChanged):
            incumbents.append({"evaluation": len(seconds["evaluate"]), "us": round(event.latency_us, 3), "at_s": round(time - began, 1)})
        elif isinstance(event, RootSettled):
            root_at = time - began
    search_s = stored[-1][0] - began - (root_at or 0.0)
    return {
        "root_s": seconds["root"], "evaluations": len(seconds["evaluate"]), "evaluate_s": round(sum(seconds["evaluate"]), 1),
        "promote_s": seconds["promote"], "search_s": round(search_s, 1),
        "promotions_share_of_the_search": round(sum(seconds["promote"]) / search_s, 3) if search_s else None,
        "measured": best, "incumbents": incumbents, "refuted": sum(isinstance(event, PlanRefuted) for _, event in stored),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--definition", default="dsa_topk")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--max-evaluations", default="64")
    parser.add_argument("--max-time", default="420")
    options, more = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable, "-m", "ksearch", "run", "--definition", options.definition, "--device", options.device, "--max-evaluations",
            options.max_evaluations, "--max-time", options.max_time, "--name", "share", "--runs-dir", folder, "--json", *more,
        ]  # fmt: skip
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        print(json.dumps({"exit": done.returncode, **figures(Path(folder) / "share" / "run.sqlite"), "ending": json.loads(done.stdout)}))


if __name__ == "__main__":
    main()
