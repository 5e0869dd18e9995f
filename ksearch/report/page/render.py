"""One HTML file from page data: assets and data put together, under a policy that lets nothing else run or be fetched."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

from ksearch.report.page.model import CandidateDetail, PageData
from ksearch.report.page.packing import encode_page, pack_details

LIBRARY = (
    "array-3.2.5", "color-3.1.1", "dispatch-3.0.2", "ease-3.0.2", "format-3.1.3", "hierarchy-3.1.3", "interpolate-3.0.2",
    "quadtree-3.0.2", "selection-3.0.1", "time-3.1.1", "time-format-4.1.1", "timer-3.0.2", "scale-4.0.3", "axis-3.0.1", "drag-3.0.1",
    "transition-3.0.2", "zoom-3.0.1",
)  # fmt: skip
"""The parts of d3 that the page uses, each after those that it needs: half the size of the whole."""

LICENCES = "vendor/d3-LICENSES.txt"
SCRIPTS = (
    "decode", "dom", "format", "tables", "model", "details", "chart", "progress", "calibration", "bars", "rows", "keys", "drawing",
    "diff", "code", "chosen", "judged", "attempts", "panel", "top", "overview", "tree", "beliefs", "sections", "live", "main",
)  # fmt: skip
"""Of assets/js, in the order in which they build on each other."""

_PLACE = re.compile(r"\{\{(\w+)\}\}")


@dataclass(frozen=True, slots=True)
class Live:
    """The page is served while the run goes. `query` is appended to every request (`token=...`, already URL-encoded)."""

    query: str = ""


@dataclass(frozen=True, slots=True)
class Extension:
    """A script and a style that a server adds to the page; see "Extending the page" in docs/report.md."""

    script: str = ""
    style: str = ""


def render_page(
    data: PageData, details: Iterable[CandidateDetail] = (), *, live: Live | None = None, extensions: Iterable[Extension] = ()
) -> str:
    """The page. A static one (`live` None) holds all `details`; a live one asks its server for each when it is looked at."""
    added = tuple(extensions)
    scripts = (library_script(), _page_script(), *(extension.script for extension in added if extension.script))
    styles = (asset("page.css"), *(extension.style for extension in added if extension.style))
    return _filled(
        asset("page.html"),
        {
            "title": html.escape(_plain(f"{data.run.name} - ksearch")),
            "policy": html.escape(_policy(scripts, styles, live)),
            "live": "" if live is None else f'<meta name="ksearch-live" content="{html.escape(live.query)}">',
            "styles": "\n".join(f"<style>{style}</style>" for style in styles),
            "data": encode_page(data),
            "details": "" if live is not None else pack_details(details),
            "scripts": "\n".join(f"<script>{script}</script>" for script in scripts),
        },
    )


@cache
def asset(path: str) -> str:
    return resources.files("ksearch.report.page").joinpath("assets", *path.split("/")).read_text("utf-8")


@cache
def library_script() -> str:
    parts = "\n".join(asset(f"vendor/d3-{part}.min.js") for part in LIBRARY)
    return f"/*\n{asset(LICENCES)}*/\n{parts}"


@cache
def _page_script() -> str:
    """One function scope: the page's names can't meet the library's or an extension's."""
    parts = "\n".join(f"// {name}.js\n{asset(f'js/{name}.js')}" for name in SCRIPTS)
    return f'(() => {{\n"use strict";\n{parts}\n}})();'


def _policy(scripts: Iterable[str], styles: Iterable[str], live: Live | None) -> str:
    """Content security policy: only these scripts and styles, no requests (live: to its own server), no string made markup."""
    rules = {
        "default-src": "'none'", "script-src": " ".join(map(_hash, scripts)), "style-src": " ".join(map(_hash, styles)),
        "img-src": "data:", "base-uri": "'none'", "form-action": "'none'",
        "require-trusted-types-for": "'script'", "trusted-types": "'none'",
    }  # fmt: skip
    if live is not None:
        rules["connect-src"] = "'self'"
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')}'"


def _plain(text: str) -> str:
    """Without control and direction characters, which a title bar can't show as text."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


def _filled(template: str, values: Mapping[str, str]) -> str:
    """In one pass, so that what is filled in is never taken for a place."""
    return _PLACE.sub(lambda match: values[match[1]], template)
