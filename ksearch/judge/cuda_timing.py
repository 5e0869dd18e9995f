"""Timing on a CUDA device: stamps of the device's clocks, taken in the runner, believed only as far as they agree.

Each timed call has inputs never seen, at new addresses, a flushed L2 cache and an idle device before it. Inputs too big to
be made for each call (over 16 MiB: weights, paged caches) keep their contents in up to three complete sets while everything
small, block tables included, is new for each call. The number is the CUPTI span (first start to last end of what ran on the
device) where cupti-python is installed, else CUDA events, which also hold the launch. A call that copies more than 4 KiB to
the host, or runs nothing on the device, is charged host time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from ksearch.definitions.schema import Workload
from ksearch.judge.arena import CallSet, Layout
from ksearch.judge.checks import Checker, blamed
from ksearch.judge.clocks import Timing
from ksearch.judge.device import Device
from ksearch.judge.failures import StageFailure
from ksearch.judge.paired import Turn
from ksearch.judge.session import Session
from ksearch.judge.timing import verify
from ksearch.judge.verdict import Stage, Status

BIG_BYTES = 16 * 2**20
BIG_SETS = 3
MOST_SETS = 10
SETS_BYTES = 512 * 2**20
TO_HOST_BYTES = 4096
SLACK_US = 1.0
"""Clocks may disagree by a microsecond; events tick in half of one."""
CUPTI_RESOLUTION_US, EVENTS_RESOLUTION_US = 0.05, 1.0
"""What stamps of one clock differ by for the same work: CUPTI ticks in 32 ns, events in 0.5 us beside a launch."""
WORKLOAD_S = 0.5
"""Device time to spend on a workload's calls; slow kernels get fewer, three at least."""
LEAST_CALLS = 3
TURN_CALLS = 6


@dataclass(frozen=True, slots=True)
class DeviceClock:
    """CUPTI or events, as the device has it."""

    device: Device

    @property
    def name(self) -> str:
        return "cupti" if self.device.cupti else "cuda-events"

    def time(self, checker: Checker, session: Session, workloads: Sequence[Workload], timed_calls: int) -> dict[str, Timing]:
        return {workload.uuid: self._time_one(checker, session, workload, timed_calls) for workload in workloads}

    def _time_one(self, checker: Checker, session: Session, workload: Workload, timed_calls: int) -> Timing:
        timer = _DeviceTimer(checker, session, workload, self.device)
        timer.request()  # Triton compiles, caches and clocks warm up
        first = timer.request()
        affordable = int(WORKLOAD_S / max(1e-6, median(first) * 1e-6))
        wanted = max(LEAST_CALLS, min(timed_calls, affordable))
        samples = list(first)
        while len(samples) < wanted:
            samples += timer.request(last=len(samples) + len(timer.calls) >= wanted)
        return Timing(tuple(samples), self._resolution, len(timer.calls))

    @property
    def _resolution(self) -> float:
        return CUPTI_RESOLUTION_US if self.device.cupti else EVENTS_RESOLUTION_US

    def turns(
        self, checker: Checker, sessions: Sequence[Session], workloads: Sequence[Workload], block: int, known: dict[str, Timing]
    ) -> list[Turn]:
        return [self._turn_of(checker, session, workloads, block) for session in sessions]

    def _turn_of(self, checker: Checker, session: Session, workloads: Sequence[Workload], block: int) -> Turn:
        session.runner.stop()

        def turn(number: int) -> dict[str, float]:
            session.resume()
            found = {}
            for workload in workloads:
                timer = _DeviceTimer(checker, session, workload, self.device, ("paired", block, number))
                timer.request()
                samples: list[float] = []
                while len(samples) < TURN_CALLS:
                    samples += timer.request()
                found[workload.uuid] = median(samples)
            session.runner.stop()
            return found

        return turn


class _DeviceTimer:
    """Times one candidate on one workload: a few sets stay bound, and are renewed between requests."""

    def __init__(
        self, checker: Checker, session: Session, workload: Workload, device: Device, label: tuple[object, ...] = ("timing",)
    ) -> None:
        self.checker, self.session, self.workload, self.device, self.label = checker, session, workload, device, label
        self.layout = Layout.of(checker.definition, workload)
        self.source = checker.source_of(workload)
        self.calls: list[CallSet] = []
        self._drawn = 0

    def request(self, *, last: bool = False) -> list[float]:
        """One call on each set; microseconds. `last`: large inputs are compared with the pristine ones, too."""
        with blamed(self.session, Stage.TIMING, self.workload):
            self._renew() if self.calls else self._stage()
            done = self.session.go(all_inputs=last)
        verify(self.checker, self.session, self.workload, self.calls, least=1)
        self.session.resume()
        return self._believed(done.answer.get("stamps"), done.seconds)

    def _seed(self) -> int:
        self._drawn += 1
        return self.checker.seeds.of(*self.label, self.workload.uuid, self._drawn)

    def _stage(self) -> None:
        big = any(slot.size > BIG_BYTES for slot in self.layout.inputs)
        count = max(1, min(BIG_SETS if big else MOST_SETS, SETS_BYTES // max(1, self.layout.stride)))
        seeds = [self._seed() for _ in range(count)]
        self.calls = self.session.stage(self.layout, [self.source.new(seed) for seed in seeds], seeds)
        self.session.bind(self.calls, timed=True)

    def _renew(self) -> None:
        seeds = [self._seed() for _ in self.calls]
        fresh = [self._partly(call, self.source.next(call.inputs, seed)) for call, seed in zip(self.calls, seeds, strict=True)]
        self.session.renew(self.calls, fresh, seeds)

    def _partly(self, call: CallSet, new: tuple[Any, ...]) -> tuple[Any, ...]:
        """Big inputs and scalars as they were, the rest new."""
        kept = zip(self.layout.inputs, call.inputs, new, strict=True)
        return tuple(old if slot.shape is None or slot.size > BIG_BYTES else fresh for slot, old, fresh in kept)

    def _believed(self, stamps: Any, judge_s: float) -> list[float]:
        """Microseconds for each call from the runner's stamps. Raises StageFailure when they can't all be true."""
        try:
            if len(stamps) != len(self.calls):
                raise ValueError(f"{len(stamps)} stamps for {len(self.calls)} calls")
            read = [Stamp.read(stamp, cupti=self.device.cupti) for stamp in stamps]
        except (KeyError, TypeError, ValueError) as error:
            raise self._refused(f"the runner's stamps are no stamps: {error}") from error
        for stamp in read:
            if (problem := stamp.contradiction()) is not None:
                raise self._refused(problem)
        if (claimed := sum(stamp.host_us for stamp in read)) > judge_s * 1e6 + SLACK_US:
            raise self._refused(f"host times of {claimed:.1f} us in a request of {judge_s * 1e6:.1f} us by the judge's clock")
        return [stamp.charged_us for stamp in read]

    def _refused(self, message: str) -> StageFailure:
        return StageFailure(Status.REJECTED, Stage.TIMING, message, workload=self.workload.uuid)


@dataclass(frozen=True, slots=True)
class Stamp:
    """One call by every clock, in microseconds; `span_us` None without CUPTI or when nothing ran on the device."""

    host_us: float
    events_us: float
    span_us: float | None
    to_host_bytes: int
    cupti: bool

    @classmethod
    def read(cls, raw: dict[str, Any], *, cupti: bool) -> Stamp:
        span, to_host = (raw["cupti"]["span_ns"], raw["cupti"]["to_host_bytes"]) if cupti else (None, 0)
        span_us = None if span is None else float(span) / 1e3
        stamp = cls(float(raw["host_us"]), float(raw["events_us"]), span_us, int(to_host), cupti)
        numbers = [stamp.host_us, stamp.events_us, 1.0 if stamp.span_us is None else stamp.span_us]
        if not all(math.isfinite(number) and number > 0 for number in numbers):
            raise ValueError(f"times {numbers}")
        return stamp

    def contradiction(self) -> str | None:
        """A span lies within its events, and these within the host's time."""
        if self.span_us is not None and self.span_us > self.events_us + SLACK_US:
            return f"a span of {self.span_us:.2f} us within events of {self.events_us:.2f} us"
        if self.events_us > self.host_us + SLACK_US:
            return f"events of {self.events_us:.2f} us within a host time of {self.host_us:.2f} us"
        return None

    @property
    def charged_us(self) -> float:
        if not self.cupti:
            return self.events_us
        if self.span_us is None or self.to_host_bytes > TO_HOST_BYTES:
            return self.host_us
        return self.span_us
