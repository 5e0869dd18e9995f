"""`ksearch runs`, `tree`, `export` and `import`: looking at stored runs and taking things out of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ksearch.cli.options import Json, RunName, RunsDir


def register(app: typer.Typer) -> None:
    app.command("runs", help="List stored runs.")(runs_command)
    app.command("tree", help="Print a run's search tree.")(tree_command)
    app.command("explain", help="Tell one node's story: why it was chosen, and what happened.")(explain_command)
    app.command("compare", help="Set several runs side by side, as a table and a plot.")(compare_command)
    app.command("export", help="Take a kernel, its verdicts, the tree, tables or the whole log out of a run.")(export_command)
    app.command("import", help="Bring in a run that was exported as JSON lines.")(import_command)


def runs_command(runs_dir: RunsDir = None, json: Json = False) -> None:
    from ksearch.report.listing import print_runs

    print_runs(runs_dir, as_json=json)


def tree_command(
    run: RunName,
    depth: Annotated[int | None, typer.Option(help="Show plans of at most this many steps.")] = None,
    top: Annotated[int | None, typer.Option(help="Show only so many children of each plan, the best first.")] = None,
    best_path: Annotated[bool, typer.Option("--best-path", help="Show only the way to the incumbent.")] = False,
    status: Annotated[list[str] | None, typer.Option(help="Only plans that are: unproven, proven, closed, exhausted (repeatable).")] = None,
    technique: Annotated[list[str] | None, typer.Option(help="Only plans whose last step uses this technique (repeatable).")] = None,
    regime: Annotated[list[str] | None, typer.Option(help="Only plans whose last step aims at this regime (repeatable).")] = None,
    rows: Annotated[int, typer.Option(min=0, help="Print at most so many rows, best subtrees first (0: all).")] = 200,
    runs_dir: RunsDir = None,
    json: Json = False,
) -> None:
    from ksearch.report.showtree import TreeQuestion, print_tree

    asked = TreeQuestion(depth, top, best_path, status or (), technique or (), regime or (), rows, json)
    print_tree(run, runs_dir, asked)


def explain_command(
    run: RunName,
    node: Annotated[int, typer.Argument(metavar="NODE", help="A node's number, as `ksearch tree` shows it.")],
    runs_dir: RunsDir = None,
    json: Json = False,
) -> None:
    from ksearch.report.explain import print_story

    print_story(run, runs_dir, node, as_json=json)


def compare_command(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Two runs or more, each named as for `ksearch tree`.")],
    plot: Annotated[Path | None, typer.Option(help="Draw their course into this .svg, .png or .pdf file (needs matplotlib).")] = None,
    runs_dir: RunsDir = None,
    json: Json = False,
) -> None:
    from ksearch.report.compare import print_comparison

    print_comparison(runs, runs_dir, plot=plot, as_json=json)


def export_command(
    run: RunName,
    form: Annotated[
        str,
        typer.Option(
            "--format",
            help="solution (FlashInfer JSON), dir (its sources), trace (FlashInfer-Bench JSON lines), graphml or dot (the tree), "
            "json (everything), csv (nodes and candidates), or jsonl (the whole log, for import).",
        ),
    ] = "solution",
    node: Annotated[int | None, typer.Option(help="A node's best candidate instead of the incumbent.")] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="File, or folder for dir and csv (else stdout, where it can).")
    ] = None,
    runs_dir: RunsDir = None,
) -> None:
    from ksearch.report.export import export_run

    export_run(run, runs_dir, form=form, node=node, output=output)


def import_command(
    file: Annotated[Path, typer.Argument(help="A file that `ksearch export --format jsonl` wrote.")],
    runs_dir: RunsDir = None,
) -> None:
    from ksearch.report.export import import_run

    typer.echo(import_run(file, runs_dir))
