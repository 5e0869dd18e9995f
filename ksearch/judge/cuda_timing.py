"""Timing on a GPU: CUPTI's activity records where they can be had, CUDA events otherwise; the verdict says which.

Each timed call has inputs never seen before, at other addresses than the call before, and a flushed L2 cache. Its time is
the span from the start of its first activity on the device to the end of its last, up to a device-wide synchronisation. A
call that copies more than 4 KB to the host is charged host time. The runner only stamps; spans, medians and the check that
span <= events <= host <= the judge's own time are done here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

from ksearch.definitions.schema import Workload
from ksearch.judge.arena import Layout
from ksearch.judge.attribution import kernel_times
from ksearch.judge.checks import Checker, blamed
from ksearch.judge.clocks import Timing
from ksearch.judge.device import Device
from ksearch.judge.device_session import DeviceSession
from ksearch.judge.failures import StageFailure
from ksearch.judge.paired import Times, Watch
from ksearch.judge.session import Executed, Session
from ksearch.judge.timing import drawn_in_secret, settle
from ksearch.judge.verdict import Stage, Status

WARM_UPS = 2
SLOW_US = 20_000.0
SLOW_CALLS = 5
"""A call over 20 ms is timed five times: its spread is small against it."""
TURN_CALLS = 3
"""Timed calls of a workload in each turn of a paired measurement; their median counts."""
CHECKED_LEAST = 2
"""Outputs verified of each workload, at least."""
HOST_COPY_BYTES = 4096
SLACK_US = 1.0
EVENT_SLACK_US = 8.0
"""What an event's own record may come late by, on top of the activity it brackets."""


class DeviceClock:
    """Times by the runner's stamps, bounded by the judge's own clock; `rows` looks closer at what is to be promoted."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.name = "cupti" if device.cupti else "cuda-events"

    def time(self, checker: Checker, session: Session, workloads: Sequence[Workload], timed_calls: int) -> dict[str, Timing]:
        found = {}
        for workload in workloads:
            samples = self._samples(checker, session, workload, timed_calls, ("timing",), CHECKED_LEAST)
            found[workload.uuid] = Timing(tuple(samples), None, len(samples))
        return found

    def duel(
        self,
        checker: Checker,
        sessions: Sequence[Session],
        workloads: Sequence[Workload],
        block: int,
        known: dict[str, Timing],
        watch: Watch,
    ) -> tuple[Times, Times]:
        """A turn goes over all workloads: two processes that alternate call by call would wait for each other's context."""
        for session in sessions:
            session.runner.stop()
        turns: tuple[list[Times], list[Times]] = ([], [])
        for place, who in enumerate((0, 1, 1, 0)):
            turns[who].append(self._turn(checker, sessions[who], workloads, ("paired", block, place // 2)))
            watch()
        candidate, opponent = ({w.uuid: fmean(turn[w.uuid] for turn in found) for w in workloads} for found in turns)
        return candidate, opponent

    def _turn(self, checker: Checker, session: Session, workloads: Sequence[Workload], label: tuple[object, ...]) -> Times:
        found = {w.uuid: median(self._samples(checker, session, w, TURN_CALLS, label, 0, warm_ups=1)) for w in workloads}
        session.runner.stop()
        return found

    def _samples(
        self,
        checker: Checker,
        session: Session,
        workload: Workload,
        count: int,
        label: tuple[object, ...],
        checked_least: int,
        warm_ups: int = WARM_UPS,
    ) -> list[float]:
        """Microseconds of `count` calls; which of them are verified is drawn in secret."""
        call = _TimedCall(self, checker, session, workload, label)
        trial = [call.run(verified=False) for _ in range(warm_ups)]
        if trial[-1] > SLOW_US:
            count = min(count, SLOW_CALLS)
        checked = drawn_in_secret(count, checked_least)
        return [call.run(verified=k in checked) for k in range(count)]

    def charged_us(self, executed: Executed, workload: Workload) -> float:
        """The call's time from its stamps. Raises StageFailure when they contradict each other or the judge's clock.

        That clock accuses and never adds: its request also holds the reading of CUPTI's records, milliseconds on a busy host, and
        charging what it saw made a 3 us kernel a 400 us one on an H200.
        """
        try:
            stamp = Stamp.read(executed.stamps, cupti=self.device.cupti)
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise StageFailure(Status.REJECTED, Stage.TIMING, f"stamps that are none: {error}", workload=workload.uuid) from error
        if (claims := stamp.contradiction(executed.seconds * 1e6)) is not None:
            raise StageFailure(Status.REJECTED, Stage.TIMING, f"clocks contradict each other: {claims}", workload=workload.uuid)
        return stamp.charged_us


@dataclass(frozen=True, slots=True)
class Stamp:
    """What the runner says of one call, in microseconds. `span_us` is None without CUPTI or without any device activity."""

    host_us: float
    events_us: float
    span_us: float | None
    to_host_bytes: int
    cupti: bool

    @classmethod
    def read(cls, raw: Mapping[str, Any], *, cupti: bool) -> Stamp:
        """Raises ValueError for what can't be times, KeyError or TypeError for what isn't a stamp."""
        host, events = float(raw["host_us"]), float(raw["events_us"])
        records = raw["records"] if cupti else []
        span = (max(record[3] for record in records) - min(record[2] for record in records)) / 1000 if records else None
        if not all(0 < time < math.inf for time in (host, events, *([] if span is None else [span]))):
            raise ValueError(f"times of {host}, {events} and {span} us")
        return cls(host, events, span, sum(int(record[4]) for record in records), cupti)

    @property
    def charged_us(self) -> float:
        """The device span; host time for a call that ran nothing on the device, or took its data to the host."""
        if not self.cupti:
            return self.events_us
        return self.host_us if self.span_us is None or self.to_host_bytes > HOST_COPY_BYTES else self.span_us

    def contradiction(self, judged_us: float) -> str | None:
        """The claims, unless span <= events <= host <= the judge's own time."""
        span = 0.0 if self.span_us is None else self.span_us
        ordered = span <= max(self.events_us + EVENT_SLACK_US, self.host_us) and self.events_us <= self.host_us + SLACK_US
        if ordered and self.host_us <= judged_us + SLACK_US:
            return None
        return f"device {span:.2f} us, events {self.events_us:.2f} us, host {self.host_us:.2f} us, the judge's clock {judged_us:.2f} us"


class _TimedCall:
    """Fresh calls of one candidate on one workload."""

    def __init__(self, clock: DeviceClock, checker: Checker, session: Session, workload: Workload, label: tuple[object, ...]) -> None:
        if not isinstance(session, DeviceSession):
            raise TypeError("a device clock times device sessions")
        self.clock, self.checker, self.session, self.workload, self.label = clock, checker, session, workload, label
        self.layout = Layout.of(checker.definition, workload)
        self.drawn = 0

    def run(self, *, verified: bool) -> float:
        """Microseconds of one call on inputs never seen."""
        seed = self.checker.seeds.of(*self.label, self.workload.uuid, self.drawn)
        self.drawn += 1
        inputs: Any = self.checker.source_of(self.workload).new(seed) if verified else ()
        with blamed(self.session, Stage.TIMING, self.workload):
            call = self.session.stage(self.layout, inputs, seed, workload=self.workload)
            self.session.bind(call)
            executed = self.session.go()
            executed = Executed(executed.seconds, stamps=self.session.stamps(check_inputs=verified))
        self.session.kernels.update(kernel_times(executed.stamps.get("records", ())))
        settle(self.checker, self.session, self.workload, call, verified=verified)
        return self.clock.charged_us(executed, self.workload)
