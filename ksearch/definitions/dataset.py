"""A user's FlashInfer-Trace dataset: definitions, workloads, solutions and traces under one root, read and never written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from ksearch.definitions.recorded import recorded_path, stays_inside
from ksearch.definitions.schema import Definition, FromTheField, SafetensorsInput, Solution, Workload
from ksearch.definitions.untrusted import first_problem, read_text
from ksearch.errors import BadInput, Unavailable

if TYPE_CHECKING:
    from types import ModuleType

Model = TypeVar("Model", bound=BaseModel)


class Performance(FromTheField):
    """Latencies in milliseconds, as traces hold them."""

    latency_ms: float
    reference_latency_ms: float
    speedup_factor: float


class Environment(FromTheField):
    hardware: str
    libs: Mapping[str, str] = {}


class Evaluation(FromTheField):
    status: str
    environment: Environment
    performance: Performance | None = None


class Trace(FromTheField):
    """One line of workloads/ (only a workload) or traces/ (a solution's evaluation on it)."""

    definition: str
    workload: Workload
    solution: str | None = None
    evaluation: Evaluation | None = None


MAX_BYTES = 2**30
"""Of one file: data sets have large ones, but none without end."""


@dataclass(frozen=True)
class Dataset:
    """What a dataset holds, keyed by definition name. `root` is where the safetensors paths of its workloads start."""

    root: Path
    definitions: Mapping[str, Definition] = field(default_factory=dict)
    workloads: Mapping[str, tuple[Workload, ...]] = field(default_factory=dict)
    solutions: Mapping[str, tuple[Solution, ...]] = field(default_factory=dict)
    traces: Mapping[str, tuple[Trace, ...]] = field(default_factory=dict)

    def complete_workloads(self, definition: str) -> tuple[Workload, ...]:
        """The workloads of a definition, every recorded file present. Datasets are big and often downloaded in part, so
        only what is asked for must be there: BadInput names the first file that isn't."""
        found = self.workloads.get(definition, ())
        for workload in found:
            for spec in workload.inputs.values():
                if isinstance(spec, SafetensorsInput) and not (path := recorded_path(spec, self.root)).is_file():
                    raise BadInput(
                        f"workload {workload.uuid} of {definition}: {path} is missing; download the dataset's blobs of {definition}"
                    )
        return found

    def best_solution(self, definition: str) -> Solution | None:
        """The passing solution with the lowest mean recorded latency over the most workloads: a baseline. None without one.

        Recorded latencies may come from another machine; they only choose what to measure here.
        """
        latencies: dict[str, list[float]] = {}
        for trace in self.traces.get(definition, ()):
            evaluation = trace.evaluation
            if trace.solution and evaluation and evaluation.status == "PASSED" and evaluation.performance:
                latencies.setdefault(trace.solution, []).append(evaluation.performance.latency_ms)
        known = [solution for solution in self.solutions.get(definition, ()) if solution.name in latencies]
        return min(known, key=lambda s: (-len(latencies[s.name]), sum(latencies[s.name]) / len(latencies[s.name])), default=None)


def read_dataset(path: str | Path) -> Dataset:
    """Reads the whole dataset through flashinfer_bench's own data classes, then into ksearch's.

    Files are found as `TraceSet.from_path` finds them, but one at a time, so that an error names its file and line, and
    a path that doesn't exist is refused (from_path would create it). Raises BadInput for the first malformed file,
    Unavailable without flashinfer-bench.
    """
    root = Path(path)
    if not root.is_dir():
        raise BadInput(f"no dataset at {root}: it is not a folder")
    if not (root / "definitions").is_dir():
        raise BadInput(f"{root} is not a FlashInfer-Trace dataset: it has no folder 'definitions'")
    theirs = _flashinfer_bench()
    definitions = _unique("definition", _json_files(root / "definitions", theirs.Definition, Definition))
    solutions = _unique("solution", _json_files(root / "solutions", theirs.Solution, Solution))
    workloads = _lines(root / "workloads", theirs.Trace, _only_workload)
    traces = _lines(root / "traces", theirs.Trace, _evaluated)
    dataset = Dataset(
        root=root,
        definitions=definitions,
        workloads=_grouped([(trace.definition, trace.workload) for trace, _ in workloads]),
        solutions=_grouped([(solution.definition, solution) for solution in solutions.values()]),
        traces=_grouped([(trace.definition, trace) for trace, _ in traces]),
    )
    for trace, where in workloads:
        _check_workload(definitions.get(trace.definition), trace, where)
    return dataset


def _flashinfer_bench() -> ModuleType:
    try:
        import flashinfer_bench.data
    except ImportError as error:
        raise Unavailable("--dataset reads through flashinfer-bench, which is not installed: pip install flashinfer-bench") from error
    module: ModuleType = flashinfer_bench.data
    return module


def _parse(text: str, where: str, theirs: type[BaseModel], ours: type[Model]) -> Model:
    """Valid for both: flashinfer_bench decides what a dataset may hold, ours is what the search works with."""
    try:
        theirs.model_validate_json(text)
        return ours.model_validate_json(text)
    except ValidationError as error:
        raise BadInput(f"{where}: {first_problem(error)}") from error


def _json_files(folder: Path, theirs: type[BaseModel], ours: type[Model]) -> list[tuple[Model, Path]]:
    return [(_parse(read_text(path, MAX_BYTES, follow=True), str(path), theirs, ours), path) for path in sorted(folder.rglob("*.json"))]


def _unique(kind: str, found: list[tuple[Any, Path]]) -> dict[str, Any]:
    by_name: dict[str, tuple[Any, Path]] = {}
    for item, path in found:
        if item.name in by_name:
            raise BadInput(f"{path}: {kind} {item.name!r} is already in {by_name[item.name][1]}")
        by_name[item.name] = (item, path)
    return {name: item for name, (item, _) in by_name.items()}


def _lines(folder: Path, theirs: type[BaseModel], check: Callable[[Trace, str], None]) -> list[tuple[Trace, str]]:
    found = []
    for where, line in _numbered(folder):
        trace = _parse(line, where, theirs, Trace)
        check(trace, where)
        found.append((trace, where))
    return found


def _numbered(folder: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(folder.rglob("*.jsonl")):
        for number, line in enumerate(read_text(path, MAX_BYTES, follow=True).splitlines(), 1):
            if line.strip():
                yield f"{path}:{number}", line


def _only_workload(trace: Trace, where: str) -> None:
    if trace.solution is not None or trace.evaluation is not None:
        raise BadInput(f"{where}: workloads/ holds workloads only, this line has a solution or an evaluation (it belongs in traces/)")


def _evaluated(trace: Trace, where: str) -> None:
    if trace.solution is None or trace.evaluation is None:
        raise BadInput(f"{where}: a trace needs a solution and its evaluation (a bare workload belongs in workloads/)")


def _check_workload(definition: Definition | None, trace: Trace, where: str) -> None:
    """Refuses what would only fail in the middle of a run: an unknown input, an open axis, a path out of the dataset."""
    if definition is None:
        return  # of a definition kept elsewhere: nothing here can use it
    if missing := [axis for axis in definition.var_axes if axis not in trace.workload.axes]:
        raise BadInput(f"{where}: no value for the axes {', '.join(missing)}")
    for name, spec in trace.workload.inputs.items():
        if name not in definition.inputs:
            raise BadInput(f"{where}: {trace.definition} has no input {name!r}")
        if isinstance(spec, SafetensorsInput) and not stays_inside(spec.path):
            raise BadInput(f"{where}: safetensors path {spec.path!r} must be relative and stay inside the dataset")


def _grouped(pairs: list[tuple[str, Any]]) -> dict[str, tuple[Any, ...]]:
    grouped: dict[str, list[Any]] = {}
    for name, item in pairs:
        grouped.setdefault(name, []).append(item)
    return {name: tuple(items) for name, items in grouped.items()}
