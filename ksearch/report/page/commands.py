"""Commands that check, take away or repeat what a run found. Every word is quoted: names come from the run's file."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping

from ksearch.records.model import RunRecord
from ksearch.report.page.model import Command
from ksearch.settings import load_overlay, resolve


def commands_of(record: RunRecord) -> tuple[Command, ...]:
    run = record.run
    lines = {
        "Judge the incumbent afresh and see by how much it moved": ("verify", "--run", run),
        "Take the incumbent as Solution JSON": ("export", run, "-o", "incumbent.json"),
        "Take its sources as a folder": ("export", run, "--format", "dir", "-o", "incumbent"),
        "Take any node's kernel (here the starting one)": ("export", run, "--node", "0"),
        "Go on with this run, with a greater budget": ("resume", run, "--set", "budget.max_evaluations=N"),
        "Search again with the same settings": ("run", *_run_arguments(record.settings)),
        "Pass the whole run on": ("export", run, "--format", "jsonl", "-o", "run.jsonl"),
    }
    return tuple(Command(purpose=purpose, command=shlex.join(["ksearch", *words])) for purpose, words in lines.items())


def _run_arguments(settings: Mapping[str, object]) -> Iterator[str]:
    """Only what differs from what `ksearch run` would use by itself: the default preset."""
    yield from ("--definition", str(settings.get("definition")))
    usual = dict(_flat(resolve([load_overlay("default"), {"definition": ""}]).model_dump(mode="json")))
    for name, value in _flat(settings):
        if name != "definition" and value != usual.get(name):
            yield from ("--set", f"{name}={json.dumps(value)}")


def _flat(settings: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
