"""What a run came to: for a person a table, for a script one JSON object."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from ksearch.evaluators.places import price_note
from ksearch.judge.verdict import Verdict
from ksearch.llm.spending import spent_on
from ksearch.report.text import us
from ksearch.settings import BudgetSettings
from ksearch.store.events import BoundsKnown, RunEnded
from ksearch.store.fold import RunState
from ksearch.store.log import EventLog

if TYPE_CHECKING:
    from ksearch.prepare import Setup


class _Out(BaseModel):
    model_config = ConfigDict(frozen=True)


class Resource(_Out):
    """One budget: `limit` None is no limit."""

    limit: float | None
    spent: float
    reserved: float


class Incumbent(_Out):
    """`latency_us` is the weighted mean over the full workload set; `speedup` the baseline's over it."""

    latency_us: float
    speedup: float
    solution: str


class Waiting(_Out):
    """Measured faster than the incumbent on the subset of workloads, and not judged in full before the run stopped."""

    candidate: int
    latency_us: float
    speedup: float


class Cost(_Out):
    """Tokens: `input_tokens` were not read from a provider's cache, `cached_tokens` were; a lost call counts whole as input."""

    usd: float
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    gpu_seconds: float
    wall_seconds: float


class RegimeRow(_Out):
    """Latency of one regime, in microseconds: weighted means over its workloads."""

    regime: str
    workloads: int
    baseline_us: float
    incumbent_us: float
    floor_us: float | None = None
    """What the hardware allows at the least; None where that is not known."""
    binds: str | None = None
    """What the floor comes from: memory, compute or launch."""


class RunSummary(_Out):
    """The contract of `ksearch run --json`."""

    run: str
    definition: str
    device: str
    device_name: str
    timer: str | None
    status: str
    reason: str
    evaluations: int
    baseline_us: float | None
    incumbent: Incumbent | None
    waiting: Waiting | None
    regimes: tuple[RegimeRow, ...]
    floor_us: float | None = None
    """Over the full set, by its weights; None where the device's ceilings are not known."""
    floor_source: str | None = None
    """measured or datasheet: how the ceilings are known that the floor rests on."""
    budget: dict[str, Resource]
    cost: Cost


def summarise(state: RunState, log: EventLog, ending: RunEnded, solution: Path | None) -> RunSummary:
    best, verdict = state.incumbent, _promotion_verdict(state, log)
    status = ending.status
    if best is None and status in ("done", "budget"):
        status = "no_candidate"
    incumbent = None
    if best is not None and solution is not None:
        incumbent = Incumbent(latency_us=best.latency_us, speedup=best.baseline_us / best.latency_us, solution=str(solution))
    budget, models = _budget(state), spent_on(state.calls.values())
    return RunSummary(
        run=state.header.run,
        definition=state.header.definition_name,
        device=state.header.device,
        device_name=state.header.device_name,
        timer=None if verdict is None else verdict.timer,
        status=status,
        reason=ending.reason,
        evaluations=state.evaluations,
        baseline_us=_baseline(state),
        incumbent=incumbent,
        waiting=_waiting(state),
        regimes=() if verdict is None else tuple(_regimes(verdict, state.bounds)),
        floor_us=None if state.bounds is None else state.bounds.floor_us,
        floor_source=None if state.bounds is None else state.bounds.source,
        budget=budget,
        cost=Cost(
            usd=budget["usd"].spent,
            input_tokens=models.usage.input + models.usage.written + models.unseen,
            cached_tokens=models.usage.cached,
            output_tokens=models.usage.output,
            gpu_seconds=budget["gpu_seconds"].spent, wall_seconds=round(state.wall_seconds, 3),
        ),
    )  # fmt: skip


def _waiting(state: RunState) -> Waiting | None:
    contender = state.promotions.contender
    answer = None if contender is None else state.candidates[contender.candidate].verdicts["evaluate"]
    if contender is None or answer is None or answer.latency_us is None or answer.baseline_us is None:
        return None
    return Waiting(candidate=contender.candidate, latency_us=answer.latency_us, speedup=answer.baseline_us / answer.latency_us)


def _baseline(state: RunState) -> float | None:
    """The baseline over the full set, timed beside the incumbent, else beside the latest kernel that passed everything."""
    if state.incumbent is not None:
        return state.incumbent.baseline_us
    full = [c.verdicts["promote"].baseline_us for c in state.candidates.values() if "promote" in c.verdicts]
    return next((value for value in reversed(full) if value is not None), None)


def _promotion_verdict(state: RunState, log: EventLog) -> Verdict | None:
    best = state.incumbent_candidate
    return None if best is None else Verdict.model_validate_json(log.get_blob(best.verdicts["promote"].verdict))


def _budget(state: RunState) -> dict[str, Resource]:
    ledger = state.ledger
    names = {"evaluations": "evaluations", "gpu_seconds": "gpu_seconds", "usd": "usd", "tokens": "tokens"}
    rows = {
        name: Resource(
            limit=_number(getattr(ledger.limits, key)),
            spent=float(getattr(ledger.spent, key)),
            reserved=float(getattr(ledger.reserved, key)),
        )
        for name, key in names.items()
    }
    rows["wall_seconds"] = Resource(limit=state.settings.budget.max_time_s, spent=round(state.wall_seconds, 3), reserved=0.0)
    return rows


def _number(value: object) -> float | None:
    return None if value is None else float(str(value))


def _regimes(verdict: Verdict, bounds: BoundsKnown | None) -> Iterable[RegimeRow]:
    groups: dict[str, list[tuple[float, float, float]]] = {}
    for row in verdict.workloads:
        if row.latency_us is not None and row.baseline_us is not None:
            groups.setdefault(row.regime, []).append((row.weight, row.baseline_us, row.latency_us))
    floors = {} if bounds is None else {row.regime: row for row in bounds.regimes}
    for regime, rows in groups.items():
        floor = floors.get(regime)
        yield RegimeRow(
            regime=regime, workloads=len(rows), baseline_us=_mean(rows, 1), incumbent_us=_mean(rows, 2),
            floor_us=None if floor is None else floor.floor_us, binds=None if floor is None else floor.binds,
        )  # fmt: skip


def _mean(rows: Sequence[tuple[float, float, float]], column: int) -> float:
    return sum(row[0] * row[column] for row in rows) / sum(row[0] for row in rows)


def print_summary(summary: RunSummary, as_json: bool) -> None:
    if as_json:
        print(summary.model_dump_json())  # noqa: T201
        return
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    console.print(f"\n[bold]{summary.definition}[/] on {summary.device_name}: {summary.status} ({summary.reason})")
    if summary.incumbent is None:
        unjudged = " yet" if summary.waiting is not None else ""
        console.print(f"No candidate passed every check{unjudged}: there is no kernel to take away.")
    else:
        _print_incumbent(summary, summary.incumbent, console)
    if summary.waiting is not None:
        faster = f"{us(summary.waiting.latency_us)} us ({summary.waiting.speedup:.2f}x) on the subset of workloads"
        console.print(f"waiting   #{summary.waiting.candidate}: {faster}; `ksearch resume` judges it in full")
    cost = summary.cost
    console.print(
        f"cost      {summary.evaluations} evaluations, {cost.gpu_seconds:.0f} GPU-seconds, {cost.wall_seconds:.0f} s, "
        f"{cost.usd:.2f} US dollars{_tokens(cost)}"
    )
    console.print(f"tree      ksearch tree {summary.run}")
    if summary.status in ("interrupted", "budget", "error", "no_candidate"):
        more = " --set budget.max_evaluations=N" if summary.status in ("budget", "no_candidate") else ""
        console.print(f"go on     ksearch resume {summary.run}{more}")


def _tokens(cost: Cost) -> str:
    read = cost.input_tokens + cost.cached_tokens
    if not read + cost.output_tokens:
        return ""
    share = f" ({cost.cached_tokens / read:.0%} from the cache)" if read else ""
    return f", {read:,} tokens in{share}, {cost.output_tokens:,} out"


def _print_incumbent(summary: RunSummary, incumbent: Incumbent, console: object) -> None:
    from rich.console import Console
    from rich.table import Table

    assert isinstance(console, Console)
    assert summary.baseline_us is not None
    table = Table(title=f"latency in us, promoted on the full set, timer {summary.timer}", title_justify="left", box=None, pad_edge=False)
    floor = () if summary.floor_us is None else ("floor", "above it", "bound by")
    for heading in ("regime", "workloads", "baseline", "incumbent", "speed-up", *floor):
        table.add_column(heading, justify="left" if heading == "regime" else "right")
    for row in summary.regimes:
        table.add_row(
            row.regime, str(row.workloads), us(row.baseline_us), us(row.incumbent_us), f"{row.baseline_us / row.incumbent_us:.2f}x",
            *_against_floor(row.incumbent_us, row.floor_us, row.binds),
        )  # fmt: skip
    count = str(sum(row.workloads for row in summary.regimes))
    last = _against_floor(incumbent.latency_us, summary.floor_us, "")
    table.add_row("all", count, us(summary.baseline_us), us(incumbent.latency_us), f"{incumbent.speedup:.2f}x", *last)
    console.print(table)
    if summary.floor_us is not None:
        console.print(f"floor     the least that the hardware allows, ceilings {summary.floor_source}: ksearch profile --run {summary.run}")
    console.print(f"solution  {incumbent.solution}", style=None)


def _against_floor(latency_us: float, floor_us: float | None, binds: str | None) -> tuple[str, ...]:
    """Cells of a row: the floor, the latency over it, what binds there."""
    return () if floor_us is None else (us(floor_us), f"{latency_us / floor_us:.2f}x", binds or "")


def _model_cost(budget: BudgetSettings, asks_models: bool) -> str:
    if not asks_models:
        return "0 US dollars, 0 tokens (the playbook asks no model)"
    limits = [f"{budget.max_usd:g} US dollars"] if budget.max_usd is not None else []
    limits += [f"{budget.max_tokens:,} tokens"] if budget.max_tokens is not None else []
    return "up to " + " and ".join(limits)


def print_dry_run(setup: Setup, as_json: bool) -> None:
    """What a run would use, and the most it may cost."""
    settings = setup.settings
    if as_json:
        import json

        value = {
            "settings": settings.model_dump(mode="json"), "device": setup.device.spec, "device_name": setup.device.name,
            "languages": setup.target.languages, "family": setup.family_name, "workloads": len(setup.full), "subset": len(setup.subset),
            "cost": {
                "usd": settings.budget.max_usd if setup.asks_models or price_note(settings) is not None else 0.0,
                "tokens": settings.budget.max_tokens if setup.asks_models else 0,
                "max_evaluations": settings.budget.max_evaluations, "max_wall_seconds": settings.budget.max_time_s,
            },
        }  # fmt: skip
        print(json.dumps(value))  # noqa: T201
        return
    for note in setup.notes:
        print(note)  # noqa: T201
    evaluations, seconds = settings.budget.max_evaluations, settings.budget.max_time_s
    most = f"{evaluations} evaluations" if evaluations is not None else "no limit on evaluations"
    longest = f"{seconds:g} s" if seconds is not None else "no time limit"
    print(f"cost        {_model_cost(settings.budget, setup.asks_models)}; at most {most}, {longest}")  # noqa: T201
    print("dry run: nothing was written", file=sys.stderr)  # noqa: T201
