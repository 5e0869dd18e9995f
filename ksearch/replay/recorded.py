"""What a record holds of the world outside: the judge's verdicts and the models' answers."""

from __future__ import annotations

import difflib
import json
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future

from ksearch.definitions.schema import Solution
from ksearch.errors import KsearchError, Unavailable
from ksearch.evaluators.base import Capabilities, infrastructure_verdict
from ksearch.forecasting.desk import ForecastDesk, Forecasts, Samples
from ksearch.forecasting.history import History
from ksearch.judge.verdict import Job, Verdict
from ksearch.llm.desk import REPLY, Desk, Opening, OutOfBudget, Posted
from ksearch.replay.sittings import KILLED
from ksearch.store.events import (
    BudgetBlocked,
    CandidateWritten,
    EvaluationLost,
    EvaluationSettled,
    Event,
    ModelCallSettled,
    ModelCallStarted,
    SurrogateOpened,
)
from ksearch.store.fold import RunState
from ksearch.store.journal import Journal
from ksearch.store.log import EventLog
from ksearch.surrogates.types import Forecast, Sample

MOST_LINES = 80
"""Of a difference that is shown."""


class Diverged(KsearchError):
    """This program does something else than the record."""


class RecordedEvaluator:
    """An evaluator that only remembers."""

    name = "replay"

    def __init__(self, log: EventLog, events: Sequence[Event]) -> None:
        self._log = log
        self._written = {event.candidate: event for event in events if isinstance(event, CandidateWritten)}
        self._answers: dict[tuple[int, str], deque[EvaluationSettled | EvaluationLost]] = {}
        for event in events:
            if isinstance(event, EvaluationSettled | EvaluationLost):
                self._answers.setdefault((event.candidate, event.kind), deque()).append(event)

    def capabilities(self) -> Capabilities:
        return Capabilities(devices=(), measuring=1, compiling=1, needs_torch=False)

    def submit(self, job: Job) -> Future[Verdict]:
        """The next recorded answer; a future that never ends where the record shows that nobody waited for one."""
        _, candidate, kind = job.job.rsplit("/", 2)
        self.check(int(candidate), job.solution)
        known, future = self._answers.get((int(candidate), kind)), Future[Verdict]()
        answer = known.popleft() if known else None
        if isinstance(answer, EvaluationSettled):
            future.set_result(Verdict.model_validate_json(self._log.get_blob(answer.verdict)))
        elif answer is not None and answer.reason != KILLED:
            future.set_result(infrastructure_verdict(job, answer.reason))
        return future

    def check(self, candidate: int, solution: Solution) -> None:
        """Raises Diverged unless the kernel is the recorded one: a verdict is only true of that."""
        written = self._written.get(candidate)
        if written is None:
            raise Diverged(f"candidate {candidate}: the record has none")
        if written.digest != solution.digest:
            theirs = Solution.model_validate_json(self._log.get_blob(written.solution))
            raise Diverged(f"candidate {candidate} differs from the record:\n{_difference(_lines(theirs), _lines(solution))}")

    def close(self) -> None:
        return None


class RecordedDesk(Desk):
    """Gives recorded answers when it is told that they came. Who asks must ask what the record holds."""

    def __init__(self, log: EventLog) -> None:
        super().__init__()
        self._log = log

    def serve(self, journal: Journal) -> None:
        """Nothing is booked by itself: the replay does it, arrival by arrival."""

    def collect(self, journal: Journal) -> None:
        """Take in what was posted; answers from before an interruption are given out at once, as a resumed run does."""
        self.bell = Future()
        while not self._posted.empty():
            post = self._posted.get()
            if isinstance(post, Posted):
                self._waiting.append(post)
        for post in list(self._waiting):
            known = self._answered_before(journal, post.intent, journal.put_blob(post.intent.request.canonical()))
            if known is not None:
                self._answer(post, known)

    def asking(self, ticket: int | None) -> Posted | None:
        return next((post for post in self._waiting if post.intent.ticket == ticket), None)

    def start(self, journal: Journal, event: ModelCallStarted) -> None:
        """Raises Diverged when the question isn't the recorded one."""
        post = self.asking(event.ticket)
        assert post is not None
        canonical = post.intent.request.canonical()
        if journal.put_blob(canonical) != event.request:
            theirs = self._log.get_blob(event.request).decode("utf-8", "surrogatepass")
            difference = _difference(_request_lines(theirs), _request_lines(canonical))
            place = f"model call {event.call} ({event.role}, ticket {event.ticket})"
            raise Diverged(f"{place} asks something else than the record:\n{difference}")
        journal.record(event, durable=True)

    def book(self, journal: Journal, event: ModelCallStarted) -> None:
        """A question that nobody asks again: the forecasts that came of it are in the record."""
        journal.put_blob(self._log.get_blob(event.request).decode("utf-8", "surrogatepass"))
        journal.record(event, durable=True)

    def settle_recorded(self, journal: Journal, event: ModelCallSettled) -> None:
        self._served.add(event.call)
        text = None if event.answer is None else self._log.get_blob(event.answer).decode("utf-8", "surrogatepass")
        if text is not None:
            journal.put_blob(text)
        journal.record(event, durable=True)
        post = self.asking(journal.state.calls[event.call].started.ticket)
        if post is None or event.ending == "broken":
            return  # who asked waits on: the same question was put again
        self._answer(post, Unavailable(event.error or "no answer") if text is None else Opening(event.call, REPLY.validate_json(text)))

    def block(self, journal: Journal, event: BudgetBlocked) -> None:
        journal.record(event, durable=True)
        post = self.asking(event.ticket)
        if post is not None:
            self._answer(post, OutOfBudget(event.reason))

    def _answer(self, post: Posted, answer: Opening | Exception) -> None:
        self._waiting.remove(post)
        if isinstance(answer, Opening):
            post.answer.set_result(answer)
        else:
            post.answer.set_exception(answer)


def _difference(theirs: Sequence[str], ours: Sequence[str]) -> str:
    return "\n".join(list(difflib.unified_diff(theirs, ours, "record", "replay", lineterm="", n=2))[:MOST_LINES])


def _lines(solution: Solution) -> list[str]:
    return [line for source in solution.sources for line in (f"== {source.path}", *source.content.splitlines())]


def _request_lines(canonical: str) -> list[str]:
    value = json.loads(canonical)
    parts = [part["text"] for part in value["system"]] + [part["text"] for message in value["messages"] for part in message["parts"]]
    rest = {name: value[name] for name in value if name not in ("system", "messages")}
    return [*json.dumps(rest, indent=1, sort_keys=True).splitlines(), *(line for part in parts for line in part.splitlines())]


class RecordedForecaster:
    """Named like the recorded one, and never asked: what it said is in the record."""

    def __init__(self, name: str) -> None:
        self.name = name

    def forecast(self, sample: Sample) -> Forecast | None:
        raise AssertionError("a replay asks no forecaster")

    def learn(self, sample: Sample) -> None:
        return None


class RecordedForecasts(ForecastDesk):
    """Takes questions and lets the record answer them: its futures stay open until the forecasts arrive."""

    def __init__(self, opened: SurrogateOpened) -> None:
        super().__init__(RecordedForecaster(opened.forecaster), History(past=opened.past), model=opened.model)

    def ask(self, state: RunState, samples: Samples, candidates: Sequence[int]) -> Future[Forecasts]:
        return Future()
