"""`ksearch config`: the effective settings of a run, or those that options would give."""

from __future__ import annotations

from typing import Annotated

import typer

from ksearch.cli.options import Json, RunsDir


def register(app: typer.Typer) -> None:
    app.command("config", help="Print the effective settings: of a stored run, or of a preset with --set.")(config_command)


def config_command(
    run: Annotated[str | None, typer.Argument(metavar="[RUN]", help="A stored run; without one, the settings of a preset.")] = None,
    config: Annotated[str, typer.Option(help="A preset's name or a YAML file.")] = "default",
    assignments: Annotated[list[str] | None, typer.Option("--set", help="key=value, dotted (repeatable).")] = None,
    runs_dir: RunsDir = None,
    json: Json = False,
) -> None:
    from ksearch.settings import load_overlay, parse_assignment, preset_names, resolve

    if run is not None:
        from ksearch.session import open_state

        settings = open_state(run, runs_dir).settings
    else:
        settings = resolve([{"definition": "dsa_topk"}, load_overlay(config), *map(parse_assignment, assignments or ())])
    if json:
        typer.echo(settings.model_dump_json(indent=2))
        return
    import yaml

    typer.echo(yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False).rstrip())
    if run is None:
        typer.echo(f"# presets: {', '.join(preset_names())}", err=True)
