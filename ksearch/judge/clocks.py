"""What the cascade asks of a clock, whichever it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Protocol

from ksearch.definitions.schema import Workload

if TYPE_CHECKING:
    from ksearch.judge.checks import Checker
    from ksearch.judge.paired import Times, Watch
    from ksearch.judge.session import Session


@dataclass(frozen=True, slots=True)
class Timing:
    """Samples are microseconds of a call, in order, each perhaps a median of several; `requests` calls were timed in all.

    `resolution_us` is the least difference that the clock's own noise leaves visible; None where a clock that the candidate shares its
    process with was believed, and only `rows.hold_to_claims` tells. `doubt_us`: by how much all samples may be wrong together, because
    what is taken off them was measured in another process.
    """

    samples_us: tuple[float, ...]
    resolution_us: float | None
    requests: int
    doubt_us: float = 0.0

    @property
    def latency_us(self) -> float:
        return median(self.samples_us)


class Clock(Protocol):
    """Times candidates on one device. A candidate that fails, trespasses or is wrong inside timing raises StageFailure."""

    @property
    def name(self) -> str:
        """As verdicts give it; numbers of different clocks are never compared."""
        ...

    def time(self, checker: Checker, session: Session, workloads: Sequence[Workload], timed_calls: int) -> dict[str, Timing]:
        """By workload."""
        ...

    def duel(
        self,
        checker: Checker,
        sessions: Sequence[Session],
        workloads: Sequence[Workload],
        block: int,
        known: dict[str, Timing],
        watch: Watch,
    ) -> tuple[Times, Times]:
        """One block between two sessions: both see the same inputs, in the order A B B A, while only one runs. `watch` is called
        between turns; `known` are the first one's times, by which the work is measured out."""
        ...
