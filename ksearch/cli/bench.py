"""`ksearch bench`: measuring the search itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ksearch.cli.options import Json, RunsDir

bench = typer.Typer(help="Measure the search itself, without a GPU.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    app.add_typer(bench, name="bench")


@bench.command("policy", help="Compare search policies on recorded landscapes, synthetic families or your own runs.")
def policy_command(
    landscapes: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[LANDSCAPE|FOLDER|FAMILY|RUN]...",
            help="Files *.landscape.json.xz or folders of them, synthetic families, or stored runs. Default: held-out synthetic families.",
        ),
    ] = None,
    policies: Annotated[
        str, typer.Option(help="Policies, separated by commas; settings of a run behind one: puct+merge=false.")
    ] = "puct,puct-mean,greedy,evolution,best-of-n,random",
    seeds: Annotated[int, typer.Option(min=2, help="Searches for each policy and landscape.")] = 50,
    budget: Annotated[int, typer.Option(min=1, help="Evaluations for each search.")] = 200,
    evaluators: Annotated[int, typer.Option(min=1, max=256, help="Evaluators working in parallel, in simulated time.")] = 1,
    processes: Annotated[int, typer.Option(min=1, help="Processes to run searches in.")] = 1,
    plot: Annotated[Path | None, typer.Option(help="Write regret against evaluations to this file (needs matplotlib).")] = None,
    runs_dir: RunsDir = None,
    json: Json = False,
) -> None:
    from rich.console import Console

    from ksearch.landscapes.benchmark import bench_policies, fields_of, policies_of
    from ksearch.landscapes.summary import print_comparison

    fields = fields_of(landscapes or [], runs_dir)
    result = bench_policies(fields, policies_of(policies), seeds, budget, evaluators, processes, plot)
    if json:
        typer.echo(result.model_dump_json())
    else:
        print_comparison(result, Console())
