"""What judging costs: seconds of an evaluation and of a promotion, by stage.

    python benchmarks/judge/cost.py [--device cuda] [--definition dsa_topk] [--evaluations 3] [--promotions 1]

Candidate and incumbent are two kernels of the playbook, one step apart. The first evaluation also starts processes, learns
tolerances and times the baseline; the later ones are what a search pays for each candidate. Prints JSON: for each job its wall
and device seconds, those of each stage (a stage within another is counted in both), and the gain that a promotion found.
"""

from __future__ import annotations

import argparse
import functools
import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parents[1] / "playbook"))

from plans import greedy

from ksearch.coder.playbook.registry import all_families
from ksearch.coder.types import Target
from ksearch.definitions.catalog import load_definition, workloads_for
from ksearch.definitions.regimes import stratified, weighted
from ksearch.definitions.schema import BuildSpec, Definition, Solution, SourceFile
from ksearch.devices import resolve
from ksearch.judge.cascade import Cascade
from ksearch.judge.checks import Checker
from ksearch.judge.cuda_timing import DeviceClock
from ksearch.judge.judge import Judge
from ksearch.judge.timing import JudgeClock
from ksearch.judge.verdict import Job

STAGES: tuple[tuple[type[Any], str], ...] = (
    (Cascade, "_compile"), (Cascade, "open"), (Cascade, "_measure_baseline"), (Checker, "smoke"), (Checker, "numerics"),
    (Checker, "repetition"), (Checker, "mutation"), (Checker, "expect"), (Checker, "judge"), (JudgeClock, "time"), (DeviceClock, "time"),
    (Cascade, "_pair"),
)  # fmt: skip
SUBSET = 12
TIMED_CALLS = 20


def watched(spent: Counter[str]) -> None:
    """Every stage adds its seconds to `spent`."""
    for owner, name in STAGES:
        setattr(owner, name, _timed(getattr(owner, name), name.strip("_"), spent))


def _timed(method: Any, name: str, spent: Counter[str]) -> Any:
    @functools.wraps(method)
    def inner(*given: Any, **named: Any) -> Any:
        begin = time.perf_counter()
        try:
            return method(*given, **named)
        finally:
            spent[name] += time.perf_counter() - begin  # type: ignore[assignment]

    return inner


def kernels(definition: Definition, kind: str, arch: str) -> list[Solution]:
    """The last two steps of a greedy path through the playbook's best family, best first."""
    language = "cuda" if kind == "cuda" else "cpp"
    target = Target(kind, arch, (language, "python"))  # type: ignore[arg-type]
    family = next(family for family in all_families() if family.covers(definition, target))
    catalogue = family.catalogue(definition, target)
    path = greedy(catalogue)
    return [_solution(definition, family.render(definition, target, catalogue.config(plan)), kind) for plan in (path, path[:-1])]


def _solution(definition: Definition, rendering: Any, kind: str) -> Solution:
    sources = tuple(SourceFile(path=path, content=content) for path, content in rendering.sources)
    compiled = rendering.language in ("cpp", "cuda")
    spec = BuildSpec(
        language=rendering.language, target_hardware=(kind,), entry_point=f"{sources[0].path}::run", binding="tvm-ffi" if compiled else None
    )
    return Solution(name=f"cost-{rendering.language}", definition=definition.name, author="cost", spec=spec, sources=sources)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--definition", default="dsa_topk")
    parser.add_argument("--evaluations", type=int, default=3)
    parser.add_argument("--promotions", type=int, default=1)
    given = parser.parse_args()
    device, definition = resolve(given.device), load_definition(given.definition)
    kind = device.spec.partition(":")[0]
    workloads = workloads_for(definition, kind)  # type: ignore[arg-type]
    subset, full = stratified(definition, workloads, SUBSET, 0), weighted(definition, workloads)
    candidate, opponent = kernels(definition, kind, device.arch)
    spent: Counter[str] = Counter()
    watched(spent)
    judge, rows = Judge(), []
    common = {"job": "cost", "definition": definition, "solution": candidate, "device": device.spec}
    jobs = [Job(kind="evaluate", workloads=subset, timed_calls=TIMED_CALLS, **common) for _ in range(given.evaluations)]  # type: ignore[arg-type]
    promotion = {"workloads": full, "paired_workloads": subset, "opponent": opponent, "timed_calls": max(5, TIMED_CALLS // 4)}
    jobs += [Job(kind="promote", **promotion, **common) for _ in range(given.promotions)]  # type: ignore[arg-type]
    try:
        for job in jobs:
            spent.clear()
            begin = time.perf_counter()
            verdict = judge.judge(job)
            row = {
                "kind": job.kind, "status": verdict.status.value, "seconds": round(time.perf_counter() - begin, 2),
                "device_seconds": round(verdict.device_seconds, 2), "timer": verdict.timer,
                "stages": {name: round(seconds, 2) for name, seconds in spent.items()},
                "evidence": None if verdict.evidence is None else verdict.evidence.message,
                "paired": None if verdict.paired is None else verdict.paired.model_dump(mode="json"),
            }  # fmt: skip
            rows.append(row)
            print(f"{job.kind}: {verdict.status} {row['seconds']} s, {row['stages']} {row['evidence'] or ''}", file=sys.stderr, flush=True)
    finally:
        judge.close()
    print(json.dumps({"definition": definition.name, "device": device.spec, "workloads": len(full), "jobs": rows}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
