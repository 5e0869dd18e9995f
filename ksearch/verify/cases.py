"""What is to be verified: solutions with the definition each solves, and what they are judged on. Bad input ends here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter

from ksearch.definitions.catalog import load_definition, workloads_for
from ksearch.definitions.dataset import Dataset, read_dataset
from ksearch.definitions.schema import Definition, Solution
from ksearch.definitions.selection import select_workloads
from ksearch.definitions.solutions import load_solution, read_solution
from ksearch.devices import resolve
from ksearch.errors import BadInput
from ksearch.judge.verdict import Job, JudgedWorkload, Verdict
from ksearch.store.fold import RunState
from ksearch.store.journal import read_state
from ksearch.store.log import EventLog
from ksearch.store.runs import default_runs_dir, find_run

WORKLOADS: TypeAdapter[tuple[JudgedWorkload, ...]] = TypeAdapter(tuple[JudgedWorkload, ...])
UNCONTESTED: Literal["promote"] = "promote"
"""Kind of the job: every stage and every hidden workload, as for a promotion, only that nobody is to be beaten."""


@dataclass(frozen=True)
class Recorded:
    """What a run says of its incumbent: weighted mean latency in microseconds, and by which timer."""

    run: str
    latency_us: float
    timer: str | None


@dataclass(frozen=True)
class Case:
    """One solution to judge. `name` is what the user called it."""

    name: str
    job: Job
    recorded: Recorded | None = None


@dataclass(frozen=True)
class Options:
    """As the command line gives them."""

    device: str | None = None
    workloads: str = "all"
    definition: str | None = None
    dataset: Path | None = None
    allow_libraries: bool = False
    unsafe_runner: bool = False


def cases_of(paths: Sequence[Path], options: Options) -> list[Case]:
    """Raises BadInput before anything is judged."""
    device = resolve(options.device or "auto")
    dataset = None if options.dataset is None else read_dataset(options.dataset)
    named = None if options.definition is None else load_definition(options.definition, dataset)
    return [_case(path, device.spec, options, dataset, named) for path in paths]


def _case(path: Path, device: str, options: Options, dataset: Dataset | None, named: Definition | None) -> Case:
    solution = read_solution(path, "solution", named) if named is None else load_solution(path, named, "solution")
    definition = named or _definition_of(path, solution, dataset)
    known = () if options.workloads.endswith(".jsonl") else workloads_for(definition, "cpu" if device == "cpu" else "cuda", dataset)
    job = Job(
        job=f"verify-{path.name}",
        kind=UNCONTESTED,
        definition=definition,
        solution=solution,
        workloads=select_workloads(definition, known, options.workloads),
        baseline=None if dataset is None else dataset.best_solution(definition.name),
        device=device,
        allow_libraries=options.allow_libraries,
        unsafe_runner=options.unsafe_runner,
        dataset_root=None if dataset is None else str(dataset.root),
    )
    return Case(str(path), job)


def _definition_of(path: Path, solution: Solution, dataset: Dataset | None) -> Definition:
    """By its exact name: an alias or a prefix in a file from elsewhere is a mistake."""
    definition = load_definition(solution.definition, dataset) if "/" not in solution.definition else None
    if definition is None or definition.name != solution.definition:
        raise BadInput(f"solution {path}: solves {solution.definition!r}, which is not known here; give --definition FILE or --dataset")
    return definition


def case_of_run(run: str, runs_dir: Path | None, options: Options) -> Case:
    """A run's incumbent on the run's own definition, workloads and baseline. Raises BadInput where there is none."""
    paths = find_run(run, default_runs_dir(runs_dir))
    with EventLog.open_reader(paths.database) as log:
        state = read_state(log)
        return _incumbent(state, log, options)


def _incumbent(state: RunState, log: EventLog, options: Options) -> Case:
    header, best, candidate = state.header, state.incumbent, state.incumbent_candidate
    if best is None or candidate is None:
        raise BadInput(f"run {header.run}: has no incumbent to verify")
    definition = Definition.model_validate_json(log.get_blob(header.definition))
    full = WORKLOADS.validate_json(log.get_blob(header.workloads))
    chosen = full if options.workloads == "all" else select_workloads(definition, [item.workload for item in full], options.workloads)
    dataset = state.settings.dataset
    job = Job(
        job=f"verify-{header.run}",
        kind=UNCONTESTED,
        definition=definition,
        solution=Solution.model_validate_json(log.get_blob(candidate.written.solution)),
        workloads=chosen,
        baseline=None if header.baseline is None else Solution.model_validate_json(log.get_blob(header.baseline)),
        device=resolve(options.device or header.device).spec,
        objective=state.settings.objective,
        allow_libraries=options.allow_libraries or state.settings.allow_libraries,
        unsafe_runner=options.unsafe_runner,
        dataset_root=None if dataset is None else str(dataset),
    )
    comparable = job.device == header.device and options.workloads == "all"
    timer = Verdict.model_validate_json(log.get_blob(candidate.verdicts["promote"].verdict)).timer
    return Case(header.run, job, Recorded(header.run, best.latency_us, timer) if comparable else None)
