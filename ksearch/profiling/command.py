"""`ksearch profile`: judge, hold against the floors, look into what binds, print, exit code."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from ksearch.briefing.verdicts import compiler_text
from ksearch.devices import resolve
from ksearch.errors import BadInput
from ksearch.evaluators.base import Evaluator
from ksearch.evaluators.local import LocalEvaluator
from ksearch.judge.verdict import JudgedWorkload, Status
from ksearch.profiling.bounds import Bounds, bounds_of
from ksearch.profiling.devices import NotMeasured, ceilings_of
from ksearch.profiling.profile import Profile, RegimeShare, WorkloadShare, profile_of
from ksearch.profiling.watching import watch
from ksearch.report.text import us
from ksearch.verify.cases import Case, Options, case_of_run, cases_of
from ksearch.verify.outcome import printable

MOST_ROWS = 16
"""Workloads shown by themselves on a terminal; `--json` has all."""


@dataclass(frozen=True)
class Wanted:
    """`counters`: run the solution outside the judge's wall, under a profiler. `again`: measure the device's ceilings afresh."""

    counters: bool = False
    again: bool = False


def profile(path: Path | None, run: str | None, runs_dir: Path | None, options: Options, wanted: Wanted, *, as_json: bool) -> int:
    """Exit code: 0 measured, 1 rejected, 4 the machine could not. Raises BadInput before anything is measured."""
    if (path is None) == (run is None):
        raise BadInput("profile: give a solution, or --run RUN for a run's incumbent" + (", not both" if path is not None else ""))
    case = case_of_run(run, runs_dir, options) if run is not None else cases_of([path], options)[0] if path is not None else None
    assert case is not None
    bounds = bounds_for(case, wanted)
    with closing(LocalEvaluator(case.job.device)) as evaluator:
        found = profiled(case, bounds, evaluator, wanted)
    if as_json:
        sys.stdout.write(json.dumps(found.model_dump(mode="json")) + "\n")
    else:
        sys.stdout.write("\n".join(lines_of(found)) + "\n")
    return 0 if found.status is Status.PASSED else 4 if found.status is Status.INFRASTRUCTURE else 1


def bounds_for(case: Case, wanted: Wanted) -> Bounds:
    """Before the judge starts, so that neither disturbs the other. Raises BadInput for a device of which nothing is known."""
    try:
        ceilings = ceilings_of(resolve(case.job.device), here=True, again=wanted.again)
    except NotMeasured as error:
        raise BadInput(f"profile: no floor without ceilings; {error}") from error
    return bounds_of(case.job.definition, case.job.workloads, ceilings, case.job.objective)


def profiled(case: Case, bounds: Bounds, evaluator: Evaluator, wanted: Wanted) -> Profile:
    """An ordinary evaluation on all the workloads asked for, its counters if they are wanted."""
    job = case.job.model_copy(update={"kind": "evaluate"})
    verdict = evaluator.submit(job).result()
    axes = {judged.workload.uuid: judged.workload.axes for judged in job.workloads}
    found = profile_of(case.name, job.definition.name, verdict, bounds, axes)
    if verdict.status is not Status.PASSED:
        return found.model_copy(update={"missing": "no counters: only what the judge passes is run outside its wall"})
    if not wanted.counters:
        return found.model_copy(update={"missing": "no counters: --counters runs the solution under a profiler, outside the judge's wall"})
    digests, missing = watch(job, worst_of_each(found, {judged.workload.uuid: judged for judged in job.workloads}))
    return found.model_copy(update={"counters": digests, "missing": missing})


def worst_of_each(found: Profile, workloads: Mapping[str, JudgedWorkload]) -> dict[str, JudgedWorkload]:
    """By regime, the workload that spends most time above its floor."""
    chosen: dict[str, WorkloadShare] = {}
    for row in found.workloads:
        best = chosen.get(row.regime)
        if best is None or _excess(row) > _excess(best):
            chosen[row.regime] = row
    return {regime: workloads[row.uuid] for regime, row in chosen.items()}


def _excess(row: WorkloadShare) -> float:
    return (row.latency_us or 0.0) - row.floor_us


# ---------------------------------------------------------------------- printing


def lines_of(found: Profile) -> Iterator[str]:
    """For a person. Names and messages come from elsewhere: no control character of theirs reaches the terminal."""
    yield f"{printable(found.solution)}  {found.definition} on {found.device}: {_headline(found)}"
    yield f"  ceilings     {_ceilings(found)}"
    yield f"  counted      {_BASIS[found.basis]}"
    if found.message:
        yield f"  why          {printable(found.message)}"
    yield ""
    yield from _table(found)
    if found.compile is not None and (text := compiler_text(found.compile)):
        yield f"\ncompiled: {printable(text)}"
    for digest in found.counters:
        yield f"\n{digest.regime}, workload {digest.workload}:"
        yield from (f"  {printable(line)}" for line in digest.text.splitlines())
    if found.missing:
        yield f"\n{printable(found.missing)}"


_BASIS = {
    "declared": "what this operator must read, its outputs and its operations",
    "all inputs": "every input and output once: this operator is not known here, so no operations",
    "outputs alone": "outputs alone: integer inputs may choose what is read, and this operator is not known here",
}


def _headline(found: Profile) -> str:
    if found.latency_us is None:
        return f"{found.status}" + ("" if found.stage is None else f" at {found.stage}")
    above = "" if found.above_floor is None else f", {1 + found.above_floor:.2f}x the floor of {us(found.objective_floor_us)} us"
    return f"{us(found.latency_us)} us over {len(found.workloads)} workloads{above} (timer {found.timer})"


def _ceilings(found: Profile) -> str:
    ceilings = found.ceilings
    peaks = ", ".join(f"{peak.operations_per_s / 1e12:.4g} {peak.unit.split('_')[1]}" for peak in ceilings.peaks)
    launch = "no launch" if ceilings.launch_us == 0 else f"launch {ceilings.launch_us:.2f} us"
    return f"{ceilings.source}: {ceilings.bandwidth / 1e9:,.0f} GB/s; {peaks} TFLOP/s; {launch} ({printable(ceilings.details)})"


def _table(found: Profile) -> Iterator[str]:
    rows: list[tuple[str, RegimeShare | WorkloadShare]] = [(row.regime, row) for row in found.regimes]
    if len(found.workloads) <= MOST_ROWS:
        rows += [(" ".join(f"{axis}={value}" for axis, value in row.axes.items()), row) for row in found.workloads]
    width = max(len("regime"), *(len(name) for name, _ in rows))
    yield f"{'regime':<{width}}  {'latency us':>10}  {'floor us':>9}  {'above it':>8}  {'bandwidth':>9}  {'compute':>8}  bound by"
    for name, row in rows:
        yield (
            f"{name:<{width}}  {_cell(row.latency_us):>10}  {us(row.floor_us):>9}  {_times(row.above_floor):>8}  "
            f"{_percent(row.bandwidth_share):>9}  {_percent(row.compute_share):>8}  {row.binds}"
        )
    if len(found.workloads) > MOST_ROWS:
        yield f"({len(found.workloads)} workloads; --json has each)"


def _cell(value: float | None) -> str:
    return "-" if value is None else us(value)


def _times(value: float | None) -> str:
    return "-" if value is None else f"{1 + value:.2f}x"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"
