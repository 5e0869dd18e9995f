"""`ksearch report`: one HTML file of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ksearch.cli.options import Json, RunName, RunsDir


def register(app: typer.Typer) -> None:
    app.command("report", help="Write a run as one HTML file that opens anywhere.")(report_command)


def report_command(
    run: RunName,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="The file (else NAME.html in this folder).")] = None,
    node: Annotated[int | None, typer.Option(help="With --json: the kernels and verdicts of one node.")] = None,
    runs_dir: RunsDir = None,
    json: Json = False,
) -> None:
    from ksearch.errors import BadInput
    from ksearch.report.page.write import report_json, write_report

    if node is not None and not json:
        raise BadInput("--node goes with --json; the page holds every node")
    if json and output is not None:
        raise BadInput("-o goes without --json, which prints on stdout")
    typer.echo(report_json(run, runs_dir, node) if json else write_report(run, runs_dir, output))
