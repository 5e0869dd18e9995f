"""`ksearch modal`: putting the judge on Modal's GPUs, and seeing what is there."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ksearch.cli.options import Json

Gpu = Annotated[str, typer.Option("--gpu", help="One GPU as Modal names it.")]


def register(app: typer.Typer) -> None:
    group = typer.Typer(name="modal", help="The judge on Modal's GPUs, for `--evaluator modal`.", no_args_is_help=True)
    group.command("deploy", help="Build the judge's image and make it callable; needs a Modal token.")(deploy_command)
    group.command("status", help="What is deployed and running, and what it costs. Exit code 4 when nothing can be judged.")(status_command)
    app.add_typer(group)


def deploy_command(
    gpu: Gpu = "B200",
    min_containers: Annotated[int, typer.Option(min=0, help="Kept running, and paid for, all the time.")] = 0,
    max_containers: Annotated[int, typer.Option(min=1, max=100, help="Running at a time at most.")] = 4,
    idle: Annotated[int, typer.Option(min=2, max=1200, help="Seconds that a container waits for its next job before it ends.")] = 120,
    dataset: Annotated[Path | None, typer.Option(help="Take a dataset's recorded tensors to the volume, too.")] = None,
) -> None:
    from ksearch.evaluators.modal.commands import deploy

    typer.echo(deploy(gpu, min_containers, max_containers, idle, dataset))


def status_command(gpu: Gpu = "B200", json: Json = False) -> None:
    from ksearch.evaluators.modal.commands import status

    found = status(gpu)
    typer.echo(found.model_dump_json(indent=2) if json else found.text)
    raise typer.Exit(0 if found.usable else 4)
