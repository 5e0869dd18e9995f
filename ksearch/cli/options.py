"""Options that several commands share, and how flags become a settings overlay."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

RunsDir = Annotated[
    Path | None,
    typer.Option("--runs-dir", help="Where runs are kept (else KSEARCH_RUNS, a checkout's runs/, or ./runs)."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON value on stdout and nothing else there.")]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="A run's name, an unambiguous prefix of it, its folder, or 'latest'.")]


def overlay(flags: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted names with values as a nested overlay; flags that were not given (None or empty) are left out."""
    result: dict[str, Any] = {}
    for name, value in flags.items():
        if value is None or value == () or value == []:
            continue
        place = result
        *parents, last = name.split(".")
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
    return result
