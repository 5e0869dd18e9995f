"""Sweeping a space: compile every distinct code ahead, measure each, some of them twice, and write down what is found as it comes."""

from __future__ import annotations

import random
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ksearch.definitions.schema import Solution
from ksearch.judge.cache import cache_root
from ksearch.judge.process import usable_cores
from ksearch.judge.toolchain import CompileTarget
from ksearch.judge.verdict import Stage, Status
from ksearch.landscapes import compiling, measuring
from ksearch.landscapes.compiling import Compiled, CompilePlan
from ksearch.landscapes.crew import Crew, Lost, Work, wait_for
from ksearch.landscapes.measuring import Greeting, MeasurePlan, MeasureTask, hidden_of, measured
from ksearch.landscapes.records import Measured, Records, Setting
from ksearch.landscapes.spaces import Enumerated, regimes

REPEATED_SHARE = 0.1
"""Of the codes, measured a second time after all others: what noise is."""
REPORT_S = 15.0
TRITON_CACHE = "triton"
"""Folder of Triton's binaries, beside the store of artefacts."""


@dataclass(frozen=True)
class Sweeping:
    """How to sweep. `deadline` is on the monotonic clock."""

    device: str
    folder: Path
    arch: str | None = None
    deadline: float = float("inf")
    compilers: int = 1
    measurers: int = 1
    timed_calls: int = 7
    limit_s: float = measuring.LIMIT_S
    """For one candidate's measurement."""
    seed: int = 20
    unsafe: bool = False
    say: Callable[[str], None] = print


class Sweep:
    """One space on one device. `run` once."""

    def __init__(self, space: Enumerated, how: Sweeping) -> None:
        self.space, self.how = space, how
        self.records = Records(how.folder / f"{space.space.name}.jsonl")
        self._to_compile = deque(solution for solution in self._order() if self._open(solution.digest))
        self._ready: deque[MeasureTask] = deque()
        self._repeats: deque[MeasureTask] = deque()
        self._begun = self._told = time.monotonic()

    def _order(self) -> list[Solution]:
        """The plainest first, then in random order: a drift of the machine is then not mistaken for a technique."""
        first, *others = self.space.solutions.values()
        random.Random(self.how.seed).shuffle(others)
        return [first, *others]

    def _turns(self) -> dict[str, int]:
        """How often each code is measured."""
        codes = list(self.space.solutions)
        twice = set(random.Random(self.how.seed + 1).sample(codes, max(1, round(REPEATED_SHARE * len(codes)))))
        return {code: 2 if code in twice else 1 for code in codes}

    def _missing(self, code: str) -> list[int]:
        """A code that failed isn't measured again: it would fail again."""
        first = self.records.measured.get((code, 0))
        turns = 1 if first is not None and not first.passed else self._turns()[code]
        return [turn for turn in range(turns) if (code, turn) not in self.records.measured]

    def _open(self, code: str) -> bool:
        return bool(self._missing(code))

    @property
    def complete(self) -> bool:
        return not any(self._open(code) for code in self.space.solutions)

    def run(self) -> bool:
        """Whether all is measured now; False when the deadline came first. Raises CrewFailed, and BadInput for another device's records."""
        if self.complete:
            return True
        compilers = Crew(self._compile_work(), min(self.how.compilers, len(self._to_compile)))
        measurers: Crew[MeasureTask, Measured] | None = None
        try:
            if self.how.device == "cpu":  # nothing else may run beside a cpu's measurements
                self._go(compilers, None)
                compilers.close()
            measurers = Crew(self._measure_work(), self.how.measurers)
            self._go(compilers, measurers)
        finally:
            compilers.close()
            if measurers is not None:
                measurers.close()
        self._tell(compilers, measurers)
        return self.complete

    def _go(self, compilers: Crew[Solution, Compiled], measurers: Crew[MeasureTask, Measured] | None) -> None:
        """Until nothing is left to do for the crews there are, or the time is up."""
        while time.monotonic() < self.how.deadline:
            while self._to_compile and compilers.idle:
                compilers.give(self._to_compile.popleft())
            compiling_still = bool(self._to_compile or compilers.busy)
            if not compiling_still and not self._ready:
                self._ready, self._repeats = self._repeats, deque()
            while measurers is not None and self._ready and measurers.idle:
                measurers.give(self._ready.popleft())
            measuring_still = measurers is not None and bool(self._ready or measurers.busy)
            if not compiling_still and not measuring_still:
                return
            wait_for([compilers, *([measurers] if measurers is not None else [])], 1.0)
            self._take(compilers, measurers)

    def _take(self, compilers: Crew[Solution, Compiled], measurers: Crew[MeasureTask, Measured] | None) -> None:
        for solution, compiled in compilers.collect():
            self._compiled(solution, compiled)
        if measurers is not None:
            had_greeting = measurers.greeting is not None
            for task, answer in measurers.collect():
                self.records.append(_lost(task, answer) if isinstance(answer, Lost) else answer)
            if not had_greeting and measurers.greeting is not None:
                self.records.append(self._setting(measurers.greeting))
        if time.monotonic() - self._told > REPORT_S:
            self._tell(compilers, measurers)

    def _compiled(self, solution: Solution, compiled: Compiled | Lost) -> None:
        if isinstance(compiled, Lost):
            task = MeasureTask(solution, Compiled(solution.digest), 0)
            self.records.append(_lost(task, compiled, Stage.COMPILE))
        elif compiled.failure is not None:
            task = MeasureTask(solution, compiled, 0)
            message = _first_error(compiled.log)
            self.records.append(measured(task, compiled.failure, stage=Stage.COMPILE.value, message=message, wall_seconds=compiled.seconds))
        else:
            for turn in self._missing(solution.digest):
                (self._ready if turn == 0 else self._repeats).append(MeasureTask(solution, compiled, turn))

    def _compile_work(self) -> Work[Solution, Compiled]:
        space, how = self.space, self.how
        target = CompileTarget(kind="cpu") if how.device == "cpu" else CompileTarget(kind="cuda", arch=how.arch)
        called = (*space.workloads, *hidden_of(space.definition, space.workloads, how.seed))
        plan = CompilePlan(space.definition, called, target, str(cache_root() / TRITON_CACHE), how.unsafe)
        return Work(compiling.prepare, plan, compiling.LIMIT_S, self._log)

    def _measure_work(self) -> Work[MeasureTask, Measured]:
        space, how = self.space, self.how
        cores = usable_cores()
        pairs = tuple(cores[k : k + 2] for k in range(0, len(cores) - 1, 2)) if how.device == "cpu" else ()
        plan = MeasurePlan(
            space.definition, space.workloads, regimes(space), how.device, how.timed_calls, how.seed, str(cache_root() / TRITON_CACHE),
            how.unsafe, pairs,
        )  # fmt: skip
        prepare = measuring.prepare_cpu if how.device == "cpu" else measuring.prepare_device
        return Work(prepare, plan, how.limit_s, self._log)

    @property
    def _log(self) -> Path:
        self.how.folder.mkdir(parents=True, exist_ok=True)
        return self.how.folder / f"{self.space.space.name}.log"

    def _setting(self, greeting: Greeting) -> Setting:
        return Setting(
            space=self.space.space.name, definition=self.space.definition.name, device_name=greeting.device_name, arch=self.how.arch,
            timer=greeting.timer, versions=greeting.versions, timed_calls=self.how.timed_calls,
            recorded=datetime.now(UTC).date().isoformat(), baselines_us=greeting.baselines_us,
        )  # fmt: skip

    def _tell(self, compilers: Crew[Solution, Compiled], measurers: Crew[MeasureTask, Measured] | None) -> None:
        self._told = time.monotonic()
        found = [record for (_, turn), record in self.records.measured.items() if turn == 0]
        counts = ", ".join(f"{count} {status}" for status, count in Counter(record.status for record in found).most_common())
        waiting = f"{len(self._to_compile)} to compile, {len(self._ready)} ready"
        elapsed = time.monotonic() - self._begun
        self.how.say(f"{self.space.space.name} {elapsed:5.0f} s: {len(found)} of {len(self.space.solutions)} ({counts}); {waiting}")


def _lost(task: MeasureTask, lost: Lost, stage: Stage | None = None) -> Measured:
    status = Status.TIMEOUT if lost.timeout else Status.COMPILE_ERROR if stage is Stage.COMPILE else Status.RUNTIME_ERROR
    return measured(task, status.value, stage=None if stage is None else stage.value, message=lost.reason)


def _first_error(log: str) -> str:
    lines = [line for line in log.splitlines() if "error" in line.lower()]
    return (lines or log.splitlines() or ["the compiler gave no reason"])[0][:400]
