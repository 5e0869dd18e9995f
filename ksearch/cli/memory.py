"""`ksearch memory`: what earlier runs taught, and which runs count."""

from __future__ import annotations

from typing import Annotated

import typer

from ksearch.cli.options import Json, RunsDir


def register(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="See, add to or take from what earlier runs taught.")
    group.command("list", help="The knowledge base: where it lies, and what each run taught.")(list_command)
    group.command("add", help="Let a run teach later ones that does not by itself: an imported one, or one without a model.")(add_command)
    group.command("forget", help="Let a run teach nothing any more.")(forget_command)
    app.add_typer(group, name="memory")


def list_command(runs_dir: RunsDir = None, json: Json = False) -> None:
    from ksearch.memory.listing import print_knowledge

    print_knowledge(runs_dir, as_json=json)


def add_command(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run, named as for `ksearch tree`.")], runs_dir: RunsDir = None
) -> None:
    from ksearch.memory.listing import add_run

    typer.echo(add_run(run, runs_dir))


def forget_command(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's name, as `ksearch memory list` shows it.")], runs_dir: RunsDir = None
) -> None:
    from ksearch.memory.listing import forget_run

    typer.echo(forget_run(run, runs_dir))
