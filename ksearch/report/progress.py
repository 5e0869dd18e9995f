"""A search as it happens: a live view on a terminal, plain lines otherwise. All of it goes to stderr."""

from __future__ import annotations

import sys
import time
from collections import deque
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from ksearch.report.text import us
from ksearch.store.events import (
    BoundsKnown,
    BudgetBlocked,
    EvaluationLost,
    EvaluationSettled,
    Event,
    ForecastMade,
    IncumbentChanged,
    KnowledgeRecalled,
    ModelCallSettled,
    NothingWritten,
    PlanningFailed,
    PlanRefuted,
    RequestAnswered,
    RootSettled,
    TicketSettled,
)
from ksearch.store.fold import RunState
from ksearch.store.forecasts import shown
from ksearch.store.runs import RunPaths

if TYPE_CHECKING:
    from rich.console import RenderableType

BASELINE_MOVE = 0.03
"""Relative move of the baseline between openings that is worth a word."""


class View(Protocol):
    def observe(self, event: Event, state: RunState) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...


def progress_view(state: RunState, notes: tuple[str, ...], paths: RunPaths, *, live: bool, resumed: bool) -> View:
    verb = "resuming" if resumed else "run"
    print("\n".join((f"{verb:<11} {state.header.run}  ({paths.folder})", *notes)), file=sys.stderr, flush=True)  # noqa: T201
    return LiveView(state) if live else PlainView(state)


class PlainView:
    """One line for each event that a person would want to know."""

    def __init__(self, state: RunState) -> None:
        self.began = time.monotonic()
        self.first_baseline = _known_baseline(state)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        return None

    def observe(self, event: Event, state: RunState) -> None:
        text = describe(event, state)
        if text is not None:
            self.emit(text)
        if isinstance(event, EvaluationSettled) and event.kind == "promote" and event.baseline_us is not None:
            self._compare_baseline(event.baseline_us)

    def emit(self, text: str) -> None:
        print(f"{time.monotonic() - self.began:7.1f}s  {text}", file=sys.stderr, flush=True)  # noqa: T201

    def _compare_baseline(self, baseline_us: float) -> None:
        """A baseline that moved between sittings says that the machine is not the same as before."""
        if self.first_baseline is not None and abs(baseline_us / self.first_baseline - 1) > BASELINE_MOVE:
            self.emit(f"the baseline now takes {us(baseline_us)} us, {us(self.first_baseline)} us before this sitting")
        self.first_baseline = None


class LiveView(PlainView):
    """Budgets as bars, the incumbent, the last verdicts; redrawn in place."""

    def __init__(self, state: RunState) -> None:
        from rich.console import Console
        from rich.live import Live

        super().__init__(state)
        self.state, self.lines = state, deque[str](maxlen=12)
        self.live = Live(self.render(), console=Console(stderr=True), refresh_per_second=4, transient=True, get_renderable=self.render)

    def __enter__(self) -> Self:
        self.live.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.live.__exit__(kind, error, trace)

    def emit(self, text: str) -> None:
        self.lines.append(f"{time.monotonic() - self.began:7.1f}s  {text}")

    def render(self) -> RenderableType:
        from rich.console import Group
        from rich.text import Text

        return Group(*(Text(line, overflow="ellipsis", no_wrap=True) for line in (*self._head(), "", *self.lines)))

    def _head(self) -> list[str]:
        state, seconds = self.state, self.state.wall_seconds + time.time() - (self.state.last_time or time.time())
        limits = state.settings.budget
        rows = [bar("evaluations", state.evaluations, limits.max_evaluations), bar("seconds", seconds, limits.max_time_s)]
        if limits.max_gpu_seconds is not None:
            rows.append(bar("GPU-seconds", float(state.ledger.spent.gpu_seconds), limits.max_gpu_seconds))
        if limits.max_usd is not None:
            rows.append(bar("US cents", float(state.ledger.spent.usd) * 100, limits.max_usd * 100))
        rows.append(f"incumbent    {incumbent_text(state)}")
        if state.tree is not None:
            rows.append(f"in flight    {', '.join(_in_flight(state)) or 'nothing'}")
        return rows


def bar(name: str, spent: float, limit: float | None, width: int = 30) -> str:
    if limit is None:
        return f"{name:<12} {spent:.0f}"
    filled = width if limit <= 0 else min(width, round(width * spent / limit))
    return f"{name:<12} {'█' * filled}{'·' * (width - filled)} {spent:.0f} of {limit:g}"


def incumbent_text(state: RunState) -> str:
    best = state.incumbent
    if best is None:
        return "none yet"
    return f"{us(best.latency_us)} us, {best.baseline_us / best.latency_us:.2f}x over the baseline"


def _in_flight(state: RunState) -> list[str]:
    return [ticket.plan[-1].key if ticket.plan else "root" for ticket in state.open_tickets.values()]


def describe(event: Event, state: RunState) -> str | None:
    """One line on an event, None when it isn't worth one."""
    match event:
        case EvaluationSettled():
            return _describe_verdict(event, state)
        case EvaluationLost():
            return f"#{event.candidate} {event.kind}: no answer ({event.reason}); tried again"
        case IncumbentChanged():
            return f"#{event.candidate} is the incumbent: {incumbent_text(state)}"
        case PlanRefuted():
            fallen = len(event.nodes) - 1
            more = f", and {fallen} plans with its code or built on it" if fallen else ""
            return f"#{event.candidate} passed its evaluation and fails in full at {event.stage}: its plan counts as failed{more}"
        case BoundsKnown():
            return f"floor {us(event.floor_us)} us over the full set, bound by {event.binds}: what the hardware allows ({event.source})"
        case KnowledgeRecalled() if event.techniques or event.lessons:
            return f"told of earlier runs: {len(event.techniques)} techniques, {len(event.lessons)} lessons"
        case RootSettled():
            return f"root settled at {event.reward:+.3f} ln over the baseline; the search begins"
        case NothingWritten():
            return f"ticket {event.ticket}: nothing to write ({event.reason})"
        case PlanningFailed():
            return f"ticket {event.ticket}: no proposals ({event.reason})"
        case BudgetBlocked():
            return f"no further model call: {event.reason}"
        case ModelCallSettled(error=str(error)):
            return f"model call {event.call}: {error}"
        case RequestAnswered():
            return f"{event.origin} asks: {event.request}: {event.outcome}" + ("" if event.reason is None else f" ({event.reason})")
        case ForecastMade():
            return _describe_forecast(event, state)
        case TicketSettled(outcome="skipped"):
            return f"ticket {event.ticket}: skipped ({event.reason})"
        case _:
            return None


def _describe_forecast(event: ForecastMade, state: RunState) -> str | None:
    """Only where it decides something: without trust a forecast is for the record."""
    said = shown(state.surrogate, event.candidate)
    if said is None or event.m <= 1.0:
        return None
    audit = ", an audit: measured whatever is said" if event.audit else ""
    return f"#{event.candidate} forecast {said['reward']:+.3f} ± {said['sigma']:.3f} ln, {said['p_passes']:.0%} to pass{audit}"


def _describe_verdict(event: EvaluationSettled, state: RunState) -> str:
    step = _last_step(event.candidate, state)
    count = f"[{state.evaluations}]"
    if event.latency_us is None or event.baseline_us is None:
        return f"{count} #{event.candidate} {step}: {event.status} at {event.stage}: {event.message}"
    speed = f"{us(event.latency_us)} us ({event.baseline_us / event.latency_us:.2f}x)"
    if event.kind == "evaluate":
        return f"{count} #{event.candidate} {step}: {speed}, subset"
    standing = "promoted" if event.promoted else "full set" if event.paired_gain is None else "not promoted"
    gain = "" if event.paired_gain is None else f", {event.paired_gain:+.3f} ln against the incumbent"
    return f"{count} #{event.candidate} {step}: {speed}, {standing}{gain}"


def _last_step(candidate: int, state: RunState) -> str:
    written = state.candidates[candidate].written
    if state.tree is None or written.ticket is None:
        return f"{written.origin} root ({written.language})"
    plan = state.tree.plan(state.open_tickets[written.ticket].node) if written.ticket in state.open_tickets else ()
    return plan[-1].key if plan else written.name


def _known_baseline(state: RunState) -> float | None:
    known = [c.verdicts["promote"].baseline_us for c in state.candidates.values() if "promote" in c.verdicts]
    return next((value for value in reversed(known) if value is not None), None)
