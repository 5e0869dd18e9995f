"""`ksearch report`: the page as a file, or what it is made from as JSON."""

from __future__ import annotations

import json
import os
from pathlib import Path

from ksearch.errors import BadInput
from ksearch.records.reading import StoredRun, node_of
from ksearch.report.page.data import page_data, page_of
from ksearch.report.page.details import candidate_detail, candidate_details
from ksearch.report.page.packing import plain_json
from ksearch.report.page.render import render_page
from ksearch.store.journal import no_collections
from ksearch.store.runs import default_runs_dir, find_run


def write_report(run: str, runs_dir: Path | None, output: Path | None) -> Path:
    """Writes the file (by default NAME.html here) whole or not at all. Raises BadInput when it can't be written."""
    folder = find_run(run, default_runs_dir(runs_dir)).folder.resolve()  # its name, since the one in the log may be anything, a path too
    file = Path(f"{folder.name}.html") if output is None else output
    with no_collections(), StoredRun.open(str(folder)) as stored:
        record = stored.record()
        page = render_page(page_of(stored, record), candidate_details(stored, record))
    try:
        _write(file, page)
    except OSError as error:
        raise BadInput(f"-o {file}: {error.strerror or error}; name a file in a folder that exists and can be written") from error
    return file


def _write(file: Path, page: str) -> None:
    part = file.with_name(f".{file.name}.part")
    try:
        part.write_text(page, "utf-8")
        os.replace(part, file)
    finally:
        part.unlink(missing_ok=True)


def report_json(run: str, runs_dir: Path | None, node: int | None) -> str:
    """`PageData`; with a node the list of `CandidateDetail` of its candidates. ASCII: a terminal takes it as text."""
    with StoredRun.open(run, runs_dir) as stored:
        if node is None:
            return json.dumps(plain_json(page_data(stored)), allow_nan=False)
        record = stored.record()
        chosen = record.nodes[node_of(record, node)].candidates
        return json.dumps([plain_json(candidate_detail(stored, record, record.candidates[id])) for id in chosen], allow_nan=False)
