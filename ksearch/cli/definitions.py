"""`ksearch definitions [NAME]`: lists the known definitions, or describes one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ksearch.definitions.catalog import alias_of, all_definitions, bundled_workloads, definition_json, load_definition
from ksearch.definitions.dataset import Dataset, read_dataset
from ksearch.definitions.regimes import regime_counts
from ksearch.definitions.schema import AxisConst, Definition, TensorSpec, Workload


def definitions_command(
    name: Annotated[str | None, typer.Argument(help="A name, alias, unambiguous prefix, or a definition's JSON file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON: the list, or with NAME the Definition itself.")] = False,
    dataset: Annotated[Path | None, typer.Option(help="A FlashInfer-Trace dataset to look in first.")] = None,
) -> None:
    """List the kernel definitions, or describe one."""
    source = read_dataset(dataset) if dataset else None
    if name is None:
        found = all_definitions(source)
        _print_json([_summary(definition, source) for definition in found]) if as_json else _print_list(found, source)
        return
    definition = load_definition(name, source)
    if as_json:
        typer.echo(definition_json(definition))
    else:
        _describe(definition, source)


def _workload_sets(definition: Definition, source: Dataset | None) -> dict[str, tuple[Workload, ...]]:
    """The workloads a run would use, by where they come from: the dataset's, else the bundled for each kind of device."""
    if source and (own := source.workloads.get(definition.name)):
        return {"dataset": own}
    return {"cuda": bundled_workloads(definition.name, "cuda"), "cpu": bundled_workloads(definition.name, "cpu")}


def _summary(definition: Definition, source: Dataset | None) -> dict[str, object]:
    return {
        "name": definition.name,
        "alias": alias_of(definition.name),
        "op_type": definition.op_type,
        "workloads": {kind: len(workloads) for kind, workloads in _workload_sets(definition, source).items()},
        "description": definition.description,
    }


def _print_json(content: object) -> None:
    typer.echo(json.dumps(content, indent=2))


def _print_list(definitions: Sequence[Definition], source: Dataset | None) -> None:
    rows = []
    for definition in definitions:
        counts = " ".join(f"{kind}:{len(found)}" for kind, found in _workload_sets(definition, source).items() if found)
        description = (definition.description or "").splitlines() or [""]
        rows.append((alias_of(definition.name) or "", definition.name, definition.op_type, counts or "none", description[0]))
    _table(("alias", "name", "op_type", "workloads", "description"), rows)


def _describe(definition: Definition, source: Dataset | None) -> None:
    alias = alias_of(definition.name)
    typer.echo(f"{definition.name}{f' (alias {alias})' if alias else ''}, op_type {definition.op_type}")
    if definition.description:
        typer.echo(definition.description)
    axes = [
        (name, str(axis.value) if isinstance(axis, AxisConst) else "var", axis.description or "") for name, axis in definition.axes.items()
    ]
    _section("Axes", ("axis", "value", ""), axes)
    _section("Inputs", ("input", "shape", "dtype", ""), [_tensor_row(name, spec) for name, spec in definition.inputs.items()])
    _section("Outputs", ("output", "shape", "dtype", ""), [_tensor_row(name, spec) for name, spec in definition.outputs.items()])
    if definition.constraints:
        _section("Constraints (descriptive, not enforced)", ("constraint",), [(text,) for text in definition.constraints])
    regimes = [
        (kind, regime, str(count))
        for kind, workloads in _workload_sets(definition, source).items()
        for regime, count in regime_counts(definition, workloads).items()
    ]
    _section("Workloads by regime", ("set", "regime", "workloads"), regimes or [("none", "", "0")])


def _tensor_row(name: str, spec: TensorSpec) -> tuple[str, str, str, str]:
    shape = "scalar" if spec.shape is None else f"[{', '.join(spec.shape)}]"
    return name, shape, spec.dtype, spec.description or ""


def _section(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    typer.echo(f"\n{title}")
    _table(columns, rows)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A Rich table on a terminal; elsewhere tab-separated lines that cut, sort and grep can read."""
    console = Console()
    if not console.is_terminal:
        for row in rows:
            typer.echo("\t".join(row).rstrip("\t"))
        return
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    console.print(table)
