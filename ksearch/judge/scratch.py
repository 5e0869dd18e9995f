"""Folders of runners: made for one, removed with it, and swept up after a judge that was killed."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path

DYING_S = 2.0
SCRATCH_PREFIX = "ksearch-scratch-"


def new_scratch() -> Path:
    """A folder for one runner, in one for this process: what a killed judge leaves can be told from what is in use."""
    parent = Path(tempfile.gettempdir()) / f"{SCRATCH_PREFIX}{os.getpid()}"
    parent.mkdir(mode=0o700, exist_ok=True)
    return Path(tempfile.mkdtemp(dir=parent))


def drop_scratch(pid: int | None = None) -> None:
    """This process's folder when it is done, or that of a judge that was killed. Its runners die with it, which takes a moment."""
    remove(Path(tempfile.gettempdir()) / f"{SCRATCH_PREFIX}{os.getpid() if pid is None else pid}")


def remove(folder: Path) -> None:
    """With all that is in it, while processes that were killed may still be writing there."""
    deadline = time.monotonic() + DYING_S
    while folder.exists() and time.monotonic() < deadline:
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(0.01 if folder.exists() else 0)


def sweep_scratch() -> None:
    """Remove what judges that were killed left behind, and nothing of a live process or another user."""
    for folder in Path(tempfile.gettempdir()).glob(f"{SCRATCH_PREFIX}*"):
        owner = folder.name.removeprefix(SCRATCH_PREFIX)
        if owner.isdigit() and not Path(f"/proc/{owner}").exists() and folder.lstat().st_uid == os.getuid():
            shutil.rmtree(folder, ignore_errors=True)
