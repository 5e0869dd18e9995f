"""The `ksearch` command. Each group of commands lives in its own file; nothing heavy is imported before it is needed."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from ksearch.cli import (
    bench,
    config,
    definitions,
    doctor,
    evaluate,
    inspect,
    memory,
    modal,
    profile,
    report,
    run,
    runs,
    steer,
    surrogate,
    ui,
    verify,
)
from ksearch.errors import KsearchError

app = typer.Typer(
    name="ksearch",
    help="Search for fast GPU kernels: a Monte Carlo tree over optimization plans, measured by a judge in processes of its own.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _version(value: bool) -> None:
    if value:
        from importlib.metadata import version

        typer.echo(f"ksearch {version('ksearch-kernels')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")] = False,
) -> None:
    """Options that stand before the command."""


for _group in (
    run,
    runs,
    steer,
    report,
    inspect,
    ui,
    evaluate,
    modal,
    verify,
    profile,
    surrogate,
    memory,
    bench,
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
        from ksearch.report.text import inert_lines

        typer.echo("\n".join(inert_lines(f"ksearch: {error}")), err=True)  # it may name what a stranger's file says
        sys.exit(error.exit_code)
