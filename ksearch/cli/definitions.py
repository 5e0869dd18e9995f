"""`ksearch definitions [NAME]`: lists the known definitions, or describes one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def definitions_command(
    name: Annotated[str | None, typer.Argument(help="A name, alias, unambiguous prefix, or a definition's JSON file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON: the list, or with NAME the Definition itself.")] = False,
    dataset: Annotated[Path | None, typer.Option(help="A FlashInfer-Trace dataset to look in first.")] = None,
) -> None:
    """List the kernel definitions, or describe one."""
    from ksearch.report.definitions import print_definitions

    print_definitions(name, dataset, as_json=as_json)
