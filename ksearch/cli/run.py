"""`ksearch run` and `ksearch resume`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ksearch.cli.options import Json, RunName, RunsDir, overlay
from ksearch.errors import BadInput


def register(app: typer.Typer) -> None:
    app.command("run", help="Search for a faster kernel for a definition.")(run_command)
    app.command("resume", help="Go on with a run that was stopped or killed.")(resume_command)


def run_command(
    definition: Annotated[
        str | None, typer.Option("--definition", "-d", help="Name, alias or prefix of a definition, or a Definition JSON file.")
    ] = None,
    branch: Annotated[
        str | None,
        typer.Option("--from", metavar="RUN[@SEQ|#NODE]", help="Search on from a moment of a stored run, in a new one; limits are totals."),
    ] = None,
    dataset: Annotated[Path | None, typer.Option(help="A FlashInfer-Trace dataset to take definitions and workloads from.")] = None,
    start: Annotated[Path | None, typer.Option(help="Solution to start from: JSON, folder or single source file.")] = None,
    baseline: Annotated[
        Path | None, typer.Option(help="Solution that speed-ups refer to (else the dataset's, else the reference).")
    ] = None,
    workloads: Annotated[str | None, typer.Option(help="all, a regime, UUID,..., each with an optional =WEIGHT, or a file.")] = None,
    objective: Annotated[str | None, typer.Option(help="mean: ratio of mean latencies; geomean: mean of log ratios.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N.")] = None,
    language: Annotated[list[str] | None, typer.Option(help="Allowed language (repeatable): python, triton, cuda, cpp.")] = None,
    allow_libraries: Annotated[
        bool | None, typer.Option("--allow-libraries", help="Let candidates call vendor libraries; labels the result.")
    ] = None,
    planner: Annotated[str | None, typer.Option(help="auto, playbook or llm (auto: llm where a key is set).")] = None,
    coder: Annotated[str | None, typer.Option(help="auto, playbook or llm (auto: as the planner).")] = None,
    model: Annotated[str | None, typer.Option(help="anthropic:MODEL, openai:MODEL or command:PROGRAM, for all roles.")] = None,
    world_model: Annotated[bool | None, typer.Option("--world-model/--no-world-model", help="Lessons and beliefs in prompts.")] = None,
    merging: Annotated[bool | None, typer.Option("--merge/--no-merge", help="Steps that combine two branches.")] = None,
    memory: Annotated[
        bool | None, typer.Option("--memory/--no-memory", help="Tell the planner what earlier runs taught, and remember this one.")
    ] = None,
    policy: Annotated[str | None, typer.Option(help="puct, puct-mean, flat, greedy, evolution, best-of-n, random or single-agent.")] = None,
    surrogate: Annotated[
        str | None, typer.Option(help="Who forecasts candidates: auto, none, neighbours, statistical, llm or ensemble.")
    ] = None,
    surrogate_model: Annotated[
        str | None, typer.Option(help="Model that forecasts with --surrogate llm (else a cheap one), or joins --surrogate ensemble.")
    ] = None,
    surrogate_budget: Annotated[
        str | None, typer.Option(help="Share of candidates that may go unmeasured once forecasts are trusted: auto, or 0 to below 1.")
    ] = None,
    evaluator: Annotated[
        str | None,
        typer.Option(
            help="local; 'command:ssh box ksearch evaluate -'; bundle:FOLDER (for `ksearch evaluate FOLDER` anywhere); modal[:GPU]; "
            "ray[:ADDRESS]; fake."
        ),
    ] = None,
    gpu: Annotated[str | None, typer.Option(help="The GPU to rent with --evaluator modal (else B200).")] = None,
    config: Annotated[str, typer.Option(help="A preset's name or a YAML file.")] = "default",
    assignments: Annotated[list[str] | None, typer.Option("--set", help="Set any setting: key=value, dotted (repeatable).")] = None,
    max_evaluations: Annotated[int | None, typer.Option(help="Stop after so many evaluations.")] = None,
    max_gpu_seconds: Annotated[float | None, typer.Option(help="Stop after so many GPU-seconds.")] = None,
    max_usd: Annotated[float | None, typer.Option(help="Stop before spending more US dollars than this.")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Stop before using more language-model tokens than this.")] = None,
    max_time: Annotated[float | None, typer.Option(help="Stop after so many seconds.")] = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds that a candidate may take on one workload.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the search's own random choices.")] = None,
    runs_dir: RunsDir = None,
    name: Annotated[str | None, typer.Option(help="Name of the run (else made of the time and the definition).")] = None,
    replay: Annotated[
        str | None, typer.Option(metavar="RUN", help="Run a stored run's answers and verdicts through this program again, offline.")
    ] = None,
    reuse_answers: Annotated[
        str | None, typer.Option(metavar="RUN", help="Take a model's answer from a stored run where the request is the same.")
    ] = None,
    json: Json = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be used and what it may cost, then stop.")] = False,
) -> None:
    from ksearch.session import branch_run, dry_run_lines, new_run
    from ksearch.settings import load_overlay, merge, parse_assignment, resolve

    if replay is not None:
        from ksearch.replay.run import replay_run

        raise typer.Exit(replay_run(replay, runs_dir=runs_dir, name=name, as_json=json))
    flags = overlay(
        {
            "definition": definition, "dataset": dataset, "start": start, "baseline": baseline, "workloads": workloads,
            "objective": objective, "device": device, "languages": tuple(language or ()), "allow_libraries": allow_libraries,
            "planner": planner, "coder": coder, "llm.model": model, "world_model": world_model, "memory": memory, "merge": merging,
            "policy": policy, "surrogate": surrogate, "llm.surrogate_model": surrogate_model, "surrogate_budget": surrogate_budget,
            "evaluator": evaluator, "modal.gpu": gpu, "seed": seed,
            "budget.max_evaluations": max_evaluations, "budget.max_gpu_seconds": max_gpu_seconds, "budget.max_usd": max_usd,
            "budget.max_tokens": max_tokens, "budget.max_time_s": max_time, "evaluation.timeout_s": timeout,
        }
    )  # fmt: skip
    if branch is not None:
        if dry_run:
            raise BadInput("--from and --dry-run: what a branch would use is what its run used; see `ksearch config RUN`")
        preset = () if config == "default" else (load_overlay(config),)
        changes = merge([*preset, *map(parse_assignment, assignments or ()), flags])
        raise typer.Exit(branch_run(branch, changes, runs_dir=runs_dir, name=name, as_json=json))
    if definition is None:
        raise BadInput("give --definition NAME (`ksearch definitions` lists them), or --from RUN to search on from a stored one")
    settings = resolve([*_preset(config, flags, load_overlay), *map(parse_assignment, assignments or ()), flags])
    if dry_run:
        dry_run_lines(settings, as_json=json)
        return
    raise typer.Exit(new_run(settings, runs_dir=runs_dir, name=name, as_json=json, reuse=reuse_answers))


def _preset(config: str, flags: dict[str, object], load) -> list[dict[str, object]]:  # type: ignore[no-untyped-def]
    """The preset, without its budget where the user stated one: --max-evaluations alone is enough."""
    preset = dict(load(config))
    if "budget" in flags:
        preset.pop("budget", None)
    return [preset]


def resume_command(
    run: RunName,
    assignments: Annotated[
        list[str] | None, typer.Option("--set", help="Raise a limit: budget.KEY=value (nothing else may change).")
    ] = None,
    runs_dir: RunsDir = None,
    json: Json = False,
) -> None:
    from ksearch.session import resume_run

    raise typer.Exit(resume_run(run, assignments=tuple(assignments or ()), runs_dir=runs_dir, as_json=json))
