"""`ksearch inspect`: a run in the terminal."""

from __future__ import annotations

from typing import Annotated

import typer

from ksearch.cli.options import Json, RunName, RunsDir


def register(app: typer.Typer) -> None:
    app.command("inspect", help="Look through a run in the terminal, also while it goes on.")(inspect_command)


def inspect_command(
    run: RunName,
    node: Annotated[int | None, typer.Option(help="With --json: one node, its kernel, verdicts and diff.")] = None,
    beliefs: Annotated[bool, typer.Option("--beliefs", help="With --json --node: what was believed before it was chosen.")] = False,
    runs_dir: RunsDir = None,
    json: Json = False,
) -> None:
    from ksearch.inspector.start import inspect_run

    raise typer.Exit(inspect_run(run, runs_dir, node=node, beliefs=beliefs, as_json=json))
