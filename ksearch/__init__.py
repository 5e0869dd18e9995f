"""ksearch: a search engine for GPU kernels.

`load_run` opens a stored run for notebooks and scripts; everything else is reached through the `ksearch` command.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from ksearch.records.reading import StoredRun

__all__ = ["load_run"]


def load_run(run: str | Path, runs_dir: Path | None = None) -> StoredRun:
    """A stored run, by path or name. Imports what it needs when called: `import ksearch` itself costs nothing."""
    from ksearch.records.reading import StoredRun

    return StoredRun.open(str(run), runs_dir)
