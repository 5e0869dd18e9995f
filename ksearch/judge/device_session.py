"""A candidate at work on a GPU: only outputs lie in shared memory, inputs are made in the runner from the judge's seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ksearch.definitions.schema import Solution, Workload
from ksearch.judge.arena import CallSet, Layout, staged, write
from ksearch.judge.host import HostFailure
from ksearch.judge.runner_handle import RunnerDied, RunnerError, RunnerTimeout
from ksearch.judge.session import Executed, Session

DEVICE_START_S = 120.0


class DeviceSession(Session):
    """Staged inputs must be `InputSource.new(seed)` of their seed (or empty, when nobody will ask what is right)."""

    def __init__(self, *given: Any, preparation: dict[str, Any], **named: Any) -> None:
        super().__init__(*given, **named)
        self._preparation = preparation
        self._stamps: dict[str, Any] = {}
        self._workload: Workload | None = None

    def load(self, solution: Solution, artefact: Path | None) -> None:
        """The runner sets up the device, and is told what is judged, before the candidate's code first runs."""
        try:
            self.runner.ask({"op": "prepare", **self._preparation}, DEVICE_START_S)
        except (RunnerDied, RunnerError, RunnerTimeout) as error:
            raise HostFailure(f"no runner on the device: {error}; {self.runner.log.text[-500:]}") from error
        super().load(solution, artefact)

    def stage(self, layout: Layout, inputs: tuple[Any, ...], seed: int, start: int = 0, *, workload: Workload) -> CallSet:
        self._workload = workload
        outputs_only = _without_inputs(layout)
        self.reserve(start + outputs_only.stride)
        return self._place(outputs_only, start, inputs, seed)

    def _place(self, layout: Layout, base: int, inputs: tuple[Any, ...], seed: int) -> CallSet:
        call = staged(layout, base, (), seed)
        call.inputs = inputs
        write(self.arena, call)
        return call

    def restage(self, call: CallSet, inputs: tuple[Any, ...], seed: int, kind: str) -> CallSet:
        renewed = self._place(call.layout, call.base, inputs, seed)
        self._bound = [renewed]
        self.runner.ask({"op": "refresh", "kind": kind, "seed": seed}, self.timeout_s)
        return renewed

    def refill(self, call: CallSet) -> None:
        super().refill(call)
        write(self.arena, call)
        self.runner.ask({"op": "refresh"}, self.timeout_s)

    def stage_row(self, layout: Layout, seeds: Sequence[int], *, workload: Workload) -> list[CallSet]:
        """Calls of one workload that will be run in one request, one after the other; nobody has their inputs at hand yet."""
        self._workload = workload
        outputs_only = _without_inputs(layout)
        self.reserve(len(seeds) * outputs_only.stride)
        return [self._place(outputs_only, place * outputs_only.stride, (), seed) for place, seed in enumerate(seeds)]

    def bind(self, call: CallSet) -> None:
        self.bind_row([call])

    def bind_row(self, calls: list[CallSet]) -> None:
        """Several are run in a row, unstamped: only the judge's clock sees them."""
        assert self._workload is not None
        self._bound = calls
        message = {
            "op": "bind", "bases": [call.base for call in calls], "seeds": [call.seed for call in calls],
            "workload": self._workload.model_dump(mode="json"), "outputs": [slot.describe() for slot in calls[0].layout.outputs],
        }  # fmt: skip
        self.runner.ask(message, self.timeout_s)

    def go(self) -> Executed:
        """Run what is bound. Outputs are copied here inside the clock: what a device writes later is not looked at."""
        self._stamps = {}
        return Executed(self.runner.call(self.timeout_s, None, self._collect).wall_s)

    def stamps(self, *, check_inputs: bool) -> dict[str, Any]:
        """The runner's raw stamps of the call. `check_inputs`: it also compares the inputs with what the seed says; asked only
        when the call is over, so that no candidate knows which call will be looked at."""
        self._stamps = self.runner.ask({"op": "settle", "check_inputs": check_inputs}, self.timeout_s)
        return self._stamps

    def trespass(self, call: CallSet) -> str | None:
        if not self._stamps:
            self.stamps(check_inputs=True)
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
