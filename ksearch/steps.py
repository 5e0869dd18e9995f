"""Carrying out the steps of a search: start one, log its answer, settle its ticket."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from types import TracebackType
from typing import Self, TypeVar

from ksearch.coder.types import Draft, NothingToWrite
from ksearch.errors import BadInput, Unavailable
from ksearch.evaluators.places import in_rounds
from ksearch.forecasting.candidates import SampleMaker
from ksearch.forecasting.desk import Forecasts
from ksearch.forecasting.history import History
from ksearch.judge.verdict import Status, Verdict
from ksearch.line import Retirement
from ksearch.llm.desk import OutOfBudget
from ksearch.parts import Answer, NoBudget, Parts
from ksearch.pending import ForecastBatch, JudgeStep, PromoteStep, ProposeStep, RecallStep, SettleStep, Step, WriteStep
from ksearch.promotion import CrownStep, RefuteStep
from ksearch.questions import Questions
from ksearch.store.changes import edit_record
from ksearch.store.events import (
    CandidateRecalled,
    CandidateRetired,
    CandidateWritten,
    EvaluationLost,
    EvaluationSettled,
    EvaluationStarted,
    Event,
    ForecastMade,
    IncumbentChanged,
    Kind,
    ModelCallLost,
    NothingWritten,
    PlanningFailed,
    PlanRefuted,
    SurrogateOpened,
    WorldModelRevised,
)
from ksearch.store.fold import CandidateState, RunState
from ksearch.store.forecasts import DECIDED
from ksearch.store.journal import Journal
from ksearch.surrogates.acquisition import MOST_CANDIDATES, drawn_as_audit, room_in_line
from ksearch.translate import failed_stage, mean_latencies, over_baselines, reward
from ksearch.tree.types import Cancelled, NodeId, Outcome, Proposed, Skipped, TicketId
from ksearch.worldmodel.document import revise
from ksearch.worldmodel.types import Planned

__all__ = ["MAX_LOSSES", "Answer", "NoBudget", "Parts", "Steps"]

MAX_LOSSES = 3
"""Tries of one evaluation before the evaluator is called unavailable."""


Request = TypeVar("Request")


class Steps:
    """Executes steps over one journal; a context manager that owns the threads of planner and coder."""

    def __init__(self, journal: Journal, parts: Parts) -> None:
        self.journal, self.parts = journal, parts
        self.questions = Questions(journal.state, journal.log, parts)
        most = MOST_CANDIDATES if parts.desk is not None else 1.0
        self.pool = ThreadPoolExecutor(room_in_line(most, max(1, parts.parallel)), thread_name_prefix="ksearch")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.parts.models is not None:
            self.parts.models.close()
        self.pool.shutdown(wait=False, cancel_futures=True)
        if self.parts.desk is not None:
            self.parts.desk.close()

    def serve(self) -> None:
        """Book what was asked of models since the last time."""
        if self.parts.models is not None:
            self.parts.models.serve(self.journal)

    @property
    def state(self) -> RunState:
        return self.journal.state

    # ------------------------------------------------------------------ start

    def start(self, step: Step) -> Future[Answer]:
        match step:
            case ProposeStep(ticket):
                return self._in_pool(self.parts.planner.propose, self.questions.propose(ticket))
            case WriteStep(ticket):
                return self._in_pool(self.parts.coder.write, self.questions.write(ticket))
            case JudgeStep(candidate):
                return self.judge(self.state.candidates[candidate], "evaluate")
            case PromoteStep(candidate):
                return self.judge(self.state.candidates[candidate], "promote")
            case _:
                raise TypeError(f"{step} is not something to start")

    def open_surrogate(self) -> None:
        """Begin to forecast, unless the log shows that it was begun."""
        desk, begun = self.parts.desk, self.state.surrogate
        if desk is None:
            return
        if begun is not None:
            if begun.opened.samples is not None:
                desk.history = History.load(self.journal.log.get_blob(begun.opened.samples))
            return
        samples = self.journal.put_blob(desk.history.dump()) if desk.history.samples else None
        self.journal.record(SurrogateOpened(forecaster=desk.forecaster.name, model=desk.model, samples=samples, past=desk.history.past))

    def forecast(self, candidates: Sequence[int]) -> tuple[ForecastBatch, Future[Answer]]:
        """Ask the desk about candidates, after it has learnt what was judged since it was asked last."""
        assert self.parts.desk is not None
        future: Future[Answer] = self.parts.desk.ask(self.state, self.samples, candidates)  # type: ignore[assignment]
        return ForecastBatch(tuple(candidates)), future

    @cached_property
    def samples(self) -> SampleMaker:
        return SampleMaker(self.journal.state, self.journal.log, self.parts.jobs.definition, self.parts.jobs.subset)

    def judge(self, candidate: CandidateState, kind: Kind) -> Future[Answer]:
        """Hand a candidate to the evaluator; the intent is logged first. A promotion is paired with the incumbent."""
        best, name = self.state.best_known, f"{self.state.header.run}/{candidate.id}"
        solution, opponent = self.questions.solution(candidate), None if best is None else self.questions.solution(best)
        job = self.parts.jobs.job(f"{name}/{kind}", kind, solution, opponent if kind == "promote" else None)
        if kind == "evaluate" and opponent is not None and in_rounds(self.state.settings.evaluator):
            job = self.parts.jobs.offering(job, f"{name}/promote", opponent, self.state.promotions.bar, self.questions.baselines())
        gpu_seconds, usd = self._reservation(kind)
        self.journal.record(EvaluationStarted(candidate=candidate.id, kind=kind, gpu_seconds=gpu_seconds, usd=usd))
        future: Future[Answer] = self.parts.evaluator.submit(job)  # type: ignore[assignment]
        return future

    def _reservation(self, kind: Kind) -> tuple[float, float]:
        """(GPU-seconds, US dollars). A promotion may be the last that the budget pays: it takes what is left where that is less."""
        jobs, left = self.parts.jobs, self.state.ledger.remaining
        gpu_seconds, usd = jobs.gpu_reservation, jobs.usd_reservation
        if kind == "evaluate":
            return gpu_seconds, usd
        gpu_left, usd_left = (math.inf if limit is None else float(limit) for limit in (left.gpu_seconds, left.usd))
        return min(gpu_seconds, gpu_left), min(usd, usd_left)

    def _in_pool(self, call: Callable[[Request], Answer], request: Request) -> Future[Answer]:
        return self.pool.submit(_within_budget, call, request)

    # ------------------------------------------------------------------ finish

    def finish(self, step: Step, answer: Answer) -> None:
        """Log what came back. Raises Unavailable when an evaluation was lost too often, BadInput when none can be had."""
        match step, answer:
            case ProposeStep(ticket), tuple():
                self.tell(ticket.ticket, Proposed(tuple(proposal.action for proposal in answer)))
            case ProposeStep(ticket), Planned():
                self.record_plan(ticket.ticket, answer)
            case ((ProposeStep(ticket) | WriteStep(ticket)), NoBudget(reason)):
                self.tell(ticket.ticket, Cancelled(reason))
            case WriteStep(ticket), Draft():
                self.record_candidate(answer, ticket.ticket, ticket.node)
            case ForecastBatch(), Forecasts():
                self.record_forecasts(step, answer)
            case WriteStep(ticket), NothingToWrite(reason):
                self.journal.record(NothingWritten(ticket=ticket.ticket, reason=reason))
            case JudgeStep(candidate), Verdict():
                self.record_verdict(self.state.candidates[candidate], "evaluate", answer)
            case PromoteStep(candidate), Verdict():
                self.record_verdict(self.state.candidates[candidate], "promote", answer)
            case _:
                raise TypeError(f"{step} was answered with {type(answer).__name__}")

    def record_plan(self, ticket: TicketId, planned: Planned) -> None:
        """Edits that the document allows now, and the proposals, in one transaction."""
        before: list[Event] = []
        if planned.edits and self.state.settings.world_model:
            settled = {node for node, ids in self.state.by_node.items() if any(self.state.candidates[id].settled for id in ids)}
            revision = revise(self.state.document, planned.edits, {NodeId(node) for node in settled})
            before.append(WorldModelRevised(ticket=ticket, edits=tuple(map(edit_record, revision.applied)), refused=revision.refused))
        if not planned.proposals and planned.trouble:
            before.append(PlanningFailed(ticket=ticket, reason=planned.trouble))
        self.tell(ticket, Proposed(tuple(proposal.action for proposal in planned.proposals)), *before)

    def record_candidate(self, draft: Draft, ticket: TicketId | None, node: int) -> CandidateState:
        solution, number = draft.solution, len(self.state.candidates)
        blob = self.journal.put_blob(solution.model_dump_json())
        self.journal.record(
            CandidateWritten(
                candidate=number, ticket=ticket, node=node, solution=blob, digest=solution.digest,
                name=solution.name, language=solution.spec.language, origin=draft.origin,
                followed=draft.followed, did=draft.did, tunables=draft.tunables,
            )
        )  # fmt: skip
        return self.state.candidates[number]

    def record_forecasts(self, step: ForecastBatch, answer: Forecasts) -> None:
        assert self.state.surrogate is not None
        m, seed = self.state.surrogate.m, self.state.header.seed
        for number, known, (forecast, parent_reward) in zip(step.candidates, answer.known, answer.rows, strict=True):
            self.journal.record(
                ForecastMade(
                    candidate=number, forecaster=self.state.surrogate.opened.forecaster, parent_reward=parent_reward, m=m,
                    audit=drawn_as_audit(seed, self.state.candidates[number].written.digest, m), known=known,
                    p_passes=None if forecast is None else forecast.p_passes, d10=None if forecast is None else forecast.d10,
                    d50=None if forecast is None else forecast.d50, d90=None if forecast is None else forecast.d90,
                    tokens=0 if forecast is None else forecast.tokens, usd=0.0 if forecast is None else forecast.usd,
                    malformed=0 if forecast is None else forecast.malformed,
                )
            )  # fmt: skip

    def record_verdict(self, candidate: CandidateState, kind: Kind, verdict: Verdict) -> None:
        if verdict.status is Status.INFRASTRUCTURE:
            self._record_loss(candidate, kind, verdict)
            return
        verdict = over_baselines(verdict, self.questions.baselines())
        passed = verdict.status is Status.PASSED
        weights = self.parts.jobs.full_weights if kind == "promote" else self.parts.jobs.subset_weights
        latencies = mean_latencies(verdict, weights) if passed else None
        paired = verdict.paired if passed else None
        self.journal.record(
            EvaluationSettled(
                candidate=candidate.id,
                kind=kind,
                verdict=self.journal.put_verdict(verdict),
                status=verdict.status,
                stage=None if passed else failed_stage(verdict),
                message=verdict.evidence.message if verdict.evidence is not None else None,
                reward=reward(verdict, self.parts.jobs.subset_weights, self.state.settings.objective) if passed else None,
                latency_us=None if latencies is None else latencies.candidate_us,
                baseline_us=None if latencies is None else latencies.baseline_us,
                paired_gain=None if paired is None else paired.mean,
                promoted=paired is not None and paired.promoted,
                device_seconds=self._gpu_seconds(verdict),
                wall_seconds=verdict.wall_seconds,
                usd=verdict.usd,
            ),
            durable=True,
        )

    def _gpu_seconds(self, verdict: Verdict) -> float:
        """Only GPUs are budgeted: time on a cpu costs none."""
        return 0.0 if self.parts.jobs.target.device == "cpu" else verdict.device_seconds

    def _record_loss(self, candidate: CandidateState, kind: Kind, verdict: Verdict) -> None:
        reason = verdict.evidence.message if verdict.evidence is not None else "no answer"
        seconds = self._gpu_seconds(verdict)
        self.journal.record(EvaluationLost(candidate=candidate.id, kind=kind, reason=reason, device_seconds=seconds, usd=verdict.usd))
        if verdict.final:
            raise BadInput(f"nothing can be judged: {reason}")
        if self.state.candidates[candidate.id].losses >= MAX_LOSSES:
            raise Unavailable(f"evaluator {self.parts.evaluator.name}: {MAX_LOSSES} evaluations without an answer, the last: {reason}")

    def book_lost(self, reason: str) -> None:
        """Evaluations that the log shows as running but nobody runs: book their time, so that they run again. Model calls likewise."""
        if self.parts.models is not None:
            self.parts.models.book_answered(self.journal)
        for call in [call for call in self.state.calls.values() if call.in_flight]:
            self.journal.record(ModelCallLost(call=call.started.call, reason=reason))
        for candidate in self.state.candidates.values():
            if candidate.running is None:
                continue
            seconds = self._seconds_lost(candidate)
            kind: Kind = "promote" if candidate.running == "promote" else "evaluate"
            self.journal.record(EvaluationLost(candidate=candidate.id, kind=kind, reason=reason, device_seconds=seconds))

    def _seconds_lost(self, candidate: CandidateState) -> float:
        """No time is lost where a job outlives this process: it is joined again, and tells itself what it took."""
        last, began = self.state.last_time, candidate.started_at
        if last is None or began is None or self.parts.jobs.target.device == "cpu" or self.parts.evaluator.capabilities().keeps_jobs:
            return 0.0
        return max(0.0, last - began)

    # ------------------------------------------------------------------ settle

    def settle(self, step: SettleStep) -> None:
        self.tell(step.ticket, step.outcome)

    def conclude(self, step: CrownStep | RefuteStep) -> None:
        """Log what a promotion's verdict leads to."""
        if isinstance(step, CrownStep):
            promotion = self.state.candidates[step.candidate].verdicts["promote"]
            assert promotion.latency_us is not None
            assert promotion.baseline_us is not None
            crowned = IncumbentChanged(candidate=step.candidate, latency_us=promotion.latency_us, baseline_us=promotion.baseline_us)
            self.journal.record(crowned, durable=True)
        else:
            self.journal.record(PlanRefuted(candidate=step.candidate, nodes=step.nodes, stage=step.stage), durable=True)

    def retire(self, retirement: Retirement) -> None:
        """A candidate goes unmeasured. Where nothing was decided about it, its attempt is given back."""
        candidate = self.state.candidates[retirement.candidate]
        assert candidate.ticket is not None
        event = CandidateRetired(candidate=candidate.id, how=retirement.how)
        outcome: Outcome = Skipped(retirement.reason) if retirement.how in DECIDED else Cancelled(retirement.reason)
        self.tell(TicketId(candidate.ticket), outcome, event)

    def recall(self, step: RecallStep) -> None:
        self.journal.record(CandidateRecalled(candidate=step.candidate, ticket=step.ticket))

    def stand_in(self, retired: CandidateState, instead_of: CandidateState) -> None:
        """A plan's last attempt goes to a candidate of an earlier ticket; the one written for it stays unmeasured."""
        assert instead_of.ticket is not None
        self.journal.record(
            CandidateRetired(candidate=instead_of.id, how="expired"),
            CandidateRecalled(candidate=retired.id, ticket=instead_of.ticket),
        )

    def tell(self, ticket: TicketId, outcome: Outcome, *before: Event) -> None:
        assert self.state.tree is not None
        self.journal.record_changes(self.state.tree.tell(ticket, outcome), *before, durable=True)


def _within_budget(call: Callable[[Request], Answer], request: Request) -> Answer:
    try:
        return call(request)
    except OutOfBudget as refusal:
        return NoBudget(str(refusal))
