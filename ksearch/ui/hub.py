"""The runs that a server shows: one, or all of a folder. A name from a request is looked up among them, never made a path."""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path

from ksearch.report.listing import Row, row_of
from ksearch.store.errors import BadRunName
from ksearch.store.runs import RunEntry, RunPaths, check_name, list_runs
from ksearch.ui.feed import Feed

OPEN_FEEDS = 8
"""Runs kept open: each holds its folded state in memory."""


class Hub:
    """Thread-safe. `only` is the run to show; without it, every run of `runs_dir`, new ones too."""

    def __init__(self, runs_dir: Path, only: RunPaths | None) -> None:
        self._runs_dir, self.only = runs_dir, only
        self._feeds: OrderedDict[str, Feed] = OrderedDict()
        self._rows: dict[Path, tuple[object, Row]] = {}
        self._guard = threading.Lock()

    @property
    def home(self) -> str | None:
        """The one run's name; None when there are many to choose from."""
        return None if self.only is None else _name(self.only)

    def feed(self, name: str) -> Feed | None:
        """None for a name that is none of these runs."""
        paths = self._paths(name)
        if paths is None:
            return None
        with self._guard:
            if name not in self._feeds:
                self._feeds[name] = Feed(paths)
                if len(self._feeds) > OPEN_FEEDS:
                    self._feeds.popitem(last=False)[1].close()
            self._feeds.move_to_end(name)
            return self._feeds[name]

    def rows(self) -> list[Row]:
        """All runs with their standing, newest first; a run that didn't change isn't read again."""
        entries = [] if self.only is not None else list_runs(self._runs_dir)
        return [self._row(entry) for entry in reversed(entries)]

    def close(self) -> None:
        with self._guard:
            for feed in self._feeds.values():
                feed.close()
            self._feeds.clear()

    def _paths(self, name: str) -> RunPaths | None:
        if self.only is not None:
            return self.only if name == _name(self.only) else None
        found = (entry.paths for entry in list_runs(self._runs_dir) if entry.paths.name == name)
        return next(found, None)

    def _row(self, entry: RunEntry) -> Row:
        mark = (_stamp(entry.paths.database), _stamp(entry.paths.database.with_name("run.sqlite-wal")), entry.writer, entry.problem)
        with self._guard:
            known = self._rows.get(entry.paths.folder)
        if known is not None and known[0] == mark:
            return known[1]
        row = row_of(entry)
        with self._guard:
            self._rows[entry.paths.folder] = (mark, row)
        return row


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_size, status.st_mtime_ns


def _name(paths: RunPaths) -> str:
    """A run given by path may lie in a folder whose name can't be a run's."""
    try:
        return check_name(paths.name)
    except BadRunName:
        return "run"
