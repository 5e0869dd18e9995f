"""What a run's log teaches others."""

from __future__ import annotations

import hashlib

from ksearch.definitions.schema import Definition
from ksearch.errors import BadInput
from ksearch.store.events import RunCreated, parse_event
from ksearch.store.fold import RunState
from ksearch.store.log import EventLog
from ksearch.worldmodel.document import Kind
from ksearch.worldmodel.memory import Class, Contribution, Tally
from ksearch.worldmodel.types import Belief


def contribution_of(state: RunState, log: EventLog) -> Contribution:
    """Of a run's state, with the log that it was folded from. What a branch took over from another run is that run's to tell.

    Raises BadInput for a run whose latencies were made up.
    """
    header = state.header
    if state.settings.evaluator == "fake":
        raise BadInput(f"run {header.run}: its latencies are made up (--evaluator fake); nothing can be learnt from it")
    definition = Definition.model_validate_json(log.get_blob(header.definition))
    before = {} if header.branched is None else _beliefs_at(state, log, header.branched.seq + 1)
    tallies = (_without(_tally(belief), before.get(name)) for name, belief in sorted(state.beliefs.by_technique.items()))
    return Contribution(
        identity=identity_of(log), run=header.run, seq=log.last_seq, definition=definition.name,
        about=class_of(definition, header, state), judge=header.judge_version, tallies=tuple(tally for tally in tallies if tally.tries),
        lessons=tuple(entry.text for entry in state.document.of(Kind.LESSON)),
    )  # fmt: skip


def class_of(definition: Definition, header: RunCreated, state: RunState | None) -> Class:
    bounds = None if state is None else state.bounds
    return Class(definition.op_type, header.arch or header.device.partition(":")[0], "" if bounds is None else bounds.binds)


def identity_of(log: EventLog) -> str:
    """The same for every copy of a run, under whatever name: when it began, and with what."""
    first = next(iter(log.events()))
    header = parse_event(first.payload)
    assert isinstance(header, RunCreated)
    text = f"{first.time!r} {header.model_copy(update={'run': ''}).model_dump_json()}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _beliefs_at(state: RunState, log: EventLog, upto: int) -> dict[str, Tally]:
    """As they were after the events that a branch began with."""
    then = RunState.begin(state.header, state.settings)
    for stored in log.events(after=1):
        if stored.seq > upto:
            break
        then.replay(stored.seq, stored.payload, stored.time)
    return {name: _tally(belief) for name, belief in then.beliefs.by_technique.items()}


def _tally(belief: Belief) -> Tally:
    return Tally(belief.technique, belief.gains, belief.gain_sum, belief.gain_sumsq, belief.successes, belief.failures)


def _without(tally: Tally, earlier: Tally | None) -> Tally:
    if earlier is None:
        return tally
    return Tally(
        tally.technique, tally.gains - earlier.gains, tally.gain_sum - earlier.gain_sum, max(0.0, tally.gain_sumsq - earlier.gain_sumsq),
        tally.successes - earlier.successes, tally.failures - earlier.failures,
    )  # fmt: skip
