"""Taking things out of a run: a node's kernel as FlashInfer Solution JSON or a folder, the whole log as JSON lines."""

from __future__ import annotations

import sys
from pathlib import Path

from ksearch.definitions.schema import Solution
from ksearch.definitions.solutions import save_folder
from ksearch.errors import BadInput
from ksearch.store.fold import CandidateState, RunState
from ksearch.store.journal import read_state
from ksearch.store.jsonl import export_jsonl, import_jsonl
from ksearch.store.log import EventLog
from ksearch.store.runs import default_runs_dir, find_run

FORMATS = ("solution", "dir", "jsonl")


def export_run(run: str, runs_dir: Path | None, *, form: str, node: int | None, output: Path | None) -> None:
    """Raises BadInput for an unknown format, node or missing output."""
    if form not in FORMATS:
        raise BadInput(f"--format {form}: one of {', '.join(FORMATS)}")
    if output is None and form != "solution":
        raise BadInput(f"--format {form}: say where with --output")
    paths = find_run(run, default_runs_dir(runs_dir))
    with EventLog.open_reader(paths.database) as log:
        if form == "jsonl":
            assert output is not None
            with output.open("wb") as file:
                export_jsonl(log, file)
            return
        solution = _solution(log, read_state(log), node)
    _write(solution, form, output)


def _solution(log: EventLog, state: RunState, node: int | None) -> Solution:
    candidate = _candidate(state, node)
    return Solution.model_validate_json(log.get_blob(candidate.written.solution))


def _candidate(state: RunState, node: int | None) -> CandidateState:
    if node is None:
        best = state.incumbent_candidate
        if best is None:
            raise BadInput(f"run {state.header.run}: has no incumbent; name a node with --node")
        return best
    if not state.candidates_of(node):
        raise BadInput(f"run {state.header.run}: node {node} has no candidate; `ksearch tree {state.header.run}` lists the nodes")
    return state.best_candidate_of(node) or state.candidates_of(node)[-1]


def _write(solution: Solution, form: str, output: Path | None) -> None:
    text = solution.model_dump_json(indent=2) + "\n"
    if output is None:
        sys.stdout.write(text)
    elif form == "dir":
        save_folder(solution, output)
    else:
        output.write_text(text, "utf-8")


def import_run(file: Path, runs_dir: Path | None) -> str:
    """Bring an exported run in; returns its folder. Raises BadInput for anything but a whole, sound export."""
    if not file.is_file():
        raise BadInput(f"{file}: no such file")
    with file.open("rb") as stream:
        paths = import_jsonl(stream, default_runs_dir(runs_dir))
    return str(paths.folder)
