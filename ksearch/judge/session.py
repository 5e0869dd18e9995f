"""A candidate at work: one runner, one block of shared memory, and calls staged in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ksearch.definitions.schema import Solution, Workload
from ksearch.judge.arena import Arena, CallSet, Layout, changed_input, fill_of, overrun, read_outputs, refill, stage
from ksearch.judge.compile import write_sources
from ksearch.judge.host import Runner
from ksearch.judge.verdict import Limits

ARTEFACT = "kernel.so"


@dataclass(frozen=True, slots=True)
class Executed:
    """One request: seconds by the judge's clock, and the runner's answer, with the raw stamps of the device's clocks (none on cpu)."""

    seconds: float
    stamps: dict[str, Any] = field(default_factory=dict)


class Session:
    """Owns its runner. Methods that touch the candidate raise RunnerError, RunnerTimeout or RunnerDied."""

    def __init__(self, runner: Runner, limits: Limits, remaining_s: Callable[[], float]) -> None:
        self.runner = runner
        self.limits = limits
        self._remaining_s = remaining_s
        self._arena: Arena | None = None

    @property
    def timeout_s(self) -> float:
        return max(0.01, min(self.limits.timeout_s, self._remaining_s()))

    @property
    def arena(self) -> Arena:
        assert self._arena is not None
        return self._arena

    def load(self, solution: Solution, artefact: Path | None) -> None:
        """The candidate's code runs from here on."""
        folder = self.runner.scratch
        write_sources(solution, folder / "src")
        if artefact is not None:
            (folder / ARTEFACT).write_bytes(artefact.read_bytes())
        spec = solution.spec
        module = spec.entry_file.removesuffix(".py").replace("/", ".")
        message: dict[str, Any] = {
            "op": "load",
            "artefact": None if artefact is None else str(folder / ARTEFACT),
            "folder": str(folder / "src"),
        }
        message |= {"module": module, "symbol": spec.entry_symbol, "destination_passing": spec.destination_passing_style}
        self.runner.ask(message, self.timeout_s)

    def reserve(self, size: int) -> None:
        """At least `size` bytes of shared memory; staged calls are gone when it had to grow."""
        if self._arena is not None and self._arena.size >= size:
            return
        if self._arena is not None:
            self._arena.close()
        self._arena = Arena(size)
        self.runner.ask({"op": "map", "bytes": self._arena.size}, self.timeout_s, (self._arena.descriptor,))

    def stage(
        self, layout: Layout, inputs: Sequence[tuple[Any, ...]], seeds: Sequence[int], start: int = 0, *, workload: Workload
    ) -> list[CallSet]:
        """Calls of `workload` side by side from byte `start` on, each with its own inputs and fill."""
        self.reserve(start + layout.stride * len(inputs))
        return [stage(self.arena, layout, start + k * layout.stride, given, seeds[k]) for k, given in enumerate(inputs)]

    def restage(self, call: CallSet, inputs: tuple[Any, ...], seed: int, kind: str) -> CallSet:
        """New values at the same addresses, for calls that stay bound (scalars, which have no address, must be the same).

        `kind` says how `inputs` follow from the call's and from `seed`: 'all values' or 'inner values'.
        """
        return stage(self.arena, call.layout, call.base, inputs, seed)

    def refill(self, call: CallSet) -> None:
        """New random bytes in the outputs, the inputs as they are."""
        refill(self.arena, call)

    def bind(self, calls: Sequence[CallSet]) -> None:
        """Have the runner make its arguments for these calls; outside the clock."""
        message: dict[str, Any] = {"op": "bind", "bases": [call.base for call in calls], "inputs": [], "outputs": []}
        if calls:
            layout = calls[0].layout
            values = zip(layout.inputs, calls[0].inputs, strict=True)
            message["inputs"] = [slot.describe() if slot.shape is not None else {"value": value} for slot, value in values]
            message["outputs"] = [slot.describe() for slot in layout.outputs]
        self.runner.ask(message, self.timeout_s)

    def go(self) -> Executed:
        """Run what is bound, once. The runner is stopped on return, and its outputs are in shared memory."""
        return Executed(self.runner.go(self.timeout_s))

    def ping(self) -> float:
        """Seconds of an empty round trip, the runner not being stopped."""
        return self.runner.ping(self.timeout_s)

    def resume(self) -> None:
        self.runner.resume()

    def outputs(self, call: CallSet) -> list[Any]:
        return read_outputs(self.arena, call)

    def trespass(self, call: CallSet) -> str | None:
        """What the call wrote that is not its to write; None when nothing."""
        if (name := changed_input(self.arena, call)) is not None:
            return f"the candidate changed {name}"
        if (name := overrun(self.arena, call)) is not None:
            return f"the candidate wrote behind the end of output {name}"
        return None

    def fill_of(self, call: CallSet, place: int) -> Any:
        return fill_of(call, place)

    def close(self) -> None:
        self.runner.close()
        if self._arena is not None:
            self._arena.close()
            self._arena = None
