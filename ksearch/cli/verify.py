"""`ksearch verify` and `ksearch attack`: what the judge says of solutions that somebody brings, and of its own adversaries."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ksearch.cli.options import Json, RunsDir


def register(app: typer.Typer) -> None:
    app.command("verify", help="Judge solutions by every stage. Exit code 0 if all pass, 1 if one is rejected.")(verify_command)
    app.command("attack", help="Try every known way of cheating on the judge installed here. Exit code 1 if one gains.")(attack_command)


def verify_command(
    solutions: Annotated[
        list[Path] | None, typer.Argument(metavar="SOLUTION...", help="Solution JSON, a folder of sources, or one source file.")
    ] = None,
    run: Annotated[str | None, typer.Option("--run", help="Judge this run's incumbent afresh; says by how much it moved.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N (with --run: else the run's).")] = None,
    workloads: Annotated[str, typer.Option(help="all, a regime, UUID,..., or a file.")] = "all",
    definition: Annotated[str | None, typer.Option("--definition", "-d", help="What bare sources solve; a name, alias or file.")] = None,
    dataset: Annotated[Path | None, typer.Option(help="A FlashInfer-Trace dataset to take definitions and workloads from.")] = None,
    allow_libraries: Annotated[bool, typer.Option("--allow-libraries", help="Let solutions call vendor libraries.")] = False,
    unsafe_runner: Annotated[bool, typer.Option("--unsafe-runner", help="Run even where no isolation is to be had.")] = False,
    runs_dir: RunsDir = None,
    json: Json = False,
) -> None:
    from ksearch.verify.cases import Options
    from ksearch.verify.command import verify

    options = Options(device, workloads, definition, dataset, allow_libraries, unsafe_runner)
    raise typer.Exit(verify(solutions or [], run, runs_dir, options, as_json=json))


def attack_command(
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    only: Annotated[list[str] | None, typer.Option(help="A hack (H01 to H48) or 'honest' (repeatable).")] = None,
    time_limit: Annotated[float | None, typer.Option(help="Seconds; what was not tried by then is told as not run (exit code 4).")] = None,
    shard: Annotated[str, typer.Option(help="K/N: the K-th of N parts of the kernels, for several devices at once.")] = "1/1",
    json: Json = False,
) -> None:
    from ksearch.attack.command import attack

    raise typer.Exit(attack(device, only or [], as_json=json, time_limit_s=time_limit, shard=shard))
