"""`ksearch doctor`: what this machine offers and what will work on it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ksearch.cli.options import Json, RunsDir

if TYPE_CHECKING:
    from ksearch.doctor import Check, Report

COLOURS = {"ok": "green", "warn": "yellow", "missing": "bright_black", "error": "red"}


def register(app: typer.Typer) -> None:
    app.command("doctor", help="Check what this machine offers. Exit code 4 if not even a search on the cpu can run.")(doctor_command)


def doctor_command(
    json: Json = False,
    dataset: Annotated[Path | None, typer.Option(help="A FlashInfer-Trace dataset to check whole.")] = None,
    runs_dir: RunsDir = None,
) -> None:
    from ksearch.doctor import examine

    report = examine(dataset, runs_dir)
    typer.echo(_as_json(report) if json else _as_text(report))
    raise typer.Exit(report.outlook.exit_code)


def _as_json(report: Report) -> str:
    import json

    return json.dumps(report.as_json(), indent=2)


def _as_text(report: Report) -> str:
    width = max(len(check.name) for check in report.checks)
    return "\n".join([*(_line(check, width) for check in report.checks), "", report.outlook.sentence])


def _line(check: Check, width: int) -> str:
    """Status, name and value; below them the advice, under the value."""
    line = f"{typer.style(f'{check.status:<7}', fg=COLOURS[check.status])}  {check.name:<{width}}  {check.value}"
    return line if check.advice is None else f"{line}\n{'':<{9 + width}}  {check.advice}"
