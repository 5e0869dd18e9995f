"""`ksearch evaluate`: judge jobs from standard input, from a file, or from a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    app.command("evaluate", help="Judge jobs: '-' for JSON lines on stdin, a *.job.json file, or a folder of them.")(evaluate_command)


def evaluate_command(
    source: Annotated[str, typer.Argument(help="'-' (job JSON lines in, verdict JSON lines out), a job file, or a folder of *.job.json.")],
    seed: Annotated[int | None, typer.Option(help="Draw inputs from this seed instead of a secret one (to see a failure again).")] = None,
    again: Annotated[bool, typer.Option("--again", help="In a folder: judge jobs that have a verdict already, too.")] = False,
    dataset: Annotated[Path | None, typer.Option(help="Where the jobs' dataset lies on this machine.")] = None,
    describe: Annotated[
        bool, typer.Option("--describe", help="Judge nothing: write what this machine is to FOLDER/evaluator.json ('-': to stdout).")
    ] = False,
) -> None:
    from ksearch.judge.batch import evaluate_file, evaluate_folder, evaluate_stream, write_description

    root = None if dataset is None else str(dataset.resolve())
    if describe:
        write_description(None if source == "-" else Path(source))
    elif source == "-":
        evaluate_stream(root)
    elif Path(source).is_dir():
        evaluate_folder(Path(source), seed=seed, again=again, dataset=root)
    else:
        evaluate_file(Path(source), seed=seed, dataset=root)
