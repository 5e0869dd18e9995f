"""The `ksearch` command. Each group of commands lives in its own file; nothing heavy is imported before it is needed."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

for _group in (
    run,
    runs,
    steer,
    report,
    evaluate,
    config,
    doctor,
):
    _group.register(app)
app.command("definitions", help="List the definitions, or describe one.")(definitions.definitions_command)


def main() -> None:
    """Entry point: errors that the user can act on are one line on stderr and an exit code."""
    try:
        app()
    except KsearchError as error:
        typer.echo(f"ksearch: {error}", err=True)
        sys.exit(error.exit_code)
