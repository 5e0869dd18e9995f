"""What the cascade asks of a clock, whichever it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Protocol

from ksearch.definitions.schema import Workload

if TYPE_CHECKING:
    from ksearch.judge.checks import Checker
    from ksearch.judge.paired import Turn
    from ksearch.judge.session import Session


@dataclass(frozen=True, slots=True)
class Timing:
    """Samples are microseconds of a call, in order, each perhaps a median of several; `requests` calls were timed in all.

    `resolution_us` is the least difference that the clock's own noise leaves visible.
    """

    samples_us: tuple[float, ...]
    resolution_us: float
    requests: int

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

    def turns(
        self, checker: Checker, sessions: Sequence[Session], workloads: Sequence[Workload], block: int, known: dict[str, Timing]
    ) -> list[Turn]:
        """One turn-taker for each session, for one block; the k-th turns of all see the same inputs, while only one runs."""
        ...
