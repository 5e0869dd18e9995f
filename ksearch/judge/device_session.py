"""A candidate at work on a GPU: only outputs lie in shared memory, inputs are made in the runner from the judge's seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ksearch.definitions.schema import Solution, Workload
from ksearch.judge.arena import CallSet, Layout, refill, stage
from ksearch.judge.host import HostFailure, RunnerDied, RunnerError, RunnerTimeout
from ksearch.judge.session import Executed, Session

DEVICE_START_S = 120.0


class DeviceSession(Session):
    """Staged inputs must be `InputSource.new(seed)` of their seed (or empty, when nobody will ask what is right)."""

    def __init__(self, *given: Any, preparation: dict[str, Any], **named: Any) -> None:
        super().__init__(*given, **named)
        self._preparation = preparation
        self._stamps: dict[str, Any] = {}
        self._workload: Workload | None = None
        self._checking = True

    def load(self, solution: Solution, artefact: Path | None) -> None:
        """The runner sets up the device, and is told what is judged, before the candidate's code first runs."""
        try:
            self.runner.ask({"op": "prepare", **self._preparation}, DEVICE_START_S)
        except (RunnerDied, RunnerError, RunnerTimeout) as error:
            raise HostFailure(f"no runner on the device: {error}; {self.runner.log.text[-500:]}") from error
        super().load(solution, artefact)

    def stage(
        self, layout: Layout, inputs: Sequence[tuple[Any, ...]], seeds: Sequence[int], start: int = 0, *, workload: Workload
    ) -> list[CallSet]:
        self._workload = workload
        outputs_only = _without_inputs(layout)
        self.reserve(start + outputs_only.stride * len(seeds))
        given = inputs or [()] * len(seeds)
        return [self._place(outputs_only, start + k * outputs_only.stride, given[k], seed) for k, seed in enumerate(seeds)]

    def _place(self, layout: Layout, base: int, inputs: tuple[Any, ...], seed: int) -> CallSet:
        call = stage(self.arena, layout, base, (), seed)
        call.inputs = inputs
        return call

    def restage(self, call: CallSet, inputs: tuple[Any, ...], seed: int, kind: str) -> CallSet:
        renewed = self._place(call.layout, call.base, inputs, seed)
        self.runner.ask({"op": "refresh", "kind": kind, "seed": seed}, self.timeout_s)
        return renewed

    def refill(self, call: CallSet) -> None:
        refill(self.arena, call)
        self.runner.ask({"op": "refresh"}, self.timeout_s)

    def bind(self, calls: Sequence[CallSet], *, check_inputs: bool = True) -> None:
        """`check_inputs`: compare the inputs with what the seeds say once the call is done."""
        assert self._workload is not None
        self._checking = check_inputs
        message = {
            "op": "bind", "bases": [call.base for call in calls], "seeds": [call.seed for call in calls], "check_inputs": check_inputs,
            "outputs": [slot.describe() for slot in calls[0].layout.outputs], "workload": self._workload.model_dump(mode="json"),
        }  # fmt: skip
        self.runner.ask(message, self.timeout_s)

    def go(self) -> Executed:
        """Run what is bound, bring the outputs to shared memory; the runner is stopped where they are to be verified."""
        seconds = self.runner.go(self.timeout_s, stop=False)
        self._stamps = self.runner.ask({"op": "settle"}, self.timeout_s)
        if self._checking:
            self.runner.stop()
        return Executed(seconds, self._stamps)

    def trespass(self, call: CallSet) -> str | None:
        if (name := self._stamps.get("changed")) is not None:
            return f"the candidate changed input {name}"
        return super().trespass(call)


def _without_inputs(layout: Layout) -> Layout:
    """The same outputs, from offset 0 on; inputs take no room."""
    return Layout(
        inputs=(),
        outputs=tuple(replace(slot, offset=slot.offset - layout.outputs_start) for slot in layout.outputs),
        outputs_start=0,
        stride=layout.stride - layout.outputs_start,
    )
