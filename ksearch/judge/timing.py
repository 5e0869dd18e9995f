"""Timing by the judge's own clock: the only clock there is on cpu.

A request runs k calls, each on its own inputs and outputs, and should last at least 100 empty round trips, so that what a
request itself costs and how it varies is small beside it; latency = (request - empty round trip) / k. No two timed calls
see the same values, and a tenth of the outputs, drawn in secret, are verified.
"""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from ksearch.definitions.schema import Workload
from ksearch.judge.arena import CallSet, Layout
from ksearch.judge.checks import Checker, blamed
from ksearch.judge.clocks import Timing
from ksearch.judge.paired import Turn
from ksearch.judge.session import Session
from ksearch.judge.statistics import robust_spread
from ksearch.judge.verdict import Stage

ROUND_TRIPS = 100
CALIBRATION = 25
PINGS = 5
"""Empty round trips right before each request: their median is what the request itself costs, at that moment."""
MAX_CALLS = 64
"""Most calls in a request: more would cost more in fresh inputs than they would gain in resolution."""
MEASURE_S = 0.1
"""Time to spend in a workload's requests, as far as samples allow."""
STAGING_S = 0.1
"""Time to spend on fresh inputs of a workload."""
STAGED_BYTES = 32 * 2**20
MIN_REQUESTS = 3
PREFERRED_REQUESTS = 7
"""Rather fewer calls in a request than fewer requests: the median is to outlive interruptions."""
TURN_REQUESTS = 2
"""Requests of a workload in each turn of a paired measurement."""
CHECKED_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """An empty request, in seconds."""

    typical_s: float
    spread_s: float


@dataclass(frozen=True, slots=True)
class Plan:
    """`requests` of `calls` each."""

    requests: int
    calls: int


def calibrate(session: Session) -> RoundTrip:
    times = [session.ping() for _ in range(CALIBRATION)]
    return RoundTrip(median(times), max(robust_spread(times), 1e-7))


class JudgeClock:
    """Times by round trips."""

    name = "judge-clock"

    def time(self, checker: Checker, session: Session, workloads: Sequence[Workload], timed_calls: int) -> dict[str, Timing]:
        trip = calibrate(session)
        found = {}
        for workload in workloads:
            timer = _Timer(checker, session, workload, trip)
            found[workload.uuid] = timer.measure(timer.plan(timed_calls))
        return found

    def turns(
        self, checker: Checker, sessions: Sequence[Session], workloads: Sequence[Workload], block: int, known: dict[str, Timing]
    ) -> list[Turn]:
        return [_turn_of(checker, session, workloads, block, known) for session in sessions]


def _turn_of(checker: Checker, session: Session, workloads: Sequence[Workload], block: int, known: dict[str, Timing]) -> Turn:
    trip = calibrate(session)
    session.runner.stop()

    def turn(number: int) -> dict[str, float]:
        session.resume()
        found = {}
        for workload in workloads:
            timer = _Timer(checker, session, workload, trip, label=("paired", block, number))
            timer.warm_up()
            calls = known[workload.uuid].calls
            found[workload.uuid] = timer.measure(Plan(requests=TURN_REQUESTS, calls=calls), always=False).latency_us
        session.runner.stop()
        return found

    return turn


class _Timer:
    """Times one candidate on one workload. `label` decides the inputs, with the workload and the job's seed."""

    def __init__(
        self, checker: Checker, session: Session, workload: Workload, trip: RoundTrip, label: tuple[object, ...] = ("timing",)
    ) -> None:
        self.checker, self.session, self.workload, self.trip, self.label = checker, session, workload, trip, label
        self.layout = Layout.of(checker.definition, workload)
        self.source = checker.source_of(workload)
        self._drawn = 0
        self._staging_s = 0.0
        self._latest = self.source.new(checker.seeds.of(*label, workload.uuid, 0))

    def plan(self, timed_calls: int) -> Plan:
        """From two trial requests: how many calls fill a request, how many requests fill the time."""
        self.warm_up()
        call_s = max(1e-7, self._request(2) / 2)
        wanted = min(MAX_CALLS, max(1, math.ceil(ROUND_TRIPS * self.trip.typical_s / call_s)))
        calls = max(1, min(wanted, STAGED_BYTES // max(1, self.layout.stride)))
        affordable = max(MIN_REQUESTS, int(STAGING_S / max(1e-6, self._staging_s)))
        calls = max(1, min(calls, affordable // PREFERRED_REQUESTS))
        by_time = int(MEASURE_S / (calls * call_s + self.trip.typical_s))
        requests = max(MIN_REQUESTS, min(timed_calls, by_time, affordable // calls))
        return Plan(requests, calls)

    def warm_up(self) -> None:
        self._request(1)

    def measure(self, plan: Plan, *, always: bool = True) -> Timing:
        """`always`: at least one output of each request is verified; else a tenth of all, which may leave a request out."""
        least = 1 if always else 0
        samples = [self._request(plan.calls, least) / plan.calls * 1e6 for _ in range(plan.requests)]
        resolution = self.trip.spread_s / plan.calls * 1e6
        return Timing(tuple(max(sample, resolution) for sample in samples), resolution, plan.calls)

    def _request(self, count: int, verified: int | None = None) -> float:
        """One request of `count` calls on inputs never seen; seconds without the round trip. `verified`: least outputs to verify."""
        calls = self._fresh(count)
        with blamed(self.session, Stage.TIMING, self.workload):
            self.session.bind(calls)
            empty = median(self.session.ping() for _ in range(PINGS))
            seconds = self.session.go().seconds - empty
        if verified is not None:
            verify(self.checker, self.session, self.workload, calls, verified)
        self.session.resume()
        return seconds

    def _fresh(self, count: int) -> list[CallSet]:
        begin = time.perf_counter()
        inputs, seeds = [], []
        for _ in range(count):
            self._drawn += 1
            seeds.append(self.checker.seeds.of(*self.label, self.workload.uuid, self._drawn))
            self._latest = self.source.next(self._latest, seeds[-1])
            inputs.append(self._latest)
        with blamed(self.session, Stage.TIMING, self.workload):
            calls = self.session.stage(self.layout, inputs, seeds, self._place(count), workload=self.workload)
        self._staging_s = (time.perf_counter() - begin) / count
        return calls

    def _place(self, count: int) -> int:
        """A place for the next request: other addresses than the last one's, while the block of memory has room."""
        need = count * self.layout.stride
        room = max(1, STAGED_BYTES // max(1, need))
        return (self._drawn % room) * need if need * room <= STAGED_BYTES else 0


def verify(checker: Checker, session: Session, workload: Workload, calls: list[CallSet], least: int) -> None:
    """After a timed request, the runner being stopped: no call may have trespassed, and a secret tenth must be right."""
    for call in calls:
        checker.refuse_trespass(session, call, Stage.TIMING, workload)
        checker.refuse_untouched(session, call, Stage.TIMING, workload)
    chance = secrets.SystemRandom()
    count = math.floor(CHECKED_SHARE * len(calls) + chance.random())  # a tenth on average, whatever the number
    for call in chance.sample(calls, min(len(calls), max(least, count))):
        expectation = checker.expect(workload, call.inputs)
        checker.judge(expectation, session.outputs(call), Stage.TIMING, workload, "inside timing: ")
