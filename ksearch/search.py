"""The search loop: select, plan, write, judge, back up.

One thread owns the tree and the log; planners, coders and evaluators work beside it and hand back futures. Every step
is logged before anybody else learns of it, answers that are in together as one, and what to do next is read from the
state alone (`pending.next_step`), so a resumed run takes the same path as one that was never interrupted.
"""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from typing import Any

from ksearch.errors import BadInput, Unavailable
from ksearch.evaluators.places import in_rounds
from ksearch.line import Line, room_for_more, under_judgement
from ksearch.parts import Answer, Parts
from ksearch.pending import (
    ForecastBatch,
    ForecastStep,
    JudgeStep,
    ProposeStep,
    RecallStep,
    SettleStep,
    Step,
    WaitStep,
    WriteStep,
    next_step,
)
from ksearch.profiling.run import incumbent_above_floor, is_at_floor
from ksearch.promotion import aftermath, gpu_seconds_kept, promotion, seconds_kept, usd_kept
from ksearch.root import settle_root
from ksearch.steering import take_requests
from ksearch.steps import Steps
from ksearch.store.events import RunEnded
from ksearch.store.fold import CandidateState, RunState
from ksearch.store.journal import Journal

POLL_SECONDS = 0.2
"""How long a signal, a request or a time limit may go unnoticed."""

IDEAS_AN_ANSWER = 4
"""Of a planner's answer to one question, as many are likely to be tried."""

TOGETHER_SECONDS = 0.05
"""Verdicts of one round, handed over one after the other by another thread, count as having come together."""


@dataclass
class Search:
    """A search under way over one journal. `stop` is set from outside (Ctrl-C, SIGTERM) to end it cleanly."""

    journal: Journal
    parts: Parts
    stop: threading.Event
    running: dict[Future[Answer], Step] = field(default_factory=dict)
    exhausted: bool = False
    above_floor: dict[int, float | None] = field(default_factory=dict)
    """By incumbent: how far it is above what the hardware allows."""

    @property
    def state(self) -> RunState:
        return self.journal.state

    def run(self) -> RunEnded:
        """Search until something ends it; the ending is logged and returned. Raises Unavailable when the evaluator is lost,
        BadInput when the judge finds the definition or the baseline at fault.
        """
        with Steps(self.journal, self.parts) as self.steps:
            try:
                self.steps.book_lost("the process that ran it ended")
                ending = settle_root(self.journal, self.parts, self.steps, self.heed) if self.state.tree is None else self.heed()
                if ending is None:
                    self.steps.open_surrogate()
                while ending is None:
                    self.advance()  # what is known is told before the tree is asked again, also at the start of a resumed run
                    self.ask()
                    self.advance()
                    ending = self.ending() or self.wait()
            except (Unavailable, BadInput) as error:
                self.journal.record(RunEnded(status="error", reason=str(error)), durable=True)
                raise
            self.steps.book_lost(ending.reason)
            self.journal.record(ending, durable=True)
            return ending

    def ask(self) -> None:
        """Hand out tickets while there is room in flight and budget for what they may cost."""
        affordable, queued = self.affordable(), self.filtering
        room = room_for_more(self.state, self.parts.parallel)
        room = min(room, affordable) if not queued or affordable == 0 else room
        if self.state.tree is None or room <= 0 or self.at_floor():
            return
        asked = self.state.tree.ask(room, random.Random(f"{self.state.header.seed}/{self.state.settled_tickets}"), self.most_asking)
        self.exhausted = asked.exhausted
        if asked.changes:
            jobs = self.parts.jobs
            gpu_seconds, usd = (0.0, 0.0) if queued else (jobs.gpu_reservation, jobs.usd_reservation)
            self.journal.record_changes(asked.changes, gpu_seconds=gpu_seconds, evaluations=int(not queued), usd=usd)

    @property
    def most_asking(self) -> int | None:
        """A model's answer brings several ideas, and costs as much as a kernel: a few at a time fill all slots."""
        return None if self.state.settings.planner != "llm" else max(1, self.parts.parallel // IDEAS_AN_ANSWER)

    def advance(self) -> None:
        """Take every open ticket one step on, and again while settling one frees another."""
        settled = True
        while settled:
            settled, forecasts, ready = False, [], []
            for ticket in list(self.state.open_tickets.values()):
                match step := next_step(self.state, ticket):
                    case SettleStep():
                        self.steps.settle(step)
                        settled = True
                    case RecallStep():
                        self.steps.recall(step)
                        settled = True
                    case ForecastStep(candidate):
                        forecasts.append(candidate)
                        # Without trust a forecast doesn't decide who is measured, so no measurement waits for it.
                        judged = bool(self.state.candidates[candidate].verdicts)
                        ready += [] if self.filtering or judged else [JudgeStep(candidate)]
                    case JudgeStep() if self.state.surrogate is not None:
                        ready.append(step)
                    case _ if not isinstance(step, WaitStep) and step not in self.running.values():
                        self.running[self.steps.start(step)] = step
            self.forecast(forecasts)
            settled = self.release(ready) or settled
        self.promote()

    def promote(self) -> None:
        """Conclude the promotion that was answered, and begin the next when its time has come."""
        while (step := aftermath(self.state)) is not None:
            self.steps.conclude(step)
        # A visited device has judged its round's fastest in full already, or does so with the next round.
        chosen = promotion(self.state, at_once=self.in_rounds or self.promotion_is_due())
        if chosen is not None and chosen not in self.running.values() and self.may_promote() and not self.unsettled():
            self.running[self.steps.start(chosen)] = chosen

    def unsettled(self) -> bool:
        """Whether a verdict is in that its ticket waits to tell, for the forecast: with it, who is promoted may change."""
        candidates = map(self.state.candidate_of, self.state.open_tickets)
        return any(candidate is not None and "evaluate" in candidate.verdicts for candidate in candidates)

    def promotion_is_due(self) -> bool:
        """Whether the fastest in waiting is promoted whatever may still come: because nothing will, or its time is up."""
        over = not self.running and not self.state.open_tickets and (self.exhausted or self.affordable() == 0 or self.at_floor())
        return over or self.winding_down()

    def may_promote(self) -> bool:
        left, last = self.state.ledger.remaining, self.state.promotions
        device = left.gpu_seconds is None or float(left.gpu_seconds) >= last.last_device_s
        rent = left.usd is None or float(left.usd) >= last.last_usd
        return not self.state.ledger.exceeded and device and rent

    def winding_down(self) -> bool:
        """Whether the time that is left belongs to a promotion."""
        limit = self.state.settings.budget.max_time_s
        return limit is not None and self.wall_seconds() >= limit - seconds_kept(self.state, self.parts.parallel)

    @property
    def filtering(self) -> bool:
        """Whether forecasts are trusted to choose what is measured."""
        return self.state.surrogate is not None and self.state.surrogate.m > 1.0

    def forecast(self, candidates: list[int]) -> None:
        """One question at a time: what is written meanwhile goes into the next one together. A candidate that is about to be
        measured is asked about at once, while nobody knows the verdict."""
        asked = {number for step in self.running.values() if isinstance(step, ForecastBatch) for number in step.candidates}
        new = sorted(number for number in candidates if number not in asked)
        if new and not (asked and self.filtering):
            step, future = self.steps.forecast(new)
            self.running[future] = step

    def release(self, ready: list[JudgeStep]) -> bool:
        """Free devices take their candidates out of the line, and those passed over too often leave it. True when tickets settled."""
        ready = [step for step in ready if step not in self.running.values()]
        if not ready:
            return False
        line = Line(self.state, ready, self.parts.parallel)
        while (chosen := line.next_to_measure(self.affordable(), filling=self.filling())) is not None:
            self.measure(line.stand_in(chosen), chosen)
            line = Line(self.state, ready, self.parts.parallel)
        gone = list(line.unaffordable()) if self.spent() else list(line.retirements())
        for retirement in gone:
            self.steps.retire(retirement)
        return bool(gone)

    def measure(self, candidate: CandidateState, chosen: CandidateState) -> None:
        if candidate.id != chosen.id:
            self.steps.stand_in(candidate, chosen)
        step = JudgeStep(candidate.id)
        self.running[self.steps.start(step)] = step

    def filling(self) -> bool:
        """Whether a device should wait for what is on its way into the line: only where measurements are what is scarce."""
        limits = self.state.settings.budget
        if limits.max_evaluations is None and limits.max_gpu_seconds is None:
            return False
        return any(isinstance(step, ProposeStep | WriteStep | ForecastBatch) for step in self.running.values())

    def spent(self) -> bool:
        """Whether nothing can be measured any more: no budget, and nothing under judgement that could give some back."""
        return self.affordable() == 0 and under_judgement(self.state) == 0

    def wait(self) -> RunEnded | None:
        """Wait until something in flight answers, and log it; then heed who asks. An interruption ends the run at once."""
        watched: list[Future[Any]] = [*self.running, *([] if self.parts.models is None else [self.parts.models.bell])]
        wait(watched, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
        done = [future for future in self.running if future.done()]
        if done and self.in_rounds:
            wait([*self.running], timeout=TOGETHER_SECONDS)
        if done:
            self.wait_for_quick()
        done = [future for future in self.running if future.done()]
        self.steps.serve()  # what a finished step asked of a model was posted before it finished
        with self.journal.together():
            for future in sorted(done, key=lambda future: _order(self.running[future])):
                self.steps.finish(self.running.pop(future), future.result())
        return self.heed()

    def wait_for_quick(self) -> None:
        """What takes this machine milliseconds is waited for whenever anything is in, so that which of its threads was first never
        matters: with an evaluator that answers at once, equal seeds then give equal searches."""
        while not self.stop.is_set():
            late = [future for future, step in self.running.items() if not future.done() and self.is_quick(step)]
            if not late:
                return
            wait(late, timeout=POLL_SECONDS)

    def is_quick(self, step: Step) -> bool:
        """Whether it is done by this program, without a model being asked or a kernel being run."""
        match step:
            case ProposeStep():
                return self.state.settings.planner != "llm"
            case WriteStep():
                return self.state.settings.coder != "llm"
            case ForecastBatch():
                return self.state.surrogate is not None and self.state.surrogate.is_quick
            case _:
                return False

    @property
    def in_rounds(self) -> bool:
        """Whether verdicts come many at a time: who is promoted first is then decided among all of them."""
        return in_rounds(self.state.settings.evaluator)

    def heed(self) -> RunEnded | None:
        """Take in what other processes ask of this search; an ending if they or anything else interrupt it."""
        if take_requests(self.journal):
            self.stop.set()
        return self.interruption()

    def affordable(self) -> int:
        """How many more evaluations the budget can promise."""
        remaining, jobs = self.state.ledger.remaining, self.parts.jobs
        if self.state.ledger.exceeded or self.state.blocked is not None or self.winding_down():
            return 0
        counts: list[int] = [self.parts.parallel]
        if remaining.evaluations is not None:
            counts.append(remaining.evaluations)
        if remaining.gpu_seconds is not None and jobs.gpu_reservation > 0:
            counts.append(int((float(remaining.gpu_seconds) - gpu_seconds_kept(self.state)) // jobs.gpu_reservation))
        if remaining.usd is not None and jobs.usd_reservation > 0:
            counts.append(int((float(remaining.usd) - usd_kept(self.state)) // jobs.usd_reservation))
        return max(0, min(counts))

    def interruption(self) -> RunEnded | None:
        """What ends a search at once, work in flight or not."""
        if self.stop.is_set():
            return RunEnded(status="interrupted", reason="stopped by the user")
        limit = self.state.settings.budget.max_time_s
        if limit is not None and self.wall_seconds() >= limit:
            return RunEnded(status="budget", reason=f"time limit of {limit:g} s reached")
        return None

    def ending(self) -> RunEnded | None:
        """What ends a search once nothing is in flight."""
        if self.running or self.state.open_tickets:
            return None
        if self.at_floor():
            assert self.state.bounds is not None
            floor = self.state.bounds.objective_floor_us
            return RunEnded(status="done", reason=f"the incumbent is at the floor: the hardware allows no less than {floor:.3g} us")
        if self.exhausted:
            return RunEnded(status="done", reason="nothing left to try: every plan is settled and the planner has no more ideas")
        if self.affordable() == 0:
            spent = self.state.ledger.exhausted_resources() or ("what is left promises no further evaluation",)
            reason = f"budget spent: {', '.join(spent)}" if self.state.blocked is None else f"budget: {self.state.blocked}"
            return RunEnded(status="budget", reason=reason)
        return None

    def at_floor(self) -> bool:
        """Whether the hardware allows so little more that the user's setting ends the search."""
        best = self.state.incumbent
        if best is None:
            return False
        if best.candidate not in self.above_floor:
            self.above_floor[best.candidate] = incumbent_above_floor(self.state, self.journal.log)
        return is_at_floor(self.above_floor[best.candidate], self.state.settings.stop_above_floor)

    def wall_seconds(self) -> float:
        """Seconds of this run so far, all openings together."""
        since = time.time() - self.state.last_time if self.state.last_time is not None else 0.0
        return self.state.wall_seconds + max(0.0, since)


def _order(step: Step) -> tuple[str, int]:
    """Answers that arrive together are logged in a fixed order."""
    ticket = getattr(step, "ticket", None)
    number = getattr(step, "candidate", None)
    return type(step).__name__, number if number is not None else ticket.ticket if ticket is not None else 0
