"""What stamps claim, held against the judge's own clock: many calls in a row, in one request, on inputs that nobody has seen.

A candidate shares its process with the stamps of a GPU's clock, and one that goes deep enough can write its own. A single call tells
nothing of that: the request around it takes milliseconds. In a row of K calls the request's own cost is shared by all, and what the
same row takes in the judge's idle runner is taken off. The cache is flushed before each call, which keeps the device busy for longer
than the host needs for a launch, so that a row is bound by the device like the calls that were stamped. Outputs cross inside the
clock, and those of some calls, drawn in secret, are verified: whoever leaves work out of a row is wrong.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from ksearch.definitions.schema import Workload
from ksearch.judge.arena import CallSet, Layout
from ksearch.judge.checks import Checker, blamed
from ksearch.judge.device_session import DeviceSession
from ksearch.judge.failures import StageFailure
from ksearch.judge.statistics import robust_spread
from ksearch.judge.verdict import Stage, Status

if TYPE_CHECKING:
    from ksearch.judge.clocks import Timing

CALLS = 32
LEAST_CALLS = 3
DEVICE_BYTES, SHARED_BYTES = 4 * 2**30, 256 * 2**20
"""Of a row's tensors on the device, and of its outputs in shared memory."""
ROW_US = 500_000.0
"""Calls that are long need no long row."""
ROWS = 5
VERIFIED = 2
"""Calls of each row whose outputs are verified."""
SURE = 4.0
"""Standard errors of a row's excess; an accusation has to be sure."""
LEAST_US = 2.0
TOLERANCE = 0.1
"""Of the claim: the device's clock is not fixed, and a row keeps it warmer than single calls do."""


@dataclass(frozen=True, slots=True)
class Excess:
    """Microseconds by which a call in a row takes longer than its stamps claimed, and what of it may be chance."""

    us: float
    resolution_us: float

    def accuses(self, claimed_us: float) -> bool:
        return self.us > TOLERANCE * claimed_us + self.resolution_us


def hold_to_claims(checker: Checker, session: DeviceSession, workloads: Sequence[Workload], claims: dict[str, Timing]) -> float | None:
    """`resolution_us` of a verdict: how much a call could hide. Of the workload that takes longest, and of another drawn in secret.

    None when no row of calls fits the device. Raises StageFailure when the judge's clock sees more than was claimed, twice.
    """
    found = [_held(checker, session, workload, claims[workload.uuid].latency_us) for workload in _chosen(workloads, claims)]
    known = [resolution_us for resolution_us in found if resolution_us is not None]
    return max(known) if known else None


def _chosen(workloads: Sequence[Workload], claims: dict[str, Timing]) -> list[Workload]:
    longest = max(workloads, key=lambda workload: claims[workload.uuid].latency_us)
    others = [workload for workload in workloads if workload is not longest]
    return [longest, *secrets.SystemRandom().sample(others, min(1, len(others)))]


def _held(checker: Checker, session: DeviceSession, workload: Workload, claimed_us: float) -> float | None:
    rows = _Rows(checker, session, workload, claimed_us)
    if rows.calls < LEAST_CALLS:
        return None
    excess = rows.excess()
    if excess.accuses(claimed_us):
        excess = rows.excess()  # a machine that was disturbed once is not a candidate that lies
    if excess.accuses(claimed_us):
        message = (
            f"stamps claim {claimed_us:.3g} us a call; {rows.calls} calls in a row take {claimed_us + excess.us:.3g} us each "
            f"by the judge's clock (+- {excess.resolution_us:.2g} us)"
        )
        raise StageFailure(Status.REJECTED, Stage.TIMING, message, workload=workload.uuid)
    return excess.resolution_us


class _Rows:
    """Rows of `calls` calls of one workload, in the candidate's runner and in the idle one."""

    def __init__(self, checker: Checker, session: DeviceSession, workload: Workload, claimed_us: float) -> None:
        self.checker, self.session, self.workload = checker, session, workload
        self.layout = Layout.of(checker.definition, workload)
        outputs = self.layout.stride - self.layout.outputs_start
        self.calls = min(
            CALLS, DEVICE_BYTES // max(1, self.layout.stride), SHARED_BYTES // max(1, outputs), math.ceil(ROW_US / max(claimed_us, 1.0))
        )
        self._drawn = 0
        self.claimed_us = claimed_us

    def excess(self) -> Excess:
        pairs = [self._pair() for _ in range(ROWS + 1)][1:]  # the first only warms up
        spent, idle = ([seconds * 1e6 / self.calls for seconds in side] for side in zip(*pairs, strict=True))
        spread = math.hypot(robust_spread(spent), robust_spread(idle))
        return Excess(median(spent) - median(idle) - self.claimed_us, max(LEAST_US, SURE * spread / math.sqrt(ROWS)))

    def _pair(self) -> tuple[float, float]:
        """Seconds of a row, and of one of nothing right before it."""
        self._drawn += 1
        self.session.runner.stop()
        seeds = [self.checker.seeds.of("row", self.workload.uuid, self._drawn, place) for place in range(self.calls)]
        idle = self.session.metronome.row(self.workload, self.layout, seeds)
        with blamed(self.session, Stage.TIMING, self.workload):
            row = self.session.stage_row(self.layout, seeds, workload=self.workload)
            self.session.bind_row(row)
            seconds = self.session.go().seconds
            self.session.stamps(check_inputs=False)
        self._verify(row)
        return seconds, idle

    def _verify(self, row: list[CallSet]) -> None:
        drawn = secrets.SystemRandom().sample(row, min(VERIFIED, len(row)))
        for call in row:
            self.checker.refuse_trespass(self.session, call, Stage.TIMING, self.workload)
        for call in drawn:
            call.inputs = self.checker.source_of(self.workload).new(call.seed)
            expectation = self.checker.expect(self.workload, call.inputs)
            outputs = self.session.outputs(call)
            self.checker.judge(expectation, outputs, Stage.TIMING, self.workload, "in a row of calls: ")
