"""Where compiled artefacts are kept: one read-only folder for each key, moved there by the trusted side in one step."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

ARTEFACT = "kernel.so"
REPORT = "report.json"
MAX_ARTEFACT_BYTES = 512 * 2**20


def cache_root() -> Path:
    """KSEARCH_CACHE, else ksearch below XDG_CACHE_HOME or ~/.cache."""
    if given := os.environ.get("KSEARCH_CACHE"):
        return Path(given).absolute()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "ksearch"


class ArtefactStore:
    """Artefacts by key. Safe for several processes: entries appear whole, and are never changed."""

    def __init__(self, root: Path) -> None:
        self.root = root / "artefacts"

    @staticmethod
    def key(*parts: object) -> str:
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def find(self, key: str) -> tuple[Path | None, dict[str, object]] | None:
        """(artefact, or None of a build that failed; report), or None when the key was never built."""
        folder = self.root / key[:2] / key
        try:
            report = json.loads((folder / REPORT).read_text())
        except (OSError, ValueError):
            return None
        artefact = folder / ARTEFACT
        return (artefact if artefact.exists() else None), report

    def keep(self, key: str, built: Path | None, report: Mapping[str, object]) -> Path | None:
        """Move a build in. What the sandbox left must be a plain file of a sane size; raises ValueError otherwise."""
        parent = self.root / key[:2]
        parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(dir=parent, prefix=".new-"))
        if built is not None:
            _copy_plain(built, staging / ARTEFACT)
        (staging / REPORT).write_text(json.dumps(report))
        final = parent / key
        try:
            staging.rename(final)
        except OSError:  # another process was first: its entry is as good
            shutil.rmtree(staging)
        return final / ARTEFACT if built is not None else None


def _copy_plain(source: Path, target: Path) -> None:
    descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as content:
        status = os.fstat(content.fileno())
        if not os.path.isfile(f"/proc/self/fd/{content.fileno()}") or status.st_size > MAX_ARTEFACT_BYTES:
            raise ValueError(f"the build left no plain file, or one over {MAX_ARTEFACT_BYTES} bytes")
        with target.open("wb") as copy:
            shutil.copyfileobj(content, copy)
    target.chmod(0o444)
