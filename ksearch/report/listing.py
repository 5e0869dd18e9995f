"""`ksearch runs`: stored runs, newest first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypedDict

from pydantic import ValidationError

from ksearch.report.text import us
from ksearch.store.errors import StoreError
from ksearch.store.fold import RunState
from ksearch.store.journal import read_state
from ksearch.store.log import EventLog
from ksearch.store.runs import RunEntry, default_runs_dir, list_runs


class Row(TypedDict):
    run: str
    definition: str
    device: str
    status: str
    evaluations: int
    latency_us: float | None
    speedup: float | None
    folder: str


def print_runs(runs_dir: Path | None, *, as_json: bool) -> None:
    folder = default_runs_dir(runs_dir)
    rows = [row_of(entry) for entry in reversed(list_runs(folder))]
    if as_json:
        print(json.dumps({"runs": rows}))  # noqa: T201
        return
    if not rows:
        print(f"no runs in {folder}")  # noqa: T201
    for row in rows:
        best = f"{us(row['latency_us'])} us, {row['speedup']:.2f}x" if row["latency_us"] and row["speedup"] else "no incumbent"
        print(f"{row['run']:<44} {row['status']:<13} {row['evaluations']:>5} evaluations  {row['device']:<7} {best}")  # noqa: T201


def row_of(entry: RunEntry) -> Row:
    try:
        with EventLog.open_reader(entry.paths.database) as log:
            return _of(read_state(log), entry)
    except (StoreError, ValidationError) as error:
        return Row(
            run=entry.paths.name, definition="?", device="?", status=f"unreadable: {error}", evaluations=0,
            latency_us=None, speedup=None, folder=str(entry.paths.folder),
        )  # fmt: skip


def _of(state: RunState, entry: RunEntry) -> Row:
    best = state.incumbent
    return Row(
        run=state.header.run, definition=state.header.definition_name, device=state.header.device, status=status_of(state, entry),
        evaluations=state.evaluations, latency_us=None if best is None else best.latency_us,
        speedup=None if best is None else best.baseline_us / best.latency_us, folder=str(entry.paths.folder),
    )  # fmt: skip


def status_of(state: RunState, entry: RunEntry) -> str:
    """The logged ending; without one, whether a process still holds the run."""
    if state.ended is not None:
        return state.ended.status
    return "running" if entry.writer is not None else "stopped"
