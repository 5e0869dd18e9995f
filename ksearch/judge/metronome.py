"""What a request costs with nothing in it: measured in a process of the judge's own making that never sees a candidate.

Measured in the candidate's process, it could be made to look dear, and what is subtracted from a call with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median
from typing import TypeVar

from ksearch.definitions.schema import BuildSpec, Solution, SourceFile, Workload
from ksearch.judge.arena import Layout
from ksearch.judge.device import Device
from ksearch.judge.device_session import DeviceSession
from ksearch.judge.host import HostFailure, Nurseries
from ksearch.judge.runner.stub import Kind
from ksearch.judge.runner_handle import RunnerDied, RunnerError, RunnerTimeout
from ksearch.judge.session import Executed, Session
from ksearch.judge.sessions import open_session
from ksearch.judge.statistics import robust_spread
from ksearch.judge.verdict import Job

T = TypeVar("T")
LIFE_S = 60.0
CALIBRATION = 25
DRIFT = 1.5
"""How much dearer than at first an empty request may look: a candidate that pollutes caches must not profit by it."""
NOTHING = "def run(*given):\n    pass\n"


def nothing(definition: str) -> Solution:
    """A candidate that does nothing, whatever it is given."""
    spec = BuildSpec(language="python", target_hardware=("any",), entry_point="nothing.py::run")
    sources = (SourceFile(path="nothing.py", content=NOTHING),)
    return Solution(name="nothing", definition=definition, author="judge", spec=spec, sources=sources)


def processor_time(executed: Executed) -> float:
    """Seconds of a call on a cpu: of the processor, all threads together, by the kernel's books.

    Nothing there works without it (no device, no other process), and what else runs on the machine doesn't lengthen it. By the
    judge's clock where the kernel keeps no books.
    """
    return executed.seconds if executed.processor_s is None else executed.processor_s


def wall_time(executed: Executed) -> float:
    return executed.seconds


class Metronome:
    """One idle runner. `typical_s` and `spread_s`: of empty requests on the quiet machine, before any candidate ran."""

    def __init__(self, session: Session, measure: Callable[[Executed], float]) -> None:
        self.session, self.measure = session, measure
        self.typical_s = self.spread_s = 0.0

    def calibrate(self) -> None:
        """On a cpu, where a request costs the same whatever it is about."""
        self._trusted(lambda: self.session.bind_nothing())
        times = [self._tick() for _ in range(CALIBRATION)]
        self.typical_s, self.spread_s = median(times), max(robust_spread(times), 1e-7)

    def prepare(self, workload: Workload, layout: Layout, inputs: tuple[object, ...]) -> None:
        """Bind what the next ticks pretend to work on."""
        self._trusted(lambda: self.session.bind(self.session.stage(layout, inputs, 0, workload=workload)))

    def tick(self) -> float:
        """Seconds of an empty request now; never taken for more than the quiet machine's by much."""
        return min(self._tick(), DRIFT * self.typical_s) if self.typical_s else self._tick()

    def row(self, workload: Workload, layout: Layout, seeds: Sequence[int]) -> float:
        """Seconds of a request with a row of empty calls in it, on a GPU."""
        session = self.session
        if not isinstance(session, DeviceSession):
            raise TypeError("rows of calls are for devices")
        self._trusted(lambda: session.bind_row(session.stage_row(layout, seeds, workload=workload)))
        return self._tick()

    def _tick(self) -> float:
        return self._trusted(lambda: self.measure(self.session.go()))

    def _trusted(self, step: Callable[[], T]) -> T:
        try:
            return step()
        except (RunnerDied, RunnerError, RunnerTimeout) as error:
            raise HostFailure(f"an idle runner failed: {error}") from error

    def close(self) -> None:
        self.session.close()


class Metronomes:
    """Idle runners of one device, by kind of runner (and, on a GPU, by definition: one at a time, each holds a context)."""

    def __init__(self, device: Device, nurseries: Nurseries) -> None:
        self.device, self.nurseries = device, nurseries
        self._kept: dict[str, Metronome] = {}

    def get(self, kind: Kind, job: Job, workload: Workload) -> Metronome:
        """Raises HostFailure."""
        key = f"{kind} {job.definition.name}" if self.device.cuda else kind
        if key not in self._kept:
            if self.device.cuda:
                self.close()
            self._kept[key] = self._open(kind, job, workload)
        return self._kept[key]

    def _open(self, kind: Kind, job: Job, workload: Workload) -> Metronome:
        session = open_session(self.nurseries.of(kind), self.device, job, lambda: LIFE_S)
        try:
            session.load(nothing(job.definition.name), None)
        except (RunnerDied, RunnerError, RunnerTimeout) as error:
            session.close()
            raise HostFailure(f"an idle runner does not start: {error}; {session.runner.log.text[-500:]}") from error
        metronome = Metronome(session, wall_time if self.device.cuda else processor_time)
        if not self.device.cuda:  # on a GPU a request's cost depends on the workload: it is measured for each
            metronome.calibrate()
        return metronome

    def close(self) -> None:
        for metronome in self._kept.values():
            metronome.close()
        self._kept.clear()
