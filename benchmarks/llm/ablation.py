"""The arms of an ablation, one flag each, over the same model, judge and budget; then `ksearch compare` sets them side by side.

    python benchmarks/llm/ablation.py --definition rmsnorm --device cpu --evaluations 25 --runs-dir runs/ablation
    python benchmarks/llm/ablation.py --definition dsa_topk --device cuda --evaluator bundle:work --evaluations 25 --runs-dir runs/ablation

Every arm runs `--repeats` times, with seeds of its own, and knows nothing of the others: each run has a knowledge base of its own, but that
the arm `whole` is given the one that KSEARCH_KNOWLEDGE names. `ksearch compare` tells latencies, tokens and how claims came true.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

ARMS: dict[str, tuple[str, ...]] = {
    "whole": (),
    "no-world-model": ("--no-world-model",),
    "no-memory": ("--no-memory",),
    "no-merge": ("--no-merge",),
    "flat": ("--policy", "best-of-n"),
    "single-agent": ("--policy", "single-agent"),
}
"""`flat`: every plan is one step from the starting kernel, so that nothing builds on anything."""


def run_name(arm: str, repeat: int) -> str:
    return f"{arm}-{repeat}"


def command(options: argparse.Namespace, arm: str, repeat: int) -> list[str]:
    given = [item for assignment in options.set for item in ("--set", assignment)]
    return [
        sys.executable, "-m", "ksearch", "run", "--definition", options.definition, "--device", options.device, "--planner", "llm",
        "--evaluator", options.evaluator, "--max-evaluations", str(options.evaluations), "--max-usd", str(options.max_usd),
        "--seed", str(repeat), "--surrogate-budget", "0", "--runs-dir", str(options.runs_dir), "--name", run_name(arm, repeat),
        *(() if options.model is None else ("--model", options.model)), *ARMS[arm], *given,
    ]  # fmt: skip


def knowledge(options: argparse.Namespace, arm: str, repeat: int) -> str:
    """A file of this run's own, empty unless the user names one for the arm that may remember."""
    named = os.environ.get("KSEARCH_KNOWLEDGE")
    return named if named is not None and arm == "whole" else str(options.runs_dir / f".{run_name(arm, repeat)}.knowledge.jsonl")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--definition", required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--evaluator", default="local")
    parser.add_argument("--model", help="as `ksearch run --model`")
    parser.add_argument("--evaluations", type=int, default=25)
    parser.add_argument("--max-usd", type=float, default=20.0, help="for each run")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--runs-dir", type=Path, required=True)
    parser.add_argument("--set", action="append", default=[], help="as `ksearch run --set`, for every arm")
    options = parser.parse_args()
    options.runs_dir.mkdir(parents=True, exist_ok=True)
    names = []
    for repeat in range(options.repeats):
        for arm in options.arms:
            environment = {**os.environ, "KSEARCH_KNOWLEDGE": knowledge(options, arm, repeat)}
            print(f"== {run_name(arm, repeat)}", flush=True)
            code = subprocess.run(command(options, arm, repeat), env=environment, check=False).returncode
            if code not in (0, 3):
                return code
            names.append(run_name(arm, repeat))
    compare = [sys.executable, "-m", "ksearch", "compare", *names, "--runs-dir", str(options.runs_dir)]
    return subprocess.run(compare, check=False).returncode if len(names) > 1 else 0


if __name__ == "__main__":
    raise SystemExit(main())
