"""Where runs live, what they are called and how one is found."""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ksearch.store.creation import lock_path
from ksearch.store.errors import BadRunName, StoreError, UnknownRun
from ksearch.store.lock import Holder, writer_of
from ksearch.store.log import EventLog

LATEST = "latest"
_DATABASE = "run.sqlite"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_SHOWN = 3


@dataclass(frozen=True)
class RunPaths:
    """The places of one run: `folder` is <runs-dir>/<run id>."""

    folder: Path

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def database(self) -> Path:
        return self.folder / _DATABASE

    @property
    def lock(self) -> Path:
        return lock_path(self.database)


@dataclass(frozen=True)
class RunEntry:
    """One row of a listing. `created` is in seconds since the epoch, None when the log can't be read, and `problem` then says why."""

    paths: RunPaths
    created: float | None
    problem: str | None
    writer: Holder | None


def new_run_id(definition: str, now: datetime, token: str) -> str:
    """An id that sorts by time and reads well: 20261121-093000-dsa_topk-7f3a. `now` must know its time zone; the id is in UTC."""
    if now.tzinfo is None:
        raise ValueError("a run's time needs a time zone")
    subject = re.sub(r"[^A-Za-z0-9_.]+", "-", definition).strip("-.")[:60] or "run"
    return check_name(f"{now.astimezone(UTC):%Y%m%d-%H%M%S}-{subject}-{token}")


def check_name(name: str) -> str:
    """The name, if it can be a run's; raises BadRunName."""
    if name == LATEST:
        raise BadRunName(f"{LATEST!r} means the run created last; choose another --name")
    if not _NAME.fullmatch(name):
        raise BadRunName(f"{name[:99]!r} can't name a run: at most 100 letters, digits, dots, dashes, underscores, a letter or digit first")
    return name


def default_runs_dir(option: Path | None = None, *, cwd: Path | None = None, environ: Mapping[str, str] = os.environ) -> Path:
    """--runs-dir, else KSEARCH_RUNS, else runs/ of the ksearch checkout around the working folder, else ./runs."""
    if option is not None:
        return option.expanduser()
    if environ.get("KSEARCH_RUNS"):
        return Path(environ["KSEARCH_RUNS"]).expanduser()
    here = cwd or Path.cwd()
    checkout = next((folder for folder in (here, *here.parents) if _is_checkout(folder)), here)
    return checkout / "runs"


def list_runs(runs_dir: Path) -> list[RunEntry]:
    """All runs of a folder, oldest first, damaged ones before them; a folder that isn't there holds none."""
    entries = [_entry(RunPaths(folder)) for folder in _run_folders(runs_dir)]
    return sorted(entries, key=lambda entry: (entry.created or 0.0, entry.paths.name))


def find_run(wanted: str, runs_dir: Path) -> RunPaths:
    """The run of that name, unique beginning of a name, or path (its folder or its run.sqlite); `latest` is the one created last.

    Raises UnknownRun, which suggests what may have been meant.
    """
    folders = _run_folders(runs_dir)
    if wanted == LATEST:
        return _latest(runs_dir)
    if paths := _by_path(wanted, runs_dir):
        return paths
    starting = [folder for folder in folders if wanted and folder.name.startswith(wanted)]
    if len(starting) == 1:
        return RunPaths(starting[0])
    if starting:
        raise UnknownRun(f"{wanted!r} is the beginning of {len(starting)} runs: {_some([folder.name for folder in starting])}")
    raise UnknownRun(_unknown(wanted, runs_dir, [folder.name for folder in folders]))


def _by_path(wanted: str, runs_dir: Path) -> RunPaths | None:
    """A name in the runs folder goes before a path from the working folder."""
    if not wanted:
        return None
    for candidate in (runs_dir / wanted, Path(wanted).expanduser()):
        folder = candidate.parent if candidate.name == _DATABASE else candidate
        if (folder / _DATABASE).is_file():
            return RunPaths(folder)
    return None


def _latest(runs_dir: Path) -> RunPaths:
    readable = [entry for entry in list_runs(runs_dir) if entry.created is not None]
    if not readable:
        raise UnknownRun(f"there are no runs in {runs_dir}; --runs-dir names another folder")
    return readable[-1].paths


def _unknown(wanted: str, runs_dir: Path, names: Sequence[str]) -> str:
    if not names:
        return f"unknown run {wanted!r}: there are no runs in {runs_dir}; --runs-dir names another folder"
    near = difflib.get_close_matches(wanted, names, _SHOWN, cutoff=0.4) or [name for name in names if wanted and wanted in name]
    hint = f"did you mean {_some(near)}?" if near else "`ksearch runs` lists them"
    return f"unknown run {wanted!r} in {runs_dir}; {hint}"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")


def _run_folders(runs_dir: Path) -> list[Path]:
    """By name; folders with a leading dot are unfinished imports."""
    if not runs_dir.is_dir():
        return []
    return sorted(folder for folder in runs_dir.iterdir() if not folder.name.startswith(".") and (folder / _DATABASE).is_file())


def _entry(paths: RunPaths) -> RunEntry:
    try:
        with EventLog.open_reader(paths.database) as log:
            return RunEntry(paths, log.meta.created, None, writer_of(paths.lock))
    except StoreError as error:
        return RunEntry(paths, None, str(error), writer_of(paths.lock))


def _is_checkout(folder: Path) -> bool:
    project = folder / "pyproject.toml"
    if not project.is_file():
        return False
    try:
        return bool(tomllib.loads(project.read_text(encoding="utf-8")).get("project", {}).get("name") == "ksearch-kernels")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        return False  # somebody else's broken project is not our checkout
