"""`ksearch inspect`: the program on a terminal, or what it shows as JSON."""

from __future__ import annotations

import sys
from pathlib import Path

from ksearch.errors import BadInput
from ksearch.store.log import EventLog
from ksearch.store.runs import default_runs_dir, find_run


def inspect_run(run: str, runs_dir: Path | None, *, node: int | None, beliefs: bool, as_json: bool) -> int:
    """Returns the exit code. Raises BadInput for what isn't a run, and without a terminal."""
    paths = find_run(run, default_runs_dir(runs_dir))
    if as_json:
        _print_json(paths.folder, node, beliefs)
        return 0
    if node is not None or beliefs:
        raise BadInput("--node and --beliefs go with --json; the program shows every node")
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise BadInput("inspect: needs a terminal; `ksearch tree` prints the tree, `ksearch explain` one node, --json what it would show")
    EventLog.open_reader(paths.database).close()  # what is no run is refused before the screen is taken
    from ksearch.inspector.app import Inspector

    app = Inspector(paths.folder)
    app.run()
    return app.return_code or 0


def _print_json(folder: Path, node: int | None, beliefs: bool) -> None:
    from ksearch.inspector.looks import beliefs_before, look_at
    from ksearch.inspector.rows import head_of
    from ksearch.records.reading import StoredRun
    from ksearch.report.text import ascii_json
    from ksearch.store.journal import no_collections

    if beliefs and node is None:
        raise BadInput("--beliefs needs --node: whose moment is meant")
    with no_collections(), StoredRun.open(str(folder)) as opened:
        head = head_of(opened)
        answer = head if node is None else beliefs_before(opened, node) if beliefs else look_at(opened, node)
    print(ascii_json(answer.model_dump_json()))  # noqa: T201
