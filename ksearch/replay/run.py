"""`ksearch run --replay`: a new run beside the recorded one, and whether both end in the same tree."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ksearch.coder.types import Target
from ksearch.definitions.schema import Definition, Solution
from ksearch.devices import Device
from ksearch.jobs import WORKLOADS
from ksearch.parts import Parts
from ksearch.prepare import Setup, languages_of, parts_of
from ksearch.replay.recorded import Diverged, RecordedDesk, RecordedEvaluator, RecordedForecasts
from ksearch.replay.search import replay
from ksearch.store.events import Event, RunCreated, SurrogateOpened, parse_event
from ksearch.store.fold import RunState
from ksearch.store.journal import Journal, read_state
from ksearch.store.log import EventLog
from ksearch.store.runs import RunPaths, check_name, default_runs_dir, find_run

ARCHITECTURES = {"H100": "sm_90", "H200": "sm_90", "GH200": "sm_90", "B200": "sm_100", "A100": "sm_80"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """A replay that came through."""

    run: str
    replay_of: str
    nodes: int
    candidates: int
    model_calls: int


def replay_run(run: str, *, runs_dir: Path | None, name: str | None, as_json: bool) -> int:
    """Exit code 0 when the trees are the same. Raises Diverged with the first difference."""
    folder = default_runs_dir(runs_dir)
    with EventLog.open_reader(find_run(run, folder).database) as record:
        state = read_state(record)
        copy = check_name(name) if name is not None else _free_name(f"{state.header.run}-replay", folder)
        with EventLog.create(RunPaths(folder / copy).database) as log:
            outcome = replayed(record, state, log, copy)
    if as_json:
        print(json.dumps({"run": copy, "replay_of": outcome.replay_of, "same_tree": True, "nodes": outcome.nodes}))  # noqa: T201
        return 0
    print(  # noqa: T201
        f"{outcome.replay_of}: the same tree again ({outcome.nodes} nodes, {outcome.candidates} candidates, {outcome.model_calls} model "
        f"calls), kept as {copy}",
        file=sys.stderr,
    )
    return 0


def replayed(record: EventLog, state: RunState, log: EventLog, run: str) -> Outcome:
    """Replay `record`, whose folded state is `state`, into an empty log. Raises Diverged."""
    events = [parse_event(stored.payload) for stored in record.events()]
    setup = stored_setup(record, state)
    for stored in record.events():
        event = parse_event(stored.payload)
        if isinstance(event, RunCreated):
            for digest in (event.settings, event.definition, event.workloads, event.subset, event.baseline, event.start):
                if digest is not None:
                    log.put_blob(record.get_blob(digest))
    # Jobs are named after the run, so the copy keeps the recorded header but for its own name.
    journal = Journal.create(log, state.header.model_copy(update={"run": run}), setup.settings)
    evaluator = RecordedEvaluator(record, events)

    def parts(desk: RecordedDesk) -> Parts:
        return replace(parts_of(setup, desk=desk, evaluator=evaluator), desk=forecasts_of(events))

    replay(record, journal, parts)
    check_same(state, journal.state)
    return Outcome(run, state.header.run, len(state.tree) if state.tree is not None else 0, len(state.candidates), len(state.calls))


def forecasts_of(events: Sequence[Event]) -> RecordedForecasts | None:
    """None for a run without a surrogate."""
    opened = next((event for event in events if isinstance(event, SurrogateOpened)), None)
    return None if opened is None else RecordedForecasts(opened)


def check_same(recorded: RunState, again: RunState) -> None:
    """Raises Diverged unless both are the same search: tree, incumbent, beliefs and document."""
    then, now = _picture(recorded), _picture(again)
    for name, value in then.items():
        if value != now[name]:
            raise Diverged(f"{recorded.header.run}: the replay ends with another {name}")


def _picture(state: RunState) -> dict[str, object]:
    return {
        "tree": None if state.tree is None else state.tree.snapshot(),
        "incumbent": None if state.incumbent is None else state.incumbent.candidate,
        "set of beliefs": sorted(state.beliefs.all(), key=lambda belief: belief.technique),
        "world model": state.document,
        "sum of money and tokens": (state.ledger.spent.usd, state.ledger.spent.tokens),
    }


def stored_setup(log: EventLog, state: RunState) -> Setup:
    """What the run was about, from its log alone: no device, no dataset, no file of the user's."""
    header = state.header
    settings = type(state.settings).model_validate_json(log.get_blob(header.settings))

    def solution(digest: str | None) -> Solution | None:
        return None if digest is None else Solution.model_validate_json(log.get_blob(digest))

    device = Device(header.device, header.device_name, header.arch or _arch_of(header.device_name))
    return Setup(
        settings=settings,
        definition=Definition.model_validate_json(log.get_blob(header.definition)),
        full=WORKLOADS.validate_json(log.get_blob(header.workloads)),
        subset=WORKLOADS.validate_json(log.get_blob(header.subset)),
        baseline=solution(header.baseline),
        start=solution(header.start),
        device=device,
        target=Target(device.kind, device.arch, languages_of(settings, device), threads=1),
        notes=(),
    )


def _arch_of(device_name: str) -> str | None:
    """For logs older than the header's field: the architecture of GPUs that runs were recorded on."""
    return next((arch for model, arch in ARCHITECTURES.items() if model in device_name), None)


def _free_name(name: str, folder: Path) -> str:
    number = 1
    while (folder / (name if number == 1 else f"{name}-{number}")).exists():
        number += 1
    return name if number == 1 else f"{name}-{number}"
