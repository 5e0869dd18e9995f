"""What `--workloads` accepts: all | REGIME | UUID, comma-separated, each with an optional =WEIGHT; or a file."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from ksearch.definitions.generate import check_axes
from ksearch.definitions.regimes import judged, regime_of
from ksearch.definitions.schema import Definition, Workload
from ksearch.definitions.untrusted import MAX_JSON_BYTES, first_problem, read_text
from ksearch.errors import BadInput
from ksearch.judge.verdict import JudgedWorkload

MIN_PREFIX = 4
"""Fewest characters of a uuid that may stand for the whole."""


def select_workloads(definition: Definition, workloads: Sequence[Workload], spec: str = "all") -> tuple[JudgedWorkload, ...]:
    """The workloads that `spec` names, with weights that sum to 1, in the order of the full set.

    Without weights all count the same. With weights every item has one; a regime's is shared among its members. A file
    holds either FlashInfer-Trace workload lines (.jsonl, with an optional "weight" beside "workload") or one item a line.
    Raises BadInput for an unknown item, a repeated workload, a missing or non-positive weight.
    """
    if Path(spec).suffix == ".jsonl":
        return judged(definition, _own_lines(definition, Path(spec)))
    items = _lines_of(Path(spec)) if Path(spec).is_file() else spec.split(",")
    parsed = [_item(item) for item in items]
    weights = [weight for _, weight in parsed if weight is not None]
    if weights and len(weights) != len(parsed):
        raise BadInput(f"--workloads {spec!r}: give a weight to every item or to none")
    chosen: dict[str, float] = {}
    for name, weight in parsed:
        members = _members(definition, workloads, name)
        if repeated := [workload.uuid for workload in members if workload.uuid in chosen]:
            raise BadInput(f"--workloads names workload {repeated[0]} twice (again by {name!r})")
        chosen.update({workload.uuid: 1.0 if weight is None else weight / len(members) for workload in members})
    return judged(definition, [(workload, chosen[workload.uuid]) for workload in workloads if workload.uuid in chosen])


def _item(text: str) -> tuple[str, float | None]:
    name, equals, weight = text.strip().partition("=")
    return name.strip(), _weight(weight, text) if equals else None


def _weight(value: object, where: str) -> float:
    try:
        weight = float(str(value))
    except ValueError:
        weight = math.nan
    if not (0 < weight < math.inf):
        raise BadInput(f"--workloads: the weight in {where.strip()!r} must be a positive number")
    return weight


def _members(definition: Definition, workloads: Sequence[Workload], name: str) -> list[Workload]:
    """The workloads an item stands for: all, a regime's, or the one of a uuid or of its unambiguous prefix."""
    if name == "all":
        return list(workloads)
    if members := [workload for workload in workloads if regime_of(definition, workload) == name]:
        return members
    if exact := [workload for workload in workloads if workload.uuid == name]:
        return exact
    prefixed = [workload for workload in workloads if len(name) >= MIN_PREFIX and workload.uuid.startswith(name)]
    if len(prefixed) == 1:
        return prefixed
    if prefixed:
        raise BadInput(f"--workloads: {name!r} is the start of {len(prefixed)} uuids; give more of it")
    regimes = ", ".join(dict.fromkeys(regime_of(definition, workload) for workload in workloads))
    raise BadInput(f"--workloads: {name!r} is no regime ({regimes}), uuid or file of workloads of {definition.name}")


def _lines_of(path: Path) -> list[str]:
    lines = [line.split("#")[0].strip() for line in read_text(path, MAX_JSON_BYTES, follow=True).splitlines()]
    if items := [line for line in lines if line]:
        return items
    raise BadInput(f"--workloads {path}: the file names no workload")


def _own_lines(definition: Definition, path: Path) -> list[tuple[Workload, float]]:
    """Workloads a user wrote down: lines of FlashInfer-Trace, of this definition only."""
    try:
        lines = read_text(path, MAX_JSON_BYTES, follow=True).splitlines()
    except BadInput as error:
        raise BadInput(f"--workloads {error}") from error
    found = [_own_line(definition, line, f"{path}:{number}") for number, line in enumerate(lines, 1) if line.strip()]
    uuids = [workload.uuid for workload, _ in found]
    if not found or len(set(uuids)) != len(uuids):
        raise BadInput(f"--workloads {path}: {'a uuid stands twice' if found else 'no workload in it'}")
    return found


def _own_line(definition: Definition, line: str, where: str) -> tuple[Workload, float]:
    try:
        content = json.loads(line)
        workload = Workload.model_validate(content["workload"])
    except ValidationError as error:
        raise BadInput(f"{where}: {first_problem(error)}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{where}: not a FlashInfer-Trace workload line ({error})") from error
    if content.get("definition") != definition.name:
        raise BadInput(f"{where}: a workload of {content.get('definition')!r}, not of {definition.name}")
    check_axes(definition, workload)
    return workload, _weight(content.get("weight", 1.0), where)
