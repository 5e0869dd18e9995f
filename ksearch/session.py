"""One sitting with a run: create or reopen it, search, report, exit code."""

from __future__ import annotations

import os
import platform
import secrets
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from types import FrameType

from pydantic import BaseModel

from ksearch.branching import Point, branch_at, plant
from ksearch.definitions.catalog import alias_of
from ksearch.definitions.schema import Solution
from ksearch.definitions.solutions import save_folder
from ksearch.errors import BadInput, KsearchError, Unavailable
from ksearch.forecasting.choice import choose_forecaster, desk_for
from ksearch.forecasting.desk import ForecastDesk
from ksearch.jobs import WORKLOADS
from ksearch.judge.verdict import JUDGE_VERSION
from ksearch.llm.desk import Desk as ModelDesk
from ksearch.llm.desk import Record
from ksearch.llm.record import Answers
from ksearch.memory.run import add_from, recall_into
from ksearch.prepare import Setup, parts_of, prepare
from ksearch.profiling.run import learn_bounds
from ksearch.report.progress import progress_view
from ksearch.report.showtree import keep_tree
from ksearch.report.summary import RunSummary, print_summary, summarise
from ksearch.search import Search
from ksearch.settings import Overlay, Settings, merge, parse_assignment, resolve
from ksearch.store.events import BudgetChanged, Opened, RunCreated, RunEnded
from ksearch.store.fold import RunState
from ksearch.store.journal import Journal, read_state
from ksearch.store.log import EventLog, program_version
from ksearch.store.runs import RunPaths, check_name, default_runs_dir, find_run, new_run_id

LIBRARIES = ("torch", "triton", "numpy", "flashinfer-bench", "apache-tvm-ffi", "pydantic")
EXIT_OF_STATUS: Mapping[str, int] = {"done": 0, "budget": 0, "no_candidate": 3, "error": 4}


@dataclass
class Stop:
    """Set by Ctrl-C or SIGTERM; a second Ctrl-C ends the process the hard way."""

    event: threading.Event = field(default_factory=threading.Event)
    signal_number: int | None = None

    def handle(self, number: int, _frame: FrameType | None) -> None:
        if self.event.is_set():
            raise KeyboardInterrupt
        self.signal_number = number
        self.event.set()


@contextmanager
def stop_on_signals() -> Iterator[Stop]:
    stop = Stop()
    before = {number: signal.signal(number, stop.handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def new_run(settings: Settings, *, runs_dir: Path | None, name: str | None, as_json: bool, reuse: str | None = None) -> int:
    """Create a run and search. Returns the exit code; raises BadInput before anything is written.

    `reuse` names a run whose model answers are taken where a request is the same, instead of asking and paying again.
    """
    setup, models = prepare(settings), ModelDesk(answers_of(reuse, runs_dir))
    run = check_name(name) if name is not None else _run_id(setup)
    paths = RunPaths(default_runs_dir(runs_dir) / run)
    with EventLog.create(paths.database) as log:
        journal = Journal.create(log, _header(run, setup, log), setup.settings)
        return _search(journal, setup, paths, as_json, desk=_desk(setup, models, paths), resumed=False, models=models)


def resume_run(run: str, *, assignments: tuple[str, ...], runs_dir: Path | None, as_json: bool) -> int:
    """Go on with a stored run. Raises BadInput when what it rests on has changed."""
    paths = find_run(run, default_runs_dir(runs_dir))
    with EventLog.open_writer(paths.database) as log:
        journal = Journal.reopen(log)
        setup = _same_setup(journal.state, log)
        if assignments:
            settings = _changed_budget(journal.state.settings, assignments)
            journal.record(BudgetChanged(budget=settings.budget), durable=True)
            setup = replace(setup, settings=settings)
        models = ModelDesk()
        return _search(journal, setup, paths, as_json, desk=_desk(setup, models, None, journal.state), resumed=True, models=models)


def answers_of(run: str | None, runs_dir: Path | None) -> Record | None:
    """The model answers of a stored run, by request; None when no run is named."""
    if run is None:
        return None
    with EventLog.open_reader(find_run(run, default_runs_dir(runs_dir)).database) as log:
        return Answers.of(log).take


def branch_run(source: str, overlay: Overlay, *, runs_dir: Path | None, name: str | None, as_json: bool) -> int:
    """Search on from a moment of a stored run, in a new one. Raises BadInput before anything is written."""
    point = Point.parse(source)
    with EventLog.open_reader(find_run(point.run, default_runs_dir(runs_dir)).database) as old:
        branch = branch_at(old, point, overlay)
        setup = _same_setup(branch.state, old)
        run = check_name(name) if name is not None else _run_id(setup)
        paths = RunPaths(default_runs_dir(runs_dir) / run)
        log = EventLog.create(paths.database)
        with log:
            journal = plant(branch, old, log)
            old.close()
            noted, models = replace(setup, notes=(branch.note, *setup.notes)), ModelDesk()
            return _search(journal, noted, paths, as_json, desk=_desk(setup, models, paths, journal.state), resumed=False, models=models)


def open_state(run: str, runs_dir: Path | None) -> RunState:
    """The state of a stored run, read while it may be running."""
    paths = find_run(run, default_runs_dir(runs_dir))
    with EventLog.open_reader(paths.database) as log:
        return read_state(log)


def _run_id(setup: Setup) -> str:
    name = alias_of(setup.definition.name) or setup.definition.name
    return new_run_id(name, datetime.now(UTC), secrets.token_hex(2))


def _header(run: str, setup: Setup, log: EventLog) -> RunCreated:
    def store(value: BaseModel) -> str:
        return log.put_blob(value.model_dump_json().encode("utf-8", "surrogatepass"))

    return RunCreated(
        run=run,
        ksearch_version=program_version(),
        judge_version=JUDGE_VERSION,
        settings=store(setup.settings),
        definition=store(setup.definition),
        definition_name=setup.definition.name,
        workloads=log.put_blob(WORKLOADS.dump_json(setup.full)),
        subset=log.put_blob(WORKLOADS.dump_json(setup.subset)),
        baseline=None if setup.baseline is None else store(setup.baseline),
        start=None if setup.start is None else store(setup.start),
        seed=setup.settings.seed,
        device=setup.device.spec,
        device_name=setup.device.name,
        family=setup.family_name,
        arch=setup.device.arch,
    )


def _same_setup(state: RunState, log: EventLog) -> Setup:
    """What the run was about, taken from the log; refused when the same names mean something else by now."""
    header = state.header
    if header.judge_version != JUDGE_VERSION:
        raise BadInput(
            f"run {header.run}: judged by version {header.judge_version}, this is {JUDGE_VERSION}; its numbers can't be continued"
        )
    now = prepare(state.settings.model_copy(update={"start": None, "baseline": None, "device": header.device}))
    if now.device.name != header.device_name:
        raise BadInput(f"run {header.run}: measured on {header.device_name}, {now.device.spec} here is {now.device.name}")
    stored = {
        "definition": (log.get_blob(header.definition), now.definition.model_dump_json().encode()),
        "workloads": (log.get_blob(header.workloads), WORKLOADS.dump_json(now.full)),
        "workload subset": (log.get_blob(header.subset), WORKLOADS.dump_json(now.subset)),
    }
    for name, (then, today) in stored.items():
        if then != today:
            raise BadInput(f"run {header.run}: the {name} of {header.definition_name} changed since it began; start a new run")

    def solution(digest: str | None) -> Solution | None:
        return None if digest is None else Solution.model_validate_json(log.get_blob(digest))

    return replace(now, settings=state.settings, baseline=solution(header.baseline), start=solution(header.start))


def _changed_budget(settings: Settings, assignments: tuple[str, ...]) -> Settings:
    overlays = [parse_assignment(text) for text in assignments]
    if any(set(overlay) != {"budget"} for overlay in overlays):
        raise BadInput("resume --set: only budget.* may change; anything else would be another search")
    return resolve([settings.model_dump(mode="python"), merge(overlays)])


def _desk(setup: Setup, models: ModelDesk, paths: RunPaths | None, state: RunState | None = None) -> ForecastDesk | None:
    """The forecaster of the settings, or the one that a resumed run began with: its record is that one's."""
    name = choose_forecaster(setup.settings).name
    if state is not None and state.surrogate is not None:
        name = state.surrogate.opened.forecaster
    if name is None:
        return None
    runs = None if paths is None else paths.folder.parent
    return desk_for(name, setup.settings, models, runs=runs, definition=setup.definition.name, device_name=setup.device.name)


def _search(
    journal: Journal, setup: Setup, paths: RunPaths, as_json: bool, *, desk: ForecastDesk | None, resumed: bool, models: ModelDesk
) -> int:
    view = progress_view(journal.state, setup.notes, paths, live=not as_json and sys.stderr.isatty(), resumed=resumed)
    parts = replace(parts_of(setup, models, run_folder=paths.folder), desk=desk)
    journal.observers.append(view.observe)
    failure: KsearchError | None = None
    with stop_on_signals() as stop:
        try:
            with view:
                journal.record(Opened(pid=os.getpid(), resumed=resumed, environment=_environment()))
                learn_bounds(journal, setup)
                if not resumed and journal.state.recalled is None:
                    recall_into(journal, setup, paths.folder.parent)
                ending = Search(journal, parts, stop.event).run()
        except (Unavailable, BadInput) as error:
            failure, ending = error, RunEnded(status="error", reason=str(error))
        finally:
            parts.evaluator.close()
    summary = summarise(journal.state, journal.log, ending, _write_incumbent(journal, paths))
    print_summary(summary, as_json)
    _remember(journal, setup, paths)
    journal.log.close()
    keep_tree(paths.database, journal.state)
    if failure is not None:
        print(f"ksearch: {failure}", file=sys.stderr)  # noqa: T201
        return failure.exit_code
    return _exit_code(ending, summary, stop)


def _remember(journal: Journal, setup: Setup, paths: RunPaths) -> None:
    """What can't be remembered costs the run nothing, but is said."""
    try:
        add_from(journal, setup, paths.folder.parent)
    except BadInput as error:
        print(f"ksearch: this run was not added to what earlier runs taught: {error}", file=sys.stderr)  # noqa: T201


def _exit_code(ending: RunEnded, summary: RunSummary, stop: Stop) -> int:
    if ending.status == "interrupted":
        return 143 if stop.signal_number == signal.SIGTERM else 130
    code = EXIT_OF_STATUS[ending.status]
    return 3 if code == 0 and summary.incumbent is None else code


def _write_incumbent(journal: Journal, paths: RunPaths) -> Path | None:
    """The incumbent's sources beside the log, for the user to take away; derived, may be deleted."""
    best = journal.state.incumbent_candidate
    if best is None:
        return None
    solution = Solution.model_validate_json(journal.log.get_blob(best.written.solution))
    save_folder(solution, paths.folder / "incumbent")
    target = paths.folder / "incumbent.json"
    target.write_text(solution.model_dump_json(indent=2) + "\n", "utf-8")
    return target


def _environment() -> dict[str, str]:
    found = {"python": platform.python_version(), "system": platform.platform()}
    for library in LIBRARIES:
        try:
            found[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            found[library] = "absent"
    return found


def dry_run_lines(settings: Settings, *, as_json: bool) -> None:
    """What a run with these settings would use, and at most cost. Writes nothing."""
    from ksearch.report.summary import print_dry_run

    print_dry_run(prepare(settings), as_json)
