"""`ksearch surrogate`: how good forecasts were, and which budget to give them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ksearch.cli.options import Json, RunsDir

Sources = Annotated[list[str], typer.Argument(metavar="RUN...", help="Runs, exported runs (.jsonl) or landscapes (.landscape.json.xz).")]


Plot = Annotated[Path | None, typer.Option(help="Draw it into this file, too (.svg).")]


def register(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Score forecasts, and tune how many candidates go unmeasured.")
    group.command("score", help="Score forecasts against what was measured.")(score_command)
    group.command("tune", help="Replay measured runs over surrogate budgets and recommend one.")(tune_command)
    app.add_typer(group, name="surrogate")


def score_command(
    sources: Sources,
    forecaster: Annotated[
        list[str] | None,
        typer.Option(help="Replay this forecaster instead of the run's own forecasts (repeatable): neighbours, statistical, ensemble."),
    ] = None,
    alone: Annotated[bool, typer.Option("--alone", help="Don't let the other sources' definitions teach the forecaster first.")] = False,
    most: Annotated[int | None, typer.Option(help="Use at most so many points of a landscape.")] = None,
    plot: Plot = None,
    runs_dir: RunsDir = None,
    json: Json = False,
) -> None:
    from ksearch.forecasting.report import print_scores

    print_scores(sources, runs_dir, forecasters=tuple(forecaster or ()), alone=alone, most=most, as_json=json, plot=plot)


def tune_command(
    sources: Sources,
    forecaster: Annotated[str | None, typer.Option(help="Replay this forecaster instead of the runs' own forecasts.")] = None,
    plot: Plot = None,
    runs_dir: RunsDir = None,
    json: Json = False,
) -> None:
    from ksearch.forecasting.report import print_tuning

    print_tuning(sources, runs_dir, forecaster=forecaster, as_json=json, plot=plot)
