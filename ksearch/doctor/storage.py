"""The two places on disk that a search reads and writes: a dataset, and the folder of its runs."""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from ksearch.definitions.schema import Definition, SafetensorsInput, Solution, Workload
from ksearch.doctor.checks import Check, Probe, Status

Model = TypeVar("Model", bound=BaseModel)

DATASET = "dataset"
RUNS = "runs folder"
DATASET_SECONDS = 120.0
"""Longest reading of a dataset: the largest public one has some thousand files."""

NETWORK_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "lustre", "gpfs", "beegfs", "ceph", "afs", "9p", "pvfs2"}
    | {"fuse.sshfs", "fuse.gcsfuse", "fuse.s3fs"}
)
"""Where SQLite's write-ahead log is unsafe: it needs memory shared by all readers, so all on one host (sqlite.org/wal.html)."""


class Malformed(Exception):
    """A file of the dataset doesn't hold what its place says; the message names the file and the first fault."""


@dataclass(slots=True)
class Counts:
    definitions: int = 0
    workloads: int = 0
    solutions: int = 0

    def __str__(self) -> str:
        return f"{self.definitions} definitions, {self.workloads} workloads, {self.solutions} solutions"


def dataset(root: Path) -> list[Check]:
    """Read all of a FlashInfer-Trace folder; traces aside, which a search doesn't need."""
    if not (root / "definitions").is_dir():
        advice = "a dataset is a folder with definitions/, workloads/ and solutions/, as FlashInfer-Trace has them"
        return [Check(DATASET, Status.ERROR, f"{root} has no definitions/ folder" if root.is_dir() else f"{root} is no folder", advice)]
    counts = Counts()
    try:
        _read(root, counts)
    except Malformed as error:
        return [Check(DATASET, Status.ERROR, f"{error} (before it: {counts})", "correct or remove that file")]
    if not counts.definitions:
        return [Check(DATASET, Status.ERROR, f"{root} holds no definition", "definitions are JSON files under definitions/")]
    return [Check(DATASET, Status.OK, f"{root}: {counts}")]


def _read(root: Path, counts: Counts) -> None:
    """Count what is well formed, in place, so that the counts so far survive the first Malformed."""
    for where, value in _documents(root, "definitions", "*.json"):
        parse(Definition, value, where)
        counts.definitions += 1
    for where, value in _documents(root, "workloads", "*.jsonl"):
        workload = parse(Workload, value.get("workload") if isinstance(value, dict) else None, where)
        for spec in workload.inputs.values():
            if isinstance(spec, SafetensorsInput) and not (root / spec.path).is_file():
                raise Malformed(f"{where}: its tensors {spec.path} are not there")
        counts.workloads += 1
    for where, value in _documents(root, "solutions", "*.json"):
        parse(Solution, value, where)
        counts.solutions += 1


def parse(model: type[Model], value: object, where: str) -> Model:
    """A field object, or Malformed with its first fault."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise Malformed(f"{where}: {'.'.join(map(str, first['loc'])) or model.__name__}: {first['msg']}") from error


def _documents(root: Path, folder: str, pattern: str) -> Iterator[tuple[str, object]]:
    """Each JSON document below a folder with the place to name in an error: one a file, or one a line of a .jsonl file."""
    for path in sorted((root / folder).rglob(pattern)):
        name = str(path.relative_to(root))
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise Malformed(f"{name}: {error}") from error
        parts = [(f"{name}:{number}", line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
        for where, part in parts if path.suffix == ".jsonl" else [(name, text)]:
            try:
                yield where, json.loads(part)
            except json.JSONDecodeError as error:
                raise Malformed(f"{where}: not JSON: {error}") from error


def runs_folder(wanted: Path) -> list[Check]:
    """Whether a run could be stored there: really write, lock and open a database, and leave nothing behind."""
    place = next(folder for folder in (wanted, *wanted.parents) if folder.exists())
    kind = file_system(place)
    value = f"{wanted} ({kind})" + ("" if place == wanted else ", made by the first run")
    if kind in NETWORK_FILE_SYSTEMS:
        return [Check(RUNS, Status.ERROR, value, f"SQLite's write-ahead log is unsafe on {kind}: give a local folder with --runs-dir")]
    try:
        with tempfile.TemporaryDirectory(prefix=".ksearch-doctor-", dir=place) as scratch:
            fault = _lock_fault(Path(scratch) / "lock") or _wal_fault(Path(scratch) / "run.db")
    except (OSError, sqlite3.Error) as error:
        fault = f"can't be written: {error}"
    if fault:
        return [Check(RUNS, Status.ERROR, f"{value}: {fault}", "give a local, writable folder with --runs-dir or KSEARCH_RUNS")]
    return [Check(RUNS, Status.OK, value)]


def _lock_fault(path: Path) -> str | None:
    """A second lock on the same file must be refused, or two writers of one run could not be told apart."""
    with path.open("w") as first, path.open("w") as second:
        fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return None
    return "its file system doesn't hold locks"


def _wal_fault(path: Path) -> str | None:
    """A reader must see a write while the writer still has the database open."""
    writer, reader = sqlite3.connect(path), sqlite3.connect(path)
    try:
        (mode,) = writer.execute("PRAGMA journal_mode=WAL").fetchone()
        if mode != "wal":
            return f"SQLite's write-ahead log is not available there (journal mode {mode})"
        with writer:
            writer.execute("CREATE TABLE probe AS SELECT 1 AS one")
        return None if reader.execute("SELECT one FROM probe").fetchone() == (1,) else "a reader doesn't see what was written"
    finally:
        reader.close()
        writer.close()


def file_system(place: Path, mounts: Path = Path("/proc/self/mountinfo")) -> str:
    """Type of the file system that holds a path, by the longest mount point above it; "unknown file system" off Linux."""
    if not mounts.exists():
        return "unknown file system"
    target, best, kind = place.resolve(), -1, "unknown file system"
    for line in mounts.read_text().splitlines():
        before, _, after = line.partition(" - ")
        point = Path(before.split()[4].encode().decode("unicode_escape"))
        if target.is_relative_to(point) and len(point.parts) >= best:  # a later mount on the same point hides the earlier
            best, kind = len(point.parts), after.split()[0]
    return kind


def default_runs_folder() -> Path:
    return Path(os.environ.get("KSEARCH_RUNS") or "runs")


def probes(dataset_root: Path | None, runs_dir: Path | None) -> tuple[Probe, ...]:
    """The runs folder always; a dataset only when one is named, since the bundled definitions are tested with the package."""
    wanted = (runs_dir or default_runs_folder()).expanduser().absolute()
    store = Probe((RUNS,), lambda: runs_folder(wanted))
    if dataset_root is None:
        return (store,)
    root = dataset_root.expanduser().absolute()
    return (store, Probe((DATASET,), lambda: dataset(root), seconds=DATASET_SECONDS))
