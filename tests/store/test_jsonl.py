import base64
import hashlib
import io
import json
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ksearch.store.errors import BadExport, BadRunName, RunExists
from ksearch.store.jsonl import export_jsonl, import_jsonl
from ksearch.store.log import EventLog, EventRow, RunMeta

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=8,
)
payloads = st.builds(
    lambda value, indent, ascii_only: json.dumps(value, indent=indent, ensure_ascii=ascii_only),
    values,
    st.sampled_from([None, 0, 2]),
    st.booleans(),
)
times = st.floats(min_value=-1e12, max_value=1e12, allow_nan=False)
events = st.builds(EventRow, texts.filter(lambda kind: bool(kind) and "\0" not in kind), payloads, times)


def exported(log: EventLog) -> bytes:
    file = io.BytesIO()
    export_jsonl(log, file)
    return file.getvalue()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows=st.lists(events, max_size=8), blobs=st.lists(st.binary(max_size=400) | texts.map(str.encode), max_size=4), created=times)
def test_a_round_trip_changes_nothing(rows: list[EventRow], blobs: list[bytes], created: float) -> None:
    with tempfile.TemporaryDirectory() as name:
        first, second = Path(name) / "first", Path(name) / "second"
        with EventLog.create(first / "r" / "run.sqlite", RunMeta("r", created, "1.2")) as log:
            log.append(rows, durable=False, blobs=blobs)
            text = exported(log)
            before = list(log.events()), {digest: log.get_blob(digest) for digest in log.blobs()}, log.meta
        paths = import_jsonl(io.BytesIO(text), second)
        with EventLog.open_reader(paths.database) as log:
            assert (list(log.events()), {digest: log.get_blob(digest) for digest in log.blobs()}, log.meta) == before
            assert exported(log) == text
        assert [event[3] for event in before[0]] == [row.payload_json for row in rows]


@pytest.fixture
def lines(database: Path) -> list[bytes]:
    """An export: header, three events, a text and a binary blob in order of their digests, end."""
    with EventLog.open_writer(database) as log:
        rows = [EventRow("a", '{"x": 1.0, "x": 2}', 1.0), EventRow("b", "{\n}", 2.0), EventRow("c", '"payload"', 3.0)]
        log.append(rows, durable=True, blobs=[b"text", b"\xff\xfe"])
        return exported(log).splitlines(keepends=True)


def resealed(lines: list[bytes]) -> bytes:
    """The lines with an end line that fits them, so that only the deeper checks can object."""
    body = lines[:-1]
    counts = [sum(line.startswith(start) for line in body) for start in (b'{"seq"', b'{"blob"')]
    end = {"events": counts[0], "blobs": counts[1], "sha256": hashlib.sha256(b"".join(body)).hexdigest()}
    return b"".join(body) + json.dumps({"end": end}).encode() + b"\n"


def refused(data: bytes, folder: Path) -> str:
    with pytest.raises(BadExport) as caught:
        import_jsonl(io.BytesIO(data), folder)
    assert not folder.exists() or list(folder.iterdir()) == []
    return str(caught.value)


def test_lines_are_plain_json_in_a_fixed_order(lines: list[bytes]) -> None:
    data = [json.loads(line) for line in lines]
    assert [next(iter(line)) for line in data] == ["format", "seq", "seq", "seq", "blob", "blob", "end"]
    assert data[3]["payload"] == "payload"
    assert {line.get("text", line.get("base64")) for line in data[4:6]} == {"text", base64.b64encode(b"\xff\xfe").decode()}


def test_every_cut_is_refused(lines: list[bytes], tmp_path: Path) -> None:
    text = b"".join(lines)
    for cut in [0, 1, *[len(b"".join(lines[:n])) for n in range(1, len(lines))], len(text) // 2, len(text) - 1]:
        assert "line" in refused(text[:cut], tmp_path / "other")


def test_every_flipped_byte_is_refused(lines: list[bytes], tmp_path: Path) -> None:
    text = b"".join(lines)
    for place in range(0, len(text), 37):
        flipped = bytes([text[place] ^ 1])
        with pytest.raises((BadExport, BadRunName)):
            import_jsonl(io.BytesIO(text[:place] + flipped + text[place + 1 :]), tmp_path / "other")
    assert not (tmp_path / "other").exists() or list((tmp_path / "other").iterdir()) == []


@pytest.mark.parametrize(
    ("number", "change", "complaint"),
    [
        (1, lambda line: line.replace(b"ksearch-run", b"something"), "line 1: not an exported run"),
        (1, lambda line: line.replace(b'"version":1', b'"version":2'), "line 1: export version 2"),
        (1, lambda line: line.replace(b'"run":"a-run"', b'"run":"../../x"'), "line 1: .*can't name a run"),
        (2, lambda line: line.replace(b'"seq":1', b'"seq":5'), "line 2: event 5 where event 1 is due"),
        (2, lambda line: line.replace(b'"time":1.0', b'"time":"1"'), "line 2: 'time'"),
        (2, lambda line: line.replace(b'"seq":1,', b'"seq": 1,'), "line 2: .*not written as"),
        (2, lambda line: b"[]\n", "line 2: not a JSON object"),
        (3, lambda line: line.replace(b"{\\n}", b"{\\n"), "line 3: payload is not JSON"),
        (4, lambda line: b"{\n", "line 4: not a line of JSON"),
        (5, lambda line: line.replace(b'"blob":"', b'"blob":"0'), "line 5: blob .*another digest"),
        (6, lambda line: line.replace(b'"blob":"', b'"blob":"\\u0000'), "line 6: blobs out of order"),
    ],
)
def test_a_wrong_line_is_named(lines: list[bytes], tmp_path: Path, number: int, change: Callable[[bytes], bytes], complaint: str) -> None:
    lines[number - 1] = change(lines[number - 1])
    assert re.match(complaint, refused(resealed(lines), tmp_path / "other"))


def test_added_lines_are_refused(lines: list[bytes], tmp_path: Path) -> None:
    assert "after the end" in refused(b"".join(lines) + b"\n", tmp_path / "other")
    assert "sha256" in refused(b"".join([*lines[:4], *lines[5:]]), tmp_path / "other")


def test_an_existing_run_is_not_touched(lines: list[bytes], database: Path) -> None:
    with pytest.raises(RunExists):
        import_jsonl(io.BytesIO(b"".join(lines)), database.parents[1])
    assert [path.name for path in database.parents[1].iterdir()] == ["a-run"]
