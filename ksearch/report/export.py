"""Taking things out of a run: a kernel, its verdicts, its tree, its tables, the whole log."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from ksearch.definitions.schema import Solution
from ksearch.definitions.solutions import save_folder
from ksearch.errors import BadInput
from ksearch.records.model import CandidateRecord, RunRecord
from ksearch.records.reading import StoredRun, node_of
from ksearch.records.rows import candidate_rows, node_rows
from ksearch.report.tables import csv_text, dot_text, graphml_text
from ksearch.report.text import ascii_json
from ksearch.report.traces import traces_of
from ksearch.store.jsonl import export_jsonl, import_jsonl
from ksearch.store.log import EventLog
from ksearch.store.runs import default_runs_dir, find_run

KERNELS = ("solution", "dir")
"""Formats that hold one kernel, and so take --node."""

FOLDERS = ("dir", "csv")
BINARY = "jsonl"


def _traces(run: StoredRun, record: RunRecord) -> str:
    return "".join(trace.model_dump_json(exclude_none=True) + "\n" for trace in traces_of(run, record))


TEXTS: Mapping[str, Callable[[StoredRun, RunRecord], str]] = {
    "trace": _traces,
    "graphml": lambda run, record: graphml_text(record),
    "dot": lambda run, record: dot_text(record),
    "json": lambda run, record: record.model_dump_json() + "\n",
}
"""Formats that are one text."""

FORMATS = (*KERNELS, *TEXTS, "csv", BINARY)


def export_run(run: str, runs_dir: Path | None, *, form: str, node: int | None, output: Path | None) -> None:
    """Raises BadInput for an unknown format or node, or a missing output."""
    if form not in FORMATS:
        raise BadInput(f"--format {form}: one of {', '.join(FORMATS)}")
    if node is not None and form not in KERNELS:
        raise BadInput(f"--node goes with --format {' or '.join(KERNELS)}; {form} holds every node")
    if output is None and form in (*FOLDERS, BINARY):
        raise BadInput(f"--format {form}: say where with --output")
    if form == BINARY and output is not None:
        _export_log(run, runs_dir, output)
        return
    with StoredRun.open(run, runs_dir) as opened:
        record = opened.record()
        if form in KERNELS:
            _write_kernel(opened.solution(_candidate(record, node)), form, output)
        elif form == "csv" and output is not None:
            _write_tables(record, output)
        else:
            _write_text(TEXTS[form](opened, record), output)


def _export_log(run: str, runs_dir: Path | None, output: Path) -> None:
    paths = find_run(run, default_runs_dir(runs_dir))
    with EventLog.open_reader(paths.database) as log, output.open("wb") as file:
        export_jsonl(log, file)


def _candidate(record: RunRecord, node: int | None) -> CandidateRecord:
    if node is None:
        if record.incumbent is None:
            raise BadInput(f"run {record.run}: has no incumbent; name a node with --node")
        return record.candidates[record.incumbent.candidate]
    shown = record.nodes[node_of(record, node)].shown
    if shown is None:
        raise BadInput(f"run {record.run}: node {node} has no candidate; `ksearch tree {record.run}` lists the nodes")
    return record.candidates[shown]


def _write_kernel(solution: Solution, form: str, output: Path | None) -> None:
    if form == "dir" and output is not None:
        save_folder(solution, output)
    else:
        _write_text(solution.model_dump_json(indent=2) + "\n", output)


def _write_tables(record: RunRecord, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in {"nodes": node_rows(record), "candidates": candidate_rows(record)}.items():
        (folder / f"{name}.csv").write_text(csv_text(rows), "utf-8", newline="")


def _write_text(text: str, output: Path | None) -> None:
    """To a terminal goes no byte beyond printable ASCII from JSON; files hold the text as it is."""
    if output is not None:
        output.write_text(text, "utf-8")
    else:
        sys.stdout.write(ascii_json(text) if text.startswith("{") else text)


def import_run(file: Path, runs_dir: Path | None) -> str:
    """Bring an exported run in; returns its folder. Raises BadInput for anything but a whole, sound export."""
    if not file.is_file():
        raise BadInput(f"{file}: no such file")
    with file.open("rb") as stream:
        paths = import_jsonl(stream, default_runs_dir(runs_dir))
    return str(paths.folder)
