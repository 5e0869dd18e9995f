"""Asking something of a run from outside: refused at once when it can't be meant, else left in its inbox."""

from __future__ import annotations

import difflib
import time
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from ksearch.errors import BadInput
from ksearch.steering import changed_budget
from ksearch.store.fold import RunState
from ksearch.store.inbox import put_request, request_of
from ksearch.store.journal import read_state
from ksearch.store.lock import writer_of
from ksearch.store.log import EventLog, InboxRow
from ksearch.store.requests import REQUEST, Ban, Budget, Pin, Request, Stop, Unban, Unpin
from ksearch.store.runs import RunPaths, default_runs_dir, find_run

POLL_SECONDS = 0.05


class RequestStatus(BaseModel):
    """A request to a run and what became of it. `asked_at` in seconds since the epoch; `reason` says why it was refused."""

    model_config = ConfigDict(frozen=True)

    run: str
    number: int
    asked_at: float
    origin: str
    request: Request
    outcome: Literal["waiting", "done", "refused"]
    reason: str | None
    note: str | None = None
    """What whoever asks may want to know: a ban that fits no idea so far."""


def ask(run: str, request: Request, runs_dir: Path | None, *, wait_s: float, origin: str = "cli") -> RequestStatus:
    """Leave the request, and wait so long for its answer while a search is there to give one. Raises BadInput, StoreError."""
    paths = find_run(run, default_runs_dir(runs_dir))
    with EventLog.open_reader(paths.database) as log:
        note = check(read_state(log, books=False), request)
    return submit(paths, request, origin=origin, wait_s=wait_s).model_copy(update={"note": note})


def submit(paths: RunPaths, request: Request, *, origin: str, wait_s: float) -> RequestStatus:
    """As `ask`, of a request that was checked."""
    if isinstance(request, Stop) and writer_of(paths.lock) is None:
        raise BadInput(f"run {paths.name}: nobody is searching in it, so there is nothing to stop")
    number = put_request(paths.database, request, origin)
    deadline = time.monotonic() + wait_s
    while True:
        row = request_of(paths.database, number)
        assert row is not None
        if row.outcome is not None or time.monotonic() >= deadline or writer_of(paths.lock) is None:
            return status_of(paths, row)
        time.sleep(POLL_SECONDS)


def requests_of(run: str, runs_dir: Path | None) -> list[RequestStatus]:
    """Everything asked of a run, in the order it came."""
    paths = find_run(run, default_runs_dir(runs_dir))
    with EventLog.open_reader(paths.database) as log:
        return [status_of(paths, row) for row in log.inbox()]


def status_of(paths: RunPaths, row: InboxRow) -> RequestStatus:
    return RequestStatus(
        run=paths.name, number=row.number, asked_at=row.time, origin=row.origin, request=REQUEST.validate_json(row.request),
        outcome=row.outcome or "waiting", reason=row.reason,
    )  # fmt: skip


def check(state: RunState, request: Request) -> str | None:
    """Raise BadInput for what could never be met, so that it is not left to wait; a note on what is odd."""
    match request:
        case Pin(node=node) | Unpin(node=node):
            size = 0 if state.tree is None else len(state.tree)
            if not 0 < node < size:
                known = f"it has nodes 1 to {size - 1}" if size > 1 else "it has none beside the root yet"
                raise BadInput(f"run {state.header.run}: there is no node {node} to search at; {known}; `ksearch tree` lists them")
        case Budget(limits=limits):
            changed_budget(state.settings, limits)
        case Ban(idea=idea):
            return _unfamiliar(state, idea)
        case Unban() | Stop():
            pass
    return None


def _unfamiliar(state: RunState, idea: str) -> str | None:
    views = () if state.tree is None else tuple(state.tree.nodes())
    actions = [view.action for view in views if view.action is not None] + [entry.action for view in views for entry in view.queued]
    known = {name for action in actions for name in (action.technique, action.key)}
    known |= {name for action in actions for part in action.parts for name in (part.technique, part.key)}
    if idea in known or not known:
        return None
    near = difflib.get_close_matches(idea, sorted(known), n=1)
    return f"no idea of this run is called {idea!r} so far" + (f"; did you mean {near[0]!r}?" if near else "")
