"""Page data as compact JSON text, and kernels as one compressed block in which no line stands twice.

Three shapes, all undone by assets/js/decode.js:

- A list of objects with the same keys becomes a table, `{"$columns": [...], "$rows": [[...], ...]}`: the names stand once
  (see tables.py).
- A long text becomes `{"$lines": [start, count, start, count, ...]}`: runs of a shared table of lines (see lines.py).
- Numbers are rounded to six significant digits (three decimals above a million), below the noise of any timing.

Everything is ASCII, and `<`, `>` and `&` are escaped: no text can end the script element that it stands in.
"""

from __future__ import annotations

import base64
import json
import math
import zlib
from collections.abc import Iterable, Mapping

from ksearch.report.page.lines import LineTable
from ksearch.report.page.model import CandidateDetail, PageData
from ksearch.report.page.tables import Plain, Runs, tabulated

LEVEL = 6


def encode_page(data: PageData) -> str:
    """For a script element of type application/json, and for the answer to `data.json`."""
    return _inert(_text(tabulated(_rounded(data.model_dump(mode="python")))))


def encode_detail(detail: CandidateDetail) -> str:
    """For the answer to `candidate.json`."""
    return _inert(_text(_rounded(detail.model_dump(mode="python"))))


def pack_details(details: Iterable[CandidateDetail]) -> str:
    """All kernels of a page: base64 of the zlib stream of `{"lines": [...], "details": [...]}`."""
    lines = LineTable()
    plain = [_detail(detail, lines) for detail in details]
    text = _text({"details": tabulated(plain), "lines": lines.lines})
    return base64.b64encode(zlib.compress(text.encode("ascii"), LEVEL)).decode("ascii")


def plain_json(value: PageData | CandidateDetail) -> Plain:
    """With every digit, as `--json` prints it; what is no number in JSON (an infinite error) is null."""
    return _finite(value.model_dump(mode="python"))


def _text(value: Plain) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def _inert(text: str) -> str:
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _detail(detail: CandidateDetail, lines: LineTable) -> Plain:
    """With its sources and logs as runs of lines: `[start, count, ...]` in place of the text."""
    plain = _rounded(detail.model_dump(mode="python"))
    for source in plain["sources"]:
        source["text"] = Runs(lines.add(source["text"]))
    for evaluation in plain["evaluations"]:
        for part in (evaluation["evidence"], evaluation["compile"]):
            if part is not None:
                part["log"] = Runs(lines.add(part["log"]))
    return plain


def _rounded(value: Plain) -> Plain:
    """Dictionaries come from `model_dump`, so the exact types can be asked for: twice as fast over a million values."""
    kind = type(value)
    if kind is float:
        return _short(value)
    if kind is dict:
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if kind is list or kind is tuple else value


def _short(value: float) -> float | int | None:
    if not math.isfinite(value):
        return None
    short = float(f"{value:.6g}") if abs(value) < 1e6 else round(value, 3)
    return int(short) if short.is_integer() else short


def _finite(value: Plain) -> Plain:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value
