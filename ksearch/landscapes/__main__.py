"""`python -m ksearch.landscapes`: sweep spaces on this machine, write landscapes of what was measured."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from ksearch.errors import BadInput, KsearchError
from ksearch.landscapes.landscape import SUFFIX, save
from ksearch.landscapes.records import Records
from ksearch.landscapes.shipped import SPACES, shipped
from ksearch.landscapes.spaces import Space, enumerate_space

app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False, help=__doc__)
Names = Annotated[list[str] | None, typer.Argument(help="Names of spaces; without any, all of the device.")]
Folder = Annotated[Path, typer.Option(help="Where records are: one JSON-lines file for each space, only appended to.")]


def _chosen(names: list[str] | None, device: str) -> list[Space]:
    found = [shipped(name) for name in names] if names else [space for space in SPACES if space.device == device.partition(":")[0]]
    if wrong := [space.name for space in found if space.device != device.partition(":")[0]]:
        raise BadInput(f"{', '.join(wrong)}: not for {device}")
    return found


@app.command()
def spaces() -> None:
    """List the spaces."""
    for space in SPACES:
        found = enumerate_space(space, "sm_90")
        counts = f"{len(found.configs):5} configurations, {len(found.solutions):4} codes, {len(found.workloads)} workloads"
        typer.echo(f"{space.name:20} {counts}")


@app.command()
def sweep(
    names: Names = None,
    *,
    folder: Folder,
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")] = "cuda",
    time_limit: Annotated[float, typer.Option(help="Seconds; what is missing then, a later call measures.")] = float("inf"),
    compilers: Annotated[int, typer.Option(help="Processes that compile; default: all cores but two.")] = 0,
    measurers: Annotated[int, typer.Option(help="Processes that measure, on cpu: two cores each. A GPU has one.")] = 1,
    timed_calls: int = 7,
    limit: Annotated[int, typer.Option(help="Stop after so many codes of each space: to try.")] = 0,
    unsafe_runner: Annotated[bool, typer.Option(help="Compile without a wall where the machine can't give one.")] = False,
) -> None:
    """Measure spaces; append to what the folder holds. Exit status 3 when the time was up first."""
    from ksearch.judge.toolchain import target_of
    from ksearch.landscapes.sweep import Sweep, Sweeping

    begun = time.monotonic()
    how = Sweeping(
        device=device, folder=folder.absolute(), arch=target_of(device).arch, deadline=begun + time_limit, timed_calls=timed_calls,
        compilers=compilers or max(1, (os.cpu_count() or 2) - 2), measurers=measurers if device == "cpu" else 1,
        unsafe=unsafe_runner, say=lambda line: typer.echo(line),
    )  # fmt: skip
    complete = True
    for space in _chosen(names, device):
        found = enumerate_space(space, how.arch).first(limit) if limit else enumerate_space(space, how.arch)
        complete &= Sweep(found, how).run()
    typer.echo(f"{'complete' if complete else 'not complete'} after {time.monotonic() - begun:.0f} s")
    if not complete:
        raise typer.Exit(3)


@app.command()
def write(
    names: Names = None,
    *,
    folder: Folder,
    to: Annotated[Path, typer.Option(help="Folder of the landscapes.")],
    device: str = "cuda",
) -> None:
    """Write landscapes of completely measured spaces; says which are not."""
    from ksearch.landscapes.writing import landscapes_of

    to.mkdir(parents=True, exist_ok=True)
    for space in _chosen(names, device):
        records = Records(folder / f"{space.name}.jsonl")
        arch = records.settings[0].arch if records.settings else "sm_90"
        try:
            found = landscapes_of(enumerate_space(space, arch), records)
        except BadInput as error:
            typer.echo(str(error), err=True)
            continue
        for landscape in found:
            path = to / f"{landscape.name}{SUFFIX}"
            save(landscape, path)
            passed = sum(point.passed for point in landscape.points)
            points = f"{len(landscape.points)} points, {passed} passed, noise {landscape.sigma_noise:.2%}"
            typer.echo(f"{path}: {points}, {path.stat().st_size} bytes")


if __name__ == "__main__":
    try:
        app()
    except KsearchError as error:
        typer.echo(f"ksearch: {error}", err=True)
        sys.exit(error.exit_code)
