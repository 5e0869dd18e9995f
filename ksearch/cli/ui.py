"""`ksearch ui`: the live page."""

from __future__ import annotations

from typing import Annotated

import typer

from ksearch.cli.options import Json, RunsDir


def register(app: typer.Typer) -> None:
    app.command("ui", help="Serve a run's page on this machine, live while it is searched; without RUN, all runs.")(ui_command)


def ui_command(
    run: Annotated[str | None, typer.Argument(metavar="[RUN]", help="A run's name, beginning of a name, folder, or 'latest'.")] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1 (0: a free one).")] = 0,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open it in the browser.")] = True,
    runs_dir: RunsDir = None,
    json: Json = False,
) -> None:
    from ksearch.ui.serve import serve

    serve(run, runs_dir, port=port, browser=browser and not json, as_json=json)
