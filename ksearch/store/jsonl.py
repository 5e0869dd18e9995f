"""A run as JSON lines: for sharing, for version control, and to look at with a text editor.

First a header, then the events in order, then the blobs by digest, then an end line with the counts and the sha256 of all
lines before it, so that a cut or altered file is known as such. Payloads stand in the lines as JSON, byte for byte as they
are stored; the few that contain a line break stand as a string instead.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from ksearch.store.errors import BadEvent, BadExport, BadRunName, RunExists, RunsDirError, SecretRefused
from ksearch.store.log import EventLog, EventRow, RunMeta, StoredEvent, digest_of
from ksearch.store.runs import RunPaths, check_name

FORMAT = "ksearch-run"
VERSION = 1
_BATCH = 1000
MAX_LINE_BYTES = 64 * 2**20
"""Over what a run writes: its longest texts are logs and sources of a few megabytes."""

T = TypeVar("T")


def export_jsonl(log: EventLog, file: BinaryIO) -> None:
    """Write the run to a file open for bytes. A run that is being written is exported as it stands when its end is reached."""
    digest = hashlib.sha256()
    counts = {"event": 0, "blob": 0}
    for kind, line in _lines(log):
        digest.update(line)
        file.write(line)
        if kind in counts:
            counts[kind] += 1
    end = {"events": counts["event"], "blobs": counts["blob"], "sha256": digest.hexdigest()}
    file.write(_dump({"end": end}))


def import_jsonl(file: BinaryIO, runs_dir: Path) -> RunPaths:
    """Make the run that the file holds, under its own id, in `runs_dir`.

    The run appears whole or not at all. Raises BadExport (naming the line), RunExists, RunsDirError, SecretRefused.
    """
    reader = _Reader(file)
    meta = reader.header()
    target = RunPaths(runs_dir / meta.run_id)
    if target.folder.exists():
        raise RunExists(f"{target.folder} exists already; import into another --runs-dir")
    partial = RunPaths(runs_dir / f".import-{meta.run_id}-{secrets.token_hex(4)}")
    try:
        with EventLog.create(partial.database, meta) as log:
            reader.fill(log)
        partial.lock.unlink()
        _publish(partial.folder, target.folder)
    except BaseException:
        shutil.rmtree(partial.folder, ignore_errors=True)
        raise
    return target


@dataclass
class _Reader:
    """Reads an export line by line; remembers where it is and the digest of what it has read."""

    file: BinaryIO
    number: int = 0
    events: int = 0
    blobs: int = 0

    def __post_init__(self) -> None:
        self._digest = hashlib.sha256()
        self._last_blob = ""

    def header(self) -> RunMeta:
        data = self._object(self._line())
        if data.get("format") != FORMAT:
            raise self._bad(f"not an exported run (format {data.get('format')!r})")
        if data.get("version") != VERSION:
            raise self._bad(f"export version {data.get('version')!r}, this program reads {VERSION}; upgrade ksearch")
        try:
            return RunMeta(check_name(self._get(data, "run", str)), self._get(data, "created", float), self._get(data, "program", str))
        except BadRunName as error:
            raise self._bad(str(error)) from error

    def fill(self, log: EventLog) -> None:
        """Store everything up to the end line. Durable at the end only: an import that dies is made again."""
        rows: list[EventRow] = []
        while (line := self._line()) is not None:
            data = self._object(line)
            if "end" in data:
                self._store(log, rows, [], durable=True)
                return self._check_end(data)
            if "blob" in data:
                self._store(log, rows, [self._blob(data)], durable=False)
                rows = []
            else:
                rows.append(self._event(data, line))
            if len(rows) == _BATCH:
                self._store(log, rows, [], durable=False)
                rows = []
        raise self._bad("the file ends here without its end line: it was cut off")

    def _store(self, log: EventLog, rows: list[EventRow], blobs: list[bytes], *, durable: bool) -> None:
        try:
            log.append(rows, durable=durable, blobs=blobs)
        except (BadEvent, SecretRefused) as error:
            raise type(error)(f"at or before line {self.number}: {error}") from error

    def _event(self, data: dict[str, Any], line: bytes) -> EventRow:
        if self.blobs:
            raise self._bad("an event after the blobs")
        seq, time, kind = self._get(data, "seq", int), self._get(data, "time", float), self._get(data, "type", str)
        self.events += 1
        if seq != self.events:
            raise self._bad(f"event {seq} where event {self.events} is due")
        event = StoredEvent(seq, time, kind, self._payload(data, line))
        if _event_line(event) != line:
            raise self._bad("an event that is not written as exports write it")
        return EventRow(kind, event.payload, time)

    def _payload(self, data: dict[str, Any], line: bytes) -> str:
        """The payload's own text: parsing and printing it again would lose how numbers and strings were written."""
        if "payload" in data:
            _, marker, rest = line.decode().partition(_PAYLOAD)
            if not marker:
                raise self._bad("an event that is not written as exports write it")
            return rest[:-2]
        text = self._get(data, "payload_text", str)
        try:
            json.loads(text)
        except ValueError as error:
            raise self._bad(f"payload is not JSON: {error}") from error
        return text

    def _blob(self, data: dict[str, Any]) -> bytes:
        digest = self._get(data, "blob", str)
        if digest <= self._last_blob:
            raise self._bad("blobs out of order")
        content = self._content(data)
        if digest_of(content) != digest:
            raise self._bad(f"blob {digest} has another digest: its bytes were altered")
        self.blobs, self._last_blob = self.blobs + 1, digest
        return content

    def _content(self, data: dict[str, Any]) -> bytes:
        try:
            if "text" in data:
                return self._get(data, "text", str).encode()
            return base64.b64decode(self._get(data, "base64", str), validate=True)
        except (binascii.Error, UnicodeEncodeError) as error:
            raise self._bad(f"blob can't be decoded: {error}") from error

    def _check_end(self, data: dict[str, Any]) -> None:
        """The end line's own bytes are not under the digest, so it is taken before they are added."""
        told = self._get(data, "end", dict)
        if told != {"events": self.events, "blobs": self.blobs, "sha256": self._before}:
            raise self._bad("counts or sha256 don't match: lines were altered, added or lost")
        if self.file.read(1):
            raise self._bad("text after the end line")

    def _line(self) -> bytes | None:
        """The next line with its line feed; None at the end of the file."""
        line = self.file.readline(MAX_LINE_BYTES)
        self._before = self._digest.hexdigest()
        if not line:
            return None
        self.number += 1
        if len(line) == MAX_LINE_BYTES:
            raise self._bad(f"a line of over {MAX_LINE_BYTES} bytes")
        if not line.endswith(b"\n"):
            raise self._bad("the file ends in the middle of a line: it was cut off")
        self._digest.update(line)
        return line

    def _object(self, line: bytes | None) -> dict[str, Any]:
        if line is None:
            raise self._bad("the file is empty")
        try:
            data = json.loads(line.decode())
        except (ValueError, RecursionError) as error:
            raise self._bad(f"not a line of JSON: {error}") from error
        if not isinstance(data, dict):
            raise self._bad("not a JSON object")
        return data

    def _get(self, data: dict[str, Any], key: str, kind: type[T]) -> T:
        value = data.get(key)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise self._bad(f"{key!r} is missing or no {kind.__name__}")
        return value

    def _bad(self, why: str) -> BadExport:
        return BadExport(f"line {max(self.number, 1)}: {why}")


_PAYLOAD = ',"payload":'


def _lines(log: EventLog) -> Iterator[tuple[str, bytes]]:
    meta = log.meta
    yield "header", _dump({"format": FORMAT, "version": VERSION, "run": meta.run_id, "created": meta.created, "program": meta.program})
    for event in log.events():
        yield "event", _event_line(event)
    for digest in log.blobs():
        yield "blob", _blob_line(digest, log.get_blob(digest))


def _event_line(event: StoredEvent) -> bytes:
    head = _dump({"seq": event.seq, "time": event.time, "type": event.type})[:-2]
    if "\n" in event.payload:
        return head + b"," + _dump({"payload_text": event.payload})[1:]
    return head + _PAYLOAD.encode() + event.payload.encode() + b"}\n"


def _blob_line(digest: str, data: bytes) -> bytes:
    try:
        return _dump({"blob": digest, "text": data.decode()})
    except UnicodeDecodeError:
        return _dump({"blob": digest, "base64": base64.b64encode(data).decode()})


def _dump(data: object) -> bytes:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _publish(partial: Path, target: Path) -> None:
    """Renaming onto a folder that another import made meanwhile fails, since it isn't empty."""
    try:
        os.rename(partial, target)
    except OSError as error:
        problem = RunExists if target.exists() else RunsDirError
        raise problem(f"can't move the imported run to {target}: {error.strerror}") from error
