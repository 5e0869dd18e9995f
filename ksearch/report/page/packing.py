"""Page data as compact JSON text, and kernels as one compressed block in which no line stands twice.

Three shapes, all undone by assets/js/decode.js:

- A list of objects with the same keys becomes `{"$columns": [...], "$rows": [[...], ...]}`: the names stand once.
- A long text becomes `{"$lines": [start, count, start, count, ...]}`: runs of a shared table of lines. A kernel differs
  from the ones before it in a few lines, so 10,000 of them cost little more than their differences.
- Numbers are rounded to seven significant digits (three decimals above a million), far below timing noise.

Everything is ASCII, and `<`, `>` and `&` are escaped: no text can end the script element that it stands in.
"""

from __future__ import annotations

import base64
import json
import math
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from ksearch.report.page.model import CandidateDetail, PageData

Plain: TypeAlias = Any
"""What JSON can hold."""

LEVEL = 6
NEAREST = 24
"""Places of a line that are tried for the longest match: more find little, since the latest copies are the likeliest."""

SHORTEST = 4
"""Lines that a match must have, or reach to the end of its text. Taking single braces from elsewhere would cut every later
text into as many runs as it has braces."""

LONG_TEXTS = frozenset({"text", "log"})


def encode_page(data: PageData) -> str:
    """For a script element of type application/json, and for the answer to `data.json`."""
    return _inert(json.dumps(_compact(data.model_dump(mode="python")), separators=(",", ":"), allow_nan=False))


def encode_detail(detail: CandidateDetail) -> str:
    """For the answer to `candidate.json`."""
    return _inert(json.dumps(_rounded(detail.model_dump(mode="python")), separators=(",", ":"), allow_nan=False))


def pack_details(details: Iterable[CandidateDetail]) -> str:
    """All kernels of a page: base64 of the zlib stream of `{"lines": [...], "details": [...]}`."""
    lines = LineTable()
    plain = [_with_line_runs(_compact(detail.model_dump(mode="python")), lines) for detail in details]
    text = json.dumps({"lines": lines.lines, "details": plain}, separators=(",", ":"), allow_nan=False)
    return base64.b64encode(zlib.compress(text.encode("ascii"), LEVEL)).decode("ascii")


def plain_json(value: PageData | CandidateDetail) -> Plain:
    """With every digit, as `--json` prints it; what is no number in JSON (an infinite error) is null."""
    return _finite(value.model_dump(mode="python"))


def _inert(text: str) -> str:
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _compact(value: Plain) -> Plain:
    if isinstance(value, Mapping):
        return {key: _compact(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return _table(value) if _is_uniform(value) else [_compact(item) for item in value]
    return _rounded(value)


def _is_uniform(rows: Sequence[Plain]) -> bool:
    if len(rows) < 2 or not isinstance(rows[0], Mapping):
        return False
    keys = rows[0].keys()
    return all(isinstance(row, Mapping) and row.keys() == keys for row in rows)


def _table(rows: Sequence[Mapping[str, Plain]]) -> Plain:
    return {"$columns": list(rows[0]), "$rows": [[_compact(item) for item in row.values()] for row in rows]}


def _rounded(value: Plain) -> Plain:
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        short = float(f"{value:.7g}") if abs(value) < 1e6 else round(value, 3)
        return int(short) if short.is_integer() else short
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list | tuple) else value


def _finite(value: Plain) -> Plain:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value


def _with_line_runs(value: Plain, lines: LineTable) -> Plain:
    if isinstance(value, dict):
        if "$columns" in value:
            long = [name in LONG_TEXTS for name in value["$columns"]]
            rows = [[_runs_or(item, is_long, lines) for item, is_long in zip(row, long, strict=True)] for row in value["$rows"]]
            return {"$columns": value["$columns"], "$rows": rows}
        return {key: _runs_or(item, key in LONG_TEXTS, lines) for key, item in value.items()}
    return [_with_line_runs(item, lines) for item in value] if isinstance(value, list) else value


def _runs_or(value: Plain, is_long: bool, lines: LineTable) -> Plain:
    return {"$lines": lines.add(value)} if is_long and isinstance(value, str) else _with_line_runs(value, lines)


class LineTable:
    """Lines in the order in which they first appeared; a text is runs of them (Lempel and Ziv's idea, by lines)."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._places: dict[str, list[int]] = {}
        self._texts: dict[str, list[int]] = {}

    def add(self, text: str) -> list[int]:
        """Starts and counts, by turns."""
        if text not in self._texts:
            self._texts[text] = self._encode(text.split("\n"))
        return self._texts[text]

    def _encode(self, wanted: list[str]) -> list[int]:
        runs: list[int] = []
        at = 0
        while at < len(wanted):
            start, count = self._longest(wanted, at)
            if count == 0 or (count < SHORTEST and at + count < len(wanted)):
                start, count = self._append(wanted, at)
            if runs and runs[-2] + runs[-1] == start:
                runs[-1] += count
            else:
                runs += [start, count]
            at += count
        return runs

    def _longest(self, wanted: list[str], at: int) -> tuple[int, int]:
        best = (0, 0)
        for start in reversed(self._places.get(wanted[at], ())):
            count = self._match(wanted, at, start)
            if count > best[1]:
                best = (start, count)
        return best

    def _match(self, wanted: list[str], at: int, start: int) -> int:
        count, most = 0, min(len(wanted) - at, len(self.lines) - start)
        while count < most and self.lines[start + count] == wanted[at + count]:
            count += 1
        return count

    def _append(self, wanted: list[str], at: int) -> tuple[int, int]:
        start = len(self.lines)
        self.lines.append(wanted[at])
        self._places.setdefault(wanted[at], []).append(start)
        del self._places[wanted[at]][:-NEAREST]
        return start, 1
