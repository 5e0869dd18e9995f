"""Stages that ask whether a candidate is right: smoke, numerics, repetition, hidden workloads, mutation probes.

Each check is made under random fills of the outputs. An element that follows the fill from one run to the next was never
written, however plausible its value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ksearch.definitions.schema import Definition, Workload
from ksearch.judge.arena import CallSet, Layout
from ksearch.judge.failures import StageFailure, from_runner
from ksearch.judge.inputs import CHANGES, InputSource, changed
from ksearch.judge.oracles import Expectation, Oracle, Problem
from ksearch.judge.oracles.base import Errors
from ksearch.judge.oracles.tolerance import element_name
from ksearch.judge.runner_handle import RunnerDied, RunnerError, RunnerTimeout
from ksearch.judge.seeds import Seeds
from ksearch.judge.session import Session
from ksearch.judge.verdict import Stage, Status

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Checker:
    """What every check of a job needs."""

    definition: Definition
    oracle: Oracle
    source_of: Callable[[Workload], InputSource]
    seeds: Seeds

    def smoke(self, session: Session, workload: Workload) -> None:
        """One call on the smallest workload: does it run at all, and is it right."""
        self._first_run(session, workload, Stage.SMOKE)

    def numerics(self, session: Session, workloads: Iterable[Workload], stage: Stage = Stage.NUMERICS) -> dict[str, Errors]:
        """Fresh inputs under two fills; errors by workload. Also used for hidden workloads, under their own stage's name."""
        return {workload.uuid: self._twice(session, workload, stage)[2] for workload in workloads}

    def repetition(self, session: Session, workloads: Iterable[Workload]) -> None:
        """The same inputs again: right each time; an exact operator gives equal bytes."""
        for workload in workloads:
            call, expectation, _ = self._twice(session, workload, Stage.REPETITION)
            with blamed(session, Stage.REPETITION, workload):
                first = session.outputs(call)
                session.resume()
                session.refill(call)
                session.go()
                again = session.outputs(call)
                session.resume()
            self.judge(expectation, again, Stage.REPETITION, workload)
            if self.oracle.exact and any(not _same(a, b) for a, b in zip(first, again, strict=True)):
                raise StageFailure(Status.INCORRECT_NUMERICAL, Stage.REPETITION, "two runs on equal inputs differ", workload=workload.uuid)

    def mutation(self, session: Session, workloads: Iterable[Workload]) -> None:
        """New values at the same addresses, then ever less of them, where a sampled fingerprint doesn't look."""
        for workload in workloads:
            source = self.source_of(workload)
            call = self._first_run(session, workload, Stage.MUTATION)[0]
            for kind in CHANGES:
                seed = self.seeds.of("mutation", kind, workload.uuid)
                inputs = changed(kind, call.inputs, source.new(seed), seed)
                with blamed(session, Stage.MUTATION, workload):
                    call = session.restage(call, inputs, seed, kind)
                    session.go()
                self._settle(session, call, Stage.MUTATION, workload, f"with {kind} changed at the same addresses: ")

    def _first_run(self, session: Session, workload: Workload, stage: Stage) -> tuple[CallSet, Expectation, Errors]:
        seed = self.seeds.of(stage, workload.uuid)
        inputs = self.source_of(workload).new(seed)
        with blamed(session, stage, workload):
            call = session.stage(Layout.of(self.definition, workload), inputs, seed, workload=workload)
            session.bind(call)
            session.go()
        expectation, errors = self._settle(session, call, stage, workload)
        return call, expectation, errors

    def _twice(self, session: Session, workload: Workload, stage: Stage) -> tuple[CallSet, Expectation, Errors]:
        call, expectation, errors = self._first_run(session, workload, stage)
        earlier = [(out, session.fill_of(call, place)) for place, out in enumerate(session.outputs(call))]
        with blamed(session, stage, workload):
            session.refill(call)
            session.go()
        outputs = session.outputs(call)
        for place, (name, (before, old_fill)) in enumerate(zip(self.definition.outputs, earlier, strict=True)):
            if (missed := _unwritten(before, old_fill, outputs[place], session.fill_of(call, place))) is not None:
                self.unwritten(element_name(name, missed, tuple(before.shape)), stage, workload)
        session.resume()
        self.judge(expectation, outputs, stage, workload)
        return call, expectation, errors

    def _settle(self, session: Session, call: CallSet, stage: Stage, workload: Workload, note: str = "") -> tuple[Expectation, Errors]:
        """After a run, the runner being stopped: what it may not have done, then whether it is right."""
        outputs = session.outputs(call)
        self.refuse_trespass(session, call, stage, workload)
        self.refuse_untouched(session, call, stage, workload)
        session.resume()
        expectation = self.expect(workload, call.inputs)
        return expectation, self.judge(expectation, outputs, stage, workload, note)

    def expect(self, workload: Workload, inputs: tuple[Any, ...]) -> Expectation:
        return self.oracle.expect(workload.uuid, inputs, self.source_of(workload).new)

    def refuse_trespass(self, session: Session, call: CallSet, stage: Stage, workload: Workload) -> None:
        if (what := session.trespass(call)) is not None:
            raise StageFailure(Status.REJECTED, stage, what, workload=workload.uuid)

    def refuse_untouched(self, session: Session, call: CallSet, stage: Stage, workload: Workload) -> None:
        """An output of which not one byte was written."""
        for place, name in enumerate(self.definition.outputs):
            if session.untouched(call, place):
                self.unwritten(f"{name} (all of it)", stage, workload)

    def unwritten(self, element: str, stage: Stage, workload: Workload) -> None:
        message = f"{element}: element not written (it kept the random bytes that were there before the call)"
        raise StageFailure(Status.INCORRECT_NUMERICAL, stage, message, workload=workload.uuid, element=element)

    def judge(self, expectation: Expectation, outputs: list[Any], stage: Stage, workload: Workload, note: str = "") -> Errors:
        found = self.oracle.check(expectation, outputs)
        if isinstance(found, Problem):
            raise StageFailure(found.status, stage, note + found.message, workload=workload.uuid, element=found.element)
        return found


@contextmanager
def blamed(session: Session, stage: Stage, workload: Workload) -> Iterator[None]:
    try:
        yield
    except (RunnerDied, RunnerError, RunnerTimeout) as error:
        raise from_runner(error, stage, workload.uuid, session.runner.log.text) from error


def _bytes(values: Any) -> Any:
    import torch

    return values.contiguous().reshape(-1).view(torch.uint8)


def _same(a: Any, b: Any) -> bool:
    """Equal bytes (NaN equals itself)."""
    import torch

    return bool(torch.equal(_bytes(a), _bytes(b)))


def _unwritten(before: Any, old_fill: Any, after: Any, new_fill: Any) -> int | None:
    """Flat index of an element that held its fill both times, the fills being different there; None when all were written."""
    if before.numel() == 0:
        return None
    width = before.element_size()
    was, now, old, new = (_bytes(x).reshape(-1, width) for x in (before, after, old_fill, new_fill))
    kept = (was == old).all(1) & (now == new).all(1) & (old != new).any(1)
    return int(kept.nonzero()[0]) if bool(kept.any()) else None
