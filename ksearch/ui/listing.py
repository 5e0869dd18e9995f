"""The front page of a server that shows many runs: a table, without a script."""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Sequence

from ksearch.report.listing import Row
from ksearch.report.page.render import asset
from ksearch.report.text import us
from ksearch.store.errors import BadRunName
from ksearch.store.runs import check_name

REFRESH_SECONDS = 5

_STYLE = """
main { padding: 24px; max-width: 1100px; }
table { border-collapse: collapse; width: 100%; background: var(--surface); border: 1px solid var(--line); border-radius: 8px; }
th, td { text-align: left; padding: 7px 12px; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { color: var(--text-soft); font-size: 12px; } td.n, th.n { text-align: right; }
tr:last-child td { border-bottom: 0; } h1 { margin-bottom: 14px; } a { color: var(--accent); }
.wide { overflow-x: auto; }
"""


def listing_page(rows: Sequence[Row], query: str) -> tuple[bytes, str]:
    """The page and its content security policy. `query` goes with every link."""
    style = asset("page.css") + _STYLE
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    body = "".join(_line(row, query) for row in rows) or '<tr><td colspan="6">No runs here yet.</td></tr>'
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">'
        f'<meta http-equiv="refresh" content="{REFRESH_SECONDS}"><title>Runs - ksearch</title><style>{style}</style></head><body><main>'
        '<p class="brand">ksearch</p><h1>Runs</h1><div class="wide"><table><thead><tr><th scope="col">run</th>'
        '<th scope="col">definition</th><th scope="col">device</th><th scope="col">status</th><th scope="col" class="n">evaluations</th>'
        f'<th scope="col" class="n">incumbent</th></tr></thead><tbody>{body}</tbody></table></div></main></body></html>'
    )
    return page.encode("utf-8", "replace"), policy


def _line(row: Row, query: str) -> str:
    best = "" if row["latency_us"] is None or row["speedup"] is None else f"{us(row['latency_us'])} µs, {row['speedup']:.2f}×"
    name = _link(row["run"], row["folder"], query)
    texts = "".join(f"<td>{cell}</td>" for cell in (name, *map(_shown, (row["definition"], row["device"], row["status"]))))
    return f'<tr>{texts}<td class="n">{row["evaluations"]}</td><td class="n">{best}</td></tr>'


def _link(run: str, folder: str, query: str) -> str:
    """By the folder's name, which an imported log can't choose; one that couldn't be a run's isn't linked."""
    name = folder.rstrip("/").rsplit("/", 1)[-1]
    try:
        return f'<a href="/runs/{check_name(name)}/?{html.escape(query)}">{_shown(name)}</a>'
    except BadRunName:
        return _shown(run)


def _shown(text: str) -> str:
    return html.escape("".join(character if character.isprintable() else "\ufffd" for character in text))
