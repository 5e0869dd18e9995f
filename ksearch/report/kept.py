"""What a command printed of a long run, kept for the next time: derived from the log alone, and may be deleted.

It lies in the user's own cache folder, never beside the run: a run may be read-only, or come from a stranger, whose word
for what the log says isn't taken. Nothing but text is read back. An answer is kept under everything it follows from: the
question, the run's file and how far its log goes, and the program.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import TypeAlias

import ksearch
from ksearch.judge.cache import cache_root
from ksearch.store.log import EventLog, program_version

Lines: TypeAlias = list[list[tuple[str, str]]]
"""Lines of pieces of text, each with its style."""

WORTH_KEEPING = 5_000
"""Events of a log below which asking again is quick."""

MOST_KEPT = 32
MOST_BYTES = 16 * 2**20
PROGRAM_PARTS = ("report", "store", "store/events", "tree", "surrogates", "worldmodel")
"""Packages that what is printed depends on: with another state of their files nothing kept counts."""


class Kept:
    """The answer to one question on one run as it stands now."""

    def __init__(self, log: EventLog, question: object) -> None:
        self.worth = log.last_seq >= WORTH_KEEPING
        status = log.path.stat()
        run = (str(log.path.resolve()), status.st_ino, status.st_size, status.st_mtime_ns, log.last_seq, log.meta.created)
        name = hashlib.sha256(json.dumps([question, run, _program()], default=str).encode("utf-8", "surrogatepass")).hexdigest()
        self.path = cache_root() / "views" / f"{name}.json"

    def read(self) -> Lines | None:
        """None when nothing is kept, or nothing that makes sense."""
        if not self.worth:
            return None
        try:
            lines = json.loads(self.path.read_text("utf-8", "surrogatepass"))
            return [[(str(text), str(style)) for text, style in line] for line in lines] if isinstance(lines, list) else None
        except (OSError, ValueError, TypeError):
            return None

    def keep(self, lines: Lines) -> None:
        """Where the cache can't be written, the next one asks again."""
        text = json.dumps(lines)
        if not self.worth or len(text) > MOST_BYTES:
            return
        with contextlib.suppress(OSError):
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle, staged = tempfile.mkstemp(dir=self.path.parent, prefix=".new-")
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            Path(staged).replace(self.path)
            _drop_old(self.path.parent)


def _program() -> list[object]:
    root = Path(ksearch.__file__).parent
    times = [entry.stat().st_mtime_ns for part in PROGRAM_PARTS for entry in os.scandir(root / part) if entry.name.endswith(".py")]
    return [program_version(), len(times), max(times)]


def _drop_old(folder: Path) -> None:
    kept = sorted(folder.iterdir(), key=lambda entry: entry.stat().st_mtime)
    for old in kept[:-MOST_KEPT]:
        old.unlink(missing_ok=True)
