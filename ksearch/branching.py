"""Running again from a moment of a stored run: a new log that begins with that prefix of the old one.

The prefix is copied event by event with its times and blobs, so the new run's state at its beginning is the old run's at
that moment, its spending included: the limits are totals, as on resume. What was in flight then is taken up as a resume
would: an unanswered evaluation runs again, a ticket with nothing written is written for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ksearch.errors import BadInput
from ksearch.settings import BudgetSettings, Overlay, Settings, resolve
from ksearch.store.events import (
    ArmOpenedEvent,
    BudgetChanged,
    Event,
    IncumbentChanged,
    NodePinned,
    Origin,
    RootSettled,
    RunCreated,
    TicketIssued,
    TicketSettled,
    parse_event,
)
from ksearch.store.fold import BrokenLog, RunState
from ksearch.store.journal import Journal
from ksearch.store.log import EventLog, EventRow, StoredEvent
from ksearch.tree import IllegalChange
from ksearch.tree.types import ROOT

FIXED = (
    "definition", "dataset", "start", "baseline", "workloads", "objective", "device", "languages", "allow_libraries", "evaluator", "modal",
)  # fmt: skip
"""Settings that what was measured rests on: with another value it would be another search."""

FREE_EVALUATION = ("parallel", "fake_delay_s")
"""How many are in flight and how fast the fake judge answers: the only settings of `evaluation` that change no number."""

_POINT = re.compile(r"(?P<run>.+?)(?:@(?P<seq>[0-9]+)|#(?P<node>[0-9]+))?", re.DOTALL)
_DIGEST = re.compile(r"\b[0-9a-f]{64}\b")


@dataclass(frozen=True)
class Point:
    """A moment of a run: after event `seq`, or when `node` was proven (opened, if it never was); neither: now."""

    run: str
    seq: int | None = None
    node: int | None = None

    @classmethod
    def parse(cls, text: str) -> Point:
        """RUN, RUN@SEQ or RUN#NODE."""
        match = _POINT.fullmatch(text)
        if match is None:
            raise BadInput("--from: give RUN, RUN@SEQ or RUN#NODE")
        seq, node = match["seq"], match["node"]
        return cls(match["run"], None if seq is None else int(seq), None if node is None else int(node))


@dataclass(frozen=True)
class Branch:
    """A prefix that a run can begin with. `state` is its fold under the new settings; `header` names the new run."""

    origin: Origin
    prefix: tuple[StoredEvent, ...]
    added: tuple[Event, ...]
    state: RunState

    @property
    def note(self) -> str:
        best = self.state.incumbent
        found = "no incumbent" if best is None else f"incumbent {best.latency_us:,.4g} us"
        return f"from        {self.origin.run}@{self.origin.seq}: {self.state.evaluations} evaluations, {found}; limits are totals"


def branch_at(log: EventLog, point: Point, overlay: Overlay) -> Branch:
    """Cut the log and fold the prefix under the settings as changed by `overlay`.

    Raises BadInput for a moment that isn't there, a setting that must not change, or a budget that is spent already.
    """
    events = [(stored, parse_event(stored.payload)) for stored in log.events()]
    if not events or not isinstance(events[0][1], RunCreated):
        raise BrokenLog("the log does not begin with run_created")
    header = events[0][1]
    seq = _last_event(header.run, [event for _, event in events], point)
    prefix = events[:seq]
    then = Settings.model_validate_json(log.get_blob(header.settings))
    state = _fold(header, _changed(then, _without_budget(overlay)), prefix[1:])
    added = tuple(_added(state, overlay, point.node))
    for event in added:
        state.apply(event, prefix[-1][0].time)
    _refuse_spent(state)
    return Branch(Origin(run=header.run, seq=seq), tuple(stored for stored, _ in prefix), added, state)


def plant(branch: Branch, source: EventLog, log: EventLog) -> Journal:
    """Write the prefix into a new, empty log, in one transaction, and open its journal."""
    settings = branch.state.settings.model_copy(update={"budget": _budget_at_first(source, branch)})
    blob = settings.model_dump_json().encode("utf-8", "surrogatepass")
    header = branch.state.header.model_copy(
        update={"run": log.run_id, "settings": log.put_blob(blob), "seed": settings.seed, "branched": branch.origin}
    )
    first, last = branch.prefix[0], branch.prefix[-1]
    rows = [
        EventRow(header.type, header.model_dump_json(), first.time),
        *(EventRow(stored.type, stored.payload, stored.time) for stored in branch.prefix[1:]),
        *(EventRow(event.type, event.model_dump_json(), last.time) for event in branch.added),
    ]
    log.append(rows, durable=True, blobs=[source.get_blob(digest) for digest in _blobs_named(branch, source)])
    return Journal.reopen(log)


def _last_event(run: str, events: list[Event], point: Point) -> int:
    if point.node is not None:
        return _event_of_node(run, events, point.node)
    seq = len(events) if point.seq is None else point.seq
    if not 1 <= seq <= len(events):
        raise BadInput(f"--from: run {run} has events 1 to {len(events)}, none of number {seq}")
    return seq


def _event_of_node(run: str, events: list[Event], node: int) -> int:
    opened, tickets = None, set[int]()
    for seq, event in enumerate(events, 1):
        match event:
            case RootSettled() if node == ROOT:
                crowned = seq < len(events) and isinstance(events[seq], IncumbentChanged)
                return seq + int(crowned)
            case ArmOpenedEvent() if event.node == node:
                opened = seq
            case TicketIssued() if event.node == node:
                tickets.add(event.ticket)
            case TicketSettled(outcome="measured") if event.ticket in tickets:
                return seq
            case _:
                pass
    if opened is None:
        raise BadInput(f"--from: run {run} has no node {node}; `ksearch tree {run}` lists them")
    return opened


def _fold(header: RunCreated, settings: Settings, events: list[tuple[StoredEvent, Event]]) -> RunState:
    state = RunState.begin(header, settings)
    try:
        for stored, event in events:
            state.apply(event, stored.time)
    except IllegalChange as error:
        raise BadInput(f"--from: policy {settings.policy} can't go on with the tree of run {header.run}: {error}") from error
    return state


def _changed(then: Settings, overlay: Overlay) -> Settings:
    now = resolve([then.model_dump(mode="python"), overlay])
    wrong = [name for name in FIXED if getattr(now, name) != getattr(then, name)]
    free = {name: getattr(then.evaluation, name) for name in FREE_EVALUATION}
    if now.evaluation.model_copy(update=free) != then.evaluation:
        wrong.append(f"evaluation (beside {' and '.join(FREE_EVALUATION)})")
    if wrong:
        raise BadInput(f"--from: {wrong[0]} can't change, what the old run measured rests on it; start a new run without --from")
    return now


def _without_budget(overlay: Overlay) -> Overlay:
    return {name: value for name, value in overlay.items() if name != "budget"}


def _added(state: RunState, overlay: Overlay, node: int | None) -> Iterator[Event]:
    """What the new run does before its first step: its limits, and a pin where the user pointed."""
    budget = resolve([state.settings.model_dump(mode="python"), {"budget": overlay.get("budget", {})}]).budget
    if budget != state.settings.budget:
        yield BudgetChanged(budget=budget)
    if node is not None and node != ROOT and state.tree is not None and node not in state.tree.pins:
        yield NodePinned(node=node)


def _refuse_spent(state: RunState) -> None:
    spent: list[str] = list(state.ledger.exhausted_resources())
    limit = state.settings.budget.max_time_s
    if limit is not None and state.wall_seconds >= limit:
        spent.append("seconds")
    if spent:
        names = ", ".join(spent)
        raise BadInput(f"--from: at that moment the run's limit of {names} was spent; raise it (limits are totals, the prefix included)")


def _budget_at_first(source: EventLog, branch: Branch) -> BudgetSettings:
    """The old run's limits when it began: changes made since stand in the prefix as events."""
    return Settings.model_validate_json(source.get_blob(branch.state.header.settings)).budget


def _blobs_named(branch: Branch, source: EventLog) -> list[str]:
    """Whatever in the payloads is the name of a stored blob, whichever field it stands in."""
    named = {digest for stored in branch.prefix for digest in _DIGEST.findall(stored.payload)}
    return sorted(named.intersection(source.blobs()))
