"""A candidate at work: one runner, one block of shared memory, and calls staged in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ksearch.definitions.schema import Solution, Workload
from ksearch.judge.arena import (
    Arena,
    CallSet,
    Layout,
    changed_input,
    fill_of,
    overrun,
    random_bytes,
    read_outputs,
    staged,
    untouched,
    write,
)
from ksearch.judge.compile import write_sources
from ksearch.judge.proc import libraries
from ksearch.judge.runner_handle import Runner
from ksearch.judge.verdict import Limits

if TYPE_CHECKING:
    from ksearch.judge.metronome import Metronome

ARTEFACT = "kernel.so"


@dataclass(frozen=True, slots=True)
class Executed:
    """One request: seconds by the judge's clock, seconds of processor time by the kernel's books (None where there are none), and
    the raw stamps of the device's clocks (none on cpu)."""

    seconds: float
    processor_s: float | None = None
    stamps: dict[str, Any] = field(default_factory=dict)


class Session:
    """Owns its runner. Methods that touch the candidate raise RunnerError, RunnerTimeout or RunnerDied."""

    def __init__(self, runner: Runner, limits: Limits, remaining_s: Callable[[], float]) -> None:
        self.runner = runner
        self.limits = limits
        self._remaining_s = remaining_s
        self._metronome: Metronome | None = None
        self._arena: Arena | None = None
        self._bound: list[CallSet] = []
        self._copy: Any = None
        self._taken: dict[int, Any] = {}
        """What calls wrote, as bytes, by where they lie."""
        self.kernels: Counter[str] = Counter()
        """Microseconds by name of the kernels that timed calls ran on a device, where that is seen."""
        self._before: frozenset[str] | None = None

    @property
    def timeout_s(self) -> float:
        return max(0.01, min(self.limits.timeout_s, self._remaining_s()))

    @property
    def metronome(self) -> Metronome:
        """The idle runner that this one is timed beside; set by whoever opens both."""
        assert self._metronome is not None
        return self._metronome

    @metronome.setter
    def metronome(self, metronome: Metronome) -> None:
        self._metronome = metronome

    @property
    def arena(self) -> Arena:
        assert self._arena is not None
        return self._arena

    def load(self, solution: Solution, artefact: Path | None) -> None:
        """The candidate's code runs from here on."""
        folder = self.runner.scratch
        self._before = libraries(self.runner.pid)
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

    def stage(self, layout: Layout, inputs: tuple[Any, ...], seed: int, start: int = 0, *, workload: Workload) -> CallSet:
        """A call of `workload` at byte `start`. Nothing of it is to be seen by the runner before it runs."""
        self.reserve(start + layout.stride)
        return staged(layout, start, inputs, seed)

    def restage(self, call: CallSet, inputs: tuple[Any, ...], seed: int, kind: str) -> CallSet:
        """New values at the same addresses, for the call that stays bound (scalars, which have no address, must be the same).

        `kind` says how `inputs` follow from the call's and from `seed`: one of `inputs.CHANGES`.
        """
        renewed = staged(call.layout, call.base, inputs, seed)
        self._bound = [renewed]
        return renewed

    def refill(self, call: CallSet) -> None:
        """New random bytes for the outputs, the inputs as they are."""
        call.fill = random_bytes(call.fill.numel())

    def bind(self, call: CallSet) -> None:
        """Have the runner make its arguments for this call; outside the clock, and before the inputs are there."""
        self._bound = [call]
        values = zip(call.layout.inputs, call.inputs, strict=True)
        message: dict[str, Any] = {
            "op": "bind", "bases": [call.base],
            "inputs": [slot.describe() if slot.shape is not None else {"value": value} for slot, value in values],
            "outputs": [slot.describe() for slot in call.layout.outputs],
        }  # fmt: skip
        self.runner.ask(message, self.timeout_s)

    def bind_nothing(self) -> None:
        """A call without arguments."""
        self._bound = []
        self.runner.ask({"op": "bind", "bases": [0], "inputs": [], "outputs": []}, self.timeout_s)

    def go(self) -> Executed:
        """Run what is bound, once. The runner is stopped on return, and its outputs are in shared memory."""
        spent = self.runner.call(self.timeout_s, self._reveal, self._collect)
        return Executed(spent.wall_s, spent.processor_s)

    def _collect(self) -> None:
        """What the calls wrote, as it is now: the runner stands still, or is out of time."""
        self._taken = {}
        for call in self._bound:
            begin = call.base + call.layout.outputs_start
            end = begin + call.fill.numel()
            self._taken[call.base] = self._room()[begin:end].copy_(self.arena.memory[begin:end])

    def _room(self) -> Any:
        """For copies of outputs. Kept: a new one would be megabytes of page faults for each call."""
        import torch

        if self._copy is None or self._copy.numel() < self.arena.size:
            self._copy = torch.empty(self.arena.size, dtype=torch.uint8)
        return self._copy

    def _reveal(self) -> None:
        for call in self._bound:
            write(self.arena, call)

    def brought(self) -> tuple[str, ...] | None:
        """Libraries that the process has mapped since before the candidate was loaded, its own files aside; None where that
        can't be seen."""
        now = libraries(self.runner.pid)
        if now is None or self._before is None:
            return None
        return tuple(sorted(path for path in now - self._before if not path.startswith(f"{self.runner.scratch}/")))

    def resume(self) -> None:
        self.runner.resume()

    def outputs(self, call: CallSet) -> list[Any]:
        return read_outputs(self._taken[call.base], call)

    def trespass(self, call: CallSet) -> str | None:
        """What the call wrote that is not its to write; None when nothing."""
        if (name := changed_input(self.arena, call)) is not None:
            return f"the candidate changed {name}"
        if (name := overrun(self._taken[call.base], call)) is not None:
            return f"the candidate wrote behind the end of output {name}"
        return None

    def fill_of(self, call: CallSet, place: int) -> Any:
        return fill_of(call, place)

    def untouched(self, call: CallSet, place: int) -> bool:
        """Whether output `place` holds all of its random bytes still."""
        return untouched(self._taken[call.base], call, place)

    def close(self) -> None:
        self.runner.close()
        if self._arena is not None:
            self._arena.close()
            self._arena = None
