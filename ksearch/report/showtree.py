"""`ksearch tree`: prints the tree, of a long run that hasn't changed from what was printed before."""

from __future__ import annotations

import atexit
import gc
import sys
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ksearch.report.kept import Kept, Lines
from ksearch.report.text import wants_colour
from ksearch.store.log import EventLog
from ksearch.store.runs import default_runs_dir, find_run

if TYPE_CHECKING:
    from ksearch.store.fold import RunState


@dataclass(frozen=True)
class TreeQuestion:
    """What the command line asked for, as it was given."""

    depth: int | None = None
    top: int | None = None
    best_path: bool = False
    statuses: Sequence[str] = ()
    techniques: Sequence[str] = ()
    regimes: Sequence[str] = ()
    rows: int = 200
    as_json: bool = False


def print_tree(run: str, runs_dir: Path | None, asked: TreeQuestion) -> None:
    """Raises BadInput for what can't be shown."""
    with EventLog.open_reader(find_run(run, default_runs_dir(runs_dir)).database) as log:
        kept = Kept(log, ("tree", astuple(asked)))
        lines = kept.read()
        if lines is None:
            lines = _made(log, asked)
            kept.keep(lines)
    _print(lines)


def keep_tree(database: Path, state: RunState) -> None:
    """At the end of a long search, what `ksearch tree` will be asked first: the state is at hand now."""
    from ksearch.report.treeselect import TreeOptions
    from ksearch.report.treeview import tree_lines

    with EventLog.open_reader(database) as log:
        kept = Kept(log, ("tree", astuple(TreeQuestion())))
        if kept.worth:
            kept.keep(list(tree_lines(state, TreeOptions(), rows=TreeQuestion().rows)))


def _made(log: EventLog, asked: TreeQuestion) -> Lines:
    from ksearch.report.treeselect import options_of
    from ksearch.report.treeview import tree_lines
    from ksearch.store.journal import no_collections, read_state

    options = options_of(asked.depth, asked.top, asked.best_path, asked.statuses, asked.techniques, asked.regimes)
    atexit.register(gc.freeze)  # else a large tree is searched for cycles once more, only to end the process
    with no_collections():
        state = read_state(log, books=False)
        if asked.as_json:
            from ksearch.report.text import ascii_json
            from ksearch.report.treerecords import tree_document

            return [[(ascii_json(tree_document(state, options).model_dump_json()), "")]]
        return list(tree_lines(state, options, rows=asked.rows))


def _print(lines: Iterable[Sequence[tuple[str, str]]]) -> None:
    if not wants_colour():
        sys.stdout.write("".join("".join(text for text, _ in line) + "\n" for line in lines))
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(force_terminal=True, highlight=False)
    for line in lines:
        console.print(Text.assemble(*line, no_wrap=True, overflow="ellipsis"))
