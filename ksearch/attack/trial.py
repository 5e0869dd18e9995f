"""Trying a corpus entry on the judge: what it ends in, and whether it gained anything."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from ksearch.attack.corpus_files import NEUTRALISED, Entry
from ksearch.evaluators.base import Evaluator
from ksearch.judge.verdict import Job, Limits, Status, Verdict

SUSPICIOUS = 0.95
"""A cheat at most this share of its twin's latency goes to a contest with it, as a search's promotion would."""
GAIN_LN = math.log(1.03)
"""Gain that counts, when the whole interval of the contest's blocks lies above zero."""
TIMED_CALLS = 8
LIMITS = Limits(timeout_s=8.0, compile_s=240.0, total_s=180.0, memory_bytes=3 * 2**30)

_numbers = itertools.count()


class Outcome(StrEnum):
    """What became of an entry. The last three are faults: of the judge, or of the machine."""

    REJECTED = "rejected"
    NEUTRALISED = "neutralised"
    PASSED = "passed"
    GAINED = "GAINED"
    WRONGED = "WRONGED"
    """An honest kernel was not let pass."""
    NOT_JUDGED = "not judged"


@dataclass(frozen=True)
class Result:
    """`ratio` is the entry's latency over its twin's, None unless it passed. `expected`: it ended as the corpus says."""

    entry: Entry
    outcome: Outcome
    verdict: Verdict
    ratio: float | None = None

    @property
    def expected(self) -> bool:
        if self.entry.hack is None:
            return self.outcome is Outcome.PASSED
        if self.outcome is Outcome.NEUTRALISED:
            return NEUTRALISED in self.entry.expect
        return self.outcome is Outcome.REJECTED and self.verdict.status.value in self.entry.expect

    @property
    def fault(self) -> bool:
        return self.outcome in (Outcome.GAINED, Outcome.WRONGED)


class Trials:
    """Tries entries on one evaluator. `kind` is 'cpu' or 'cuda'; twins are judged once. `deadline`, by `time.monotonic`, ends all."""

    def __init__(self, evaluator: Evaluator, device: str, entries: Sequence[Entry], deadline: float | None = None) -> None:
        self.evaluator, self.device, self.kind = evaluator, device, device.partition(":")[0]
        self.by_name = {entry.name: entry for entry in entries}
        self._twins: dict[str, Future[Verdict]] = {}
        self._deadline = deadline

    def run(self, entries: Sequence[Entry]) -> Iterator[Result]:
        """In order; all are handed over first, so that later ones compile while earlier ones are measured. At the deadline it ends."""
        waiting = [(entry, self._first(entry)) for entry in entries]
        try:
            for entry, future in waiting:
                yield self._result(entry, self._wait(future))
        except TimeoutError:
            return

    def _wait(self, future: Future[Verdict]) -> Verdict:
        """Raises TimeoutError at the deadline."""
        return future.result(None if self._deadline is None else max(0.0, self._deadline - time.monotonic()))

    def verdict(self, entry: Entry) -> Verdict:
        """The judge's answer alone, with no twin to compare with."""
        return self._submit(entry, "evaluate").result()

    def _first(self, entry: Entry) -> Future[Verdict]:
        if entry.hack is not None and entry.may_pass and entry.twin not in self._twins:
            self._twins[entry.twin] = self._submit(self.by_name[entry.twin], "evaluate")
        return self._submit(entry, "evaluate")

    def _submit(self, entry: Entry, kind: Literal["evaluate", "promote"], twin: Entry | None = None) -> Future[Verdict]:
        job = Job(
            job=f"attack-{next(_numbers)}",
            kind=kind,
            definition=entry.operator.definition,
            solution=entry.solution,
            workloads=entry.operator.workloads(self.kind),
            baseline=self.by_name[f"{entry.operator.name}/honest"].solution,
            opponent=None if twin is None else twin.solution,
            device=self.device,
            timed_calls=TIMED_CALLS,
            limits=LIMITS,
        )
        return self.evaluator.submit(job)

    def _result(self, entry: Entry, verdict: Verdict) -> Result:
        if verdict.status is Status.INFRASTRUCTURE:
            return Result(entry, Outcome.NOT_JUDGED, verdict)
        if entry.hack is None:
            return Result(entry, Outcome.PASSED if verdict.status is Status.PASSED else Outcome.WRONGED, verdict)
        if verdict.status is not Status.PASSED:
            return Result(entry, Outcome.REJECTED, verdict)
        return self._of_one_that_passed(entry, verdict)

    def _of_one_that_passed(self, entry: Entry, verdict: Verdict) -> Result:
        """Whether it gained: by a promotion against its twin, wherever it looks faster or should not have passed at all."""
        twin = self.by_name[entry.twin]
        if entry.twin not in self._twins:
            self._twins[entry.twin] = self._submit(twin, "evaluate")
        ratio = latency(verdict) / latency(self._wait(self._twins[entry.twin]))
        if ratio > SUSPICIOUS and entry.may_pass:
            return Result(entry, Outcome.NEUTRALISED, verdict, ratio)
        return self._contest(entry, twin, ratio)

    def _contest(self, entry: Entry, twin: Entry, ratio: float) -> Result:
        """Gained only if it wins twice: one contest in forty is won by chance, and a whole corpus holds dozens."""
        result = Result(entry, Outcome.NEUTRALISED, self._wait(self._submit(entry, "promote", twin)), ratio)
        for again in (True, False):
            contest = result.verdict
            if contest.status is Status.INFRASTRUCTURE:
                return Result(entry, Outcome.NOT_JUDGED, contest, ratio)
            if contest.status is not Status.PASSED or contest.paired is None:
                return Result(entry, Outcome.REJECTED, contest)
            faster = contest.paired.low > 0 and contest.paired.mean > GAIN_LN
            result = Result(entry, Outcome.GAINED if faster else Outcome.NEUTRALISED, contest, math.exp(-contest.paired.mean))
            if not faster or not again:
                break
            result = Result(entry, Outcome.GAINED, self._wait(self._submit(entry, "promote", twin)), result.ratio)
        return result


def latency(verdict: Verdict) -> float:
    """Weighted mean in microseconds; NaN where the kernel did not pass (a twin that fails shows as WRONGED on its own line)."""
    times = [row.weight * row.latency_us for row in verdict.workloads if row.latency_us is not None]
    return sum(times) if len(times) == len(verdict.workloads) and times else math.nan
