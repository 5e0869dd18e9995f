"""Timing on a cpu: by the processor time that the kernel books for the runner, all its threads together.

A request is one call, on inputs that nobody has seen: while the runner stands still the judge writes them, then it is let go, and
counted is what it used when it stands still again. So there is no call to batch with another, nothing to start on early, no time
after the answer, and what else runs on the machine makes no call longer. What a request costs empty is measured in between, in the
judge's own idle runner, and taken off. A sample is the median of several requests; a tenth of the outputs, drawn in secret, and
some of every workload, are verified.
"""

from __future__ import annotations

import math
import os
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from ksearch.definitions.schema import Workload
from ksearch.judge.arena import ALIGNMENT, CallSet, Layout
from ksearch.judge.checks import Checker, blamed
from ksearch.judge.clocks import Timing
from ksearch.judge.metronome import Metronome, processor_time
from ksearch.judge.paired import Times, Watch
from ksearch.judge.proc import time_used
from ksearch.judge.session import Session
from ksearch.judge.statistics import robust_spread
from ksearch.judge.verdict import Stage

MEASURE_S = 0.25
"""Time to spend on a workload, as far as samples allow."""
STAGED_BYTES = 32 * 2**20
MIN_REQUESTS = 5
ROUNDS = (1, 3)
"""Of A B B A on a workload in each block of a paired measurement: least, and most where calls are short."""
ROUNDS_S = 0.02
"""Of a workload's own time in a block: over a dozen workloads a block is to take a second or two."""
PAGE = 4096
SHORT = 20
"""A call shorter than this many empty requests is repeated more often: their noise is then what has to be averaged out."""
MORE = 8
CHECKED_SHARE = 0.1
CHECKED_LEAST = 3
"""Outputs verified of each workload, at least: a candidate that lies in half its calls, as it must to move a median, is
caught on each with one chance in two."""
DOUBT = 0.5
"""Of an empty request: how much dearer it may be in the idle runner than in the candidate's, on a machine with other work to do."""
SURE = 3.0
"""Standard errors of the mean empty request that make up the resolution."""


class JudgeClock:
    """Times by requests. Where the kernel keeps no books, by the judge's own clock, and the name says so."""

    def __init__(self) -> None:
        self.name = "judge-clock" if time_used(os.getpid()) is None else "cpu-time"

    def time(self, checker: Checker, session: Session, workloads: Sequence[Workload], timed_calls: int) -> dict[str, Timing]:
        found = {}
        for workload in workloads:
            timer = _Timer(checker, session.metronome, workload)
            found[workload.uuid] = timer.measure(session, timer.plan(session, timed_calls), timed_calls, CHECKED_LEAST)
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
        """Turns as short as can be, one call: whatever moves the machine moves both."""
        for session in sessions:
            session.runner.stop()
        times: tuple[Times, Times] = ({}, {})
        for workload in workloads:
            timer = _Timer(checker, sessions[0].metronome, workload, label=("paired", block))
            least, most = ROUNDS
            rounds = max(least, min(most, int(ROUNDS_S / (known[workload.uuid].latency_us * 1e-6))))
            for found, latency_us in zip(times, timer.compare(sessions, rounds), strict=True):
                found[workload.uuid] = latency_us
            watch()
        return times


@dataclass(frozen=True, slots=True)
class _Request:
    """Seconds of a call, and of an empty request right before it."""

    full_s: float
    empty_s: float


class _Timer:
    """Times calls of one workload. `label` decides the inputs, with the workload and the job's seed."""

    def __init__(self, checker: Checker, metronome: Metronome, workload: Workload, label: tuple[object, ...] = ("timing",)) -> None:
        self.checker, self.metronome, self.workload, self.label = checker, metronome, workload, label
        self.layout = Layout.of(checker.definition, workload)
        self.source = checker.source_of(workload)
        self._drawn = 0
        self._latest = self.source.new(checker.seeds.of(*label, workload.uuid, 0))

    def plan(self, session: Session, timed_calls: int) -> int:
        """How many requests fill the time, from two trial requests."""
        self._request(session, verified=False)
        begin = time.perf_counter()
        trial = [self._request(session, verified=False) for _ in range(2)]
        cost_s = (time.perf_counter() - begin) / 2
        call_s = min(request.full_s for request in trial) - self.metronome.typical_s
        most = timed_calls * (MORE if call_s < SHORT * self.metronome.typical_s else 1)
        return max(MIN_REQUESTS, min(most, int(MEASURE_S / cost_s)))

    def measure(self, session: Session, count: int, samples: int, checked_least: int) -> Timing:
        """`count` requests, told as at most `samples` medians; which outputs are verified is drawn in secret."""
        checked = drawn_in_secret(count, checked_least)
        requests = [self._request(session, verified=k in checked) for k in range(count)]
        empties = [request.empty_s for request in requests]
        resolution_s = self._resolution_s(empties)
        size = -(-count // samples)
        groups = [requests[k : k + size] for k in range(0, count, size)]
        times = [median(request.full_s for request in group) - median(empties) for group in groups]
        return Timing(tuple(max(taken, resolution_s) * 1e6 for taken in times), resolution_s * 1e6, count, DOUBT * median(empties) * 1e6)

    def compare(self, sessions: Sequence[Session], rounds: int) -> tuple[float, float]:
        """Microseconds of a call of either session, from rounds of A B B A; the first round only warms up."""
        full: tuple[list[float], list[float]] = ([], [])
        empties: list[float] = []
        checked = drawn_in_secret(2 * rounds, 0)
        for number in range(-1, 2 * rounds):
            seed, base = self._draw()
            empty_s = self.metronome.tick()
            for who in (0, 1) if number % 2 == 0 else (1, 0):
                full_s = self._call(sessions[who], seed, base, verified=number in checked)
                if number >= 0:
                    full[who].append(full_s)
            if number >= 0:
                empties.append(empty_s)
        least_s, empty = self._resolution_s(empties), median(empties)
        candidate, opponent = (max(median(found) - empty, least_s) * 1e6 for found in full)
        return candidate, opponent

    def _resolution_s(self, empties: Sequence[float]) -> float:
        return SURE * max(robust_spread(empties), 1e-7) / math.sqrt(len(empties))

    def _request(self, session: Session, *, verified: bool) -> _Request:
        """One call on inputs never seen, beside an empty request."""
        seed, base = self._draw()
        session.runner.stop()
        empty_s = self.metronome.tick()
        return _Request(self._call(session, seed, base, verified=verified), empty_s)

    def _draw(self) -> tuple[int, int]:
        """New inputs; their seed, and where they are to lie."""
        self._drawn += 1
        seed = self.checker.seeds.of(*self.label, self.workload.uuid, self._drawn)
        self._latest = self.source.next(self._latest, seed)
        return seed, self._place()

    def _call(self, session: Session, seed: int, base: int, *, verified: bool) -> float:
        """Seconds of a call on the latest inputs."""
        with blamed(session, Stage.TIMING, self.workload):
            call = session.stage(self.layout, self._latest, seed, base, workload=self.workload)
            session.bind(call)
            full_s = processor_time(session.go())
        settle(self.checker, session, self.workload, call, verified=verified)
        return full_s

    def _place(self) -> int:
        """Other addresses than the last call's, while the block of memory has room, and another place within a page: how tensors lie
        to each other there can be worth a fifth of a call, and must not be one candidate's luck for good."""
        stride = self.layout.stride + PAGE
        room = max(1, STAGED_BYTES // stride)
        return (self._drawn % room) * stride + ALIGNMENT * secrets.randbelow(PAGE // ALIGNMENT)


def drawn_in_secret(count: int, least: int) -> set[int]:
    """A tenth of `count` calls on average, `least` at least."""
    chance = secrets.SystemRandom()
    wanted = max(least, math.floor(CHECKED_SHARE * count + chance.random()))
    return set(chance.sample(range(count), min(count, wanted)))


def settle(checker: Checker, session: Session, workload: Workload, call: CallSet, *, verified: bool) -> None:
    """After a timed call, the runner being stopped: it may not have trespassed, and must be right where that is looked at."""
    checker.refuse_trespass(session, call, Stage.TIMING, workload)
    checker.refuse_untouched(session, call, Stage.TIMING, workload)
    if verified:
        expectation = checker.expect(workload, call.inputs)
        checker.judge(expectation, session.outputs(call), Stage.TIMING, workload, "inside timing: ")
