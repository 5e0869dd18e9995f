"""`ksearch profile`: a kernel against what the hardware allows, and what binds it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ksearch.cli.options import Json, RunsDir


def register(app: typer.Typer) -> None:
    app.command("profile", help="Time a solution and hold it against the least that the hardware allows.")(profile_command)


def profile_command(
    solution: Annotated[
        Path | None, typer.Argument(metavar="[SOLUTION]", help="Solution JSON, a folder of sources, or one source file.")
    ] = None,
    run: Annotated[str | None, typer.Option("--run", help="Profile this run's incumbent.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N (with --run: else the run's).")] = None,
    workloads: Annotated[str, typer.Option(help="all, a regime, UUID,..., or a file.")] = "all",
    definition: Annotated[str | None, typer.Option("--definition", "-d", help="What bare sources solve; a name, alias or file.")] = None,
    dataset: Annotated[Path | None, typer.Option(help="A FlashInfer-Trace dataset to take definitions and workloads from.")] = None,
    counters: Annotated[
        bool, typer.Option("--counters", help="Also launches and hardware counters: runs the solution outside the judge's wall.")
    ] = False,
    again: Annotated[bool, typer.Option("--measure-again", help="Measure the device's ceilings afresh.")] = False,
    allow_libraries: Annotated[bool, typer.Option("--allow-libraries", help="Let the solution call vendor libraries.")] = False,
    unsafe_runner: Annotated[bool, typer.Option("--unsafe-runner", help="Run even where no isolation is to be had.")] = False,
    runs_dir: RunsDir = None,
    json: Json = False,
) -> None:
    from ksearch.profiling.command import Wanted, profile
    from ksearch.verify.cases import Options

    options = Options(device, workloads, definition, dataset, allow_libraries, unsafe_runner)
    raise typer.Exit(profile(solution, run, runs_dir, options, Wanted(counters, again), as_json=json))
