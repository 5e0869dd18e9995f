"""Carrying out the steps of a search: start one, log its answer, settle its ticket."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from types import TracebackType
from typing import Literal, Self, TypeAlias, TypeVar

from ksearch.briefing.kernels import kernel_text
from ksearch.briefing.verdicts import workload_texts
from ksearch.briefing.view import search_view
from ksearch.coder.model.agent import POLICY as AGENT_POLICY
from ksearch.coder.types import Coder, Draft, NothingToWrite, WriteRequest
from ksearch.definitions.schema import Solution
from ksearch.errors import BadInput, Unavailable
from ksearch.evaluators.base import Evaluator
from ksearch.forecasting.candidates import SampleMaker
from ksearch.forecasting.desk import Desk, Forecasts
from ksearch.forecasting.history import History
from ksearch.jobs import JobFactory
from ksearch.judge.verdict import Status, Verdict
from ksearch.line import Retirement, room_in_line
from ksearch.llm.conversation import turns_of
from ksearch.llm.desk import Desk as ModelDesk
from ksearch.llm.desk import OutOfBudget
from ksearch.pending import ForecastBatch, JudgeStep, PromoteStep, ProposeStep, RecallStep, SettleStep, Step, WriteStep
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
    ModelCallLost,
    NothingWritten,
    PlanningFailed,
    SurrogateOpened,
    WorldModelRevised,
)
from ksearch.store.fold import CandidateState, RunState
from ksearch.store.journal import Journal
from ksearch.surrogates.acquisition import MOST_CANDIDATES, drawn_as_audit
from ksearch.translate import failed_stage, mean_latencies, reward
from ksearch.tree.types import Cancelled, NodeId, Outcome, Proposed, Skipped, TicketId, Write, WriteMode
from ksearch.worldmodel.document import revise
from ksearch.worldmodel.types import Planned, Planner, Proposal, ProposeRequest, SearchView

MAX_LOSSES = 3
"""Tries of one evaluation before the evaluator is called unavailable."""


@dataclass(frozen=True, slots=True)
class NoBudget:
    """The step needed a model call that the budget doesn't allow: its ticket is given back."""

    reason: str


Answer: TypeAlias = tuple[Proposal, ...] | Planned | Draft | NothingToWrite | NoBudget | Forecasts | Verdict
Request = TypeVar("Request")
Kind: TypeAlias = Literal["evaluate", "promote"]


@dataclass(frozen=True)
class Parts:
    """What a search is made of. `roots` are tried in order until one passes; the definition's reference ends the list.

    `desk` forecasts candidates (None: all are measured). `models` books the calls of planner and coder when they ask models; then they
    also get a view of the search and the kernels as text.
    """

    planner: Planner
    coder: Coder
    evaluator: Evaluator
    jobs: JobFactory
    roots: tuple[Draft, ...]
    parallel: int
    desk: Desk | None = None
    models: ModelDesk | None = None


class Steps:
    """Executes steps over one journal; a context manager that owns the threads of planner and coder."""

    def __init__(self, journal: Journal, parts: Parts) -> None:
        self.journal, self.parts = journal, parts
        self.workloads = workload_texts(parts.jobs.definition, parts.jobs.full)
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
        """Book what planner and coder have asked of models since the last time."""
        if self.parts.models is not None:
            self.parts.models.serve(self.journal)

    @property
    def state(self) -> RunState:
        return self.journal.state

    # ------------------------------------------------------------------ start

    def start(self, step: Step) -> Future[Answer]:
        match step:
            case ProposeStep():
                return self._in_pool(self.parts.planner.propose, self._propose_request(step))
            case WriteStep(ticket):
                return self._in_pool(self.parts.coder.write, self._write_request(ticket))
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
        self.journal.record(SurrogateOpened(forecaster=desk.forecaster.name, samples=samples, past=desk.history.past))

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
        best = self.state.best_known
        opponent = self.solution(best) if kind == "promote" and best is not None else None
        job = self.parts.jobs.job(f"{self.state.header.run}/{candidate.id}/{kind}", kind, self.solution(candidate), opponent)
        jobs = self.parts.jobs
        self.journal.record(
            EvaluationStarted(candidate=candidate.id, kind=kind, gpu_seconds=jobs.gpu_reservation, usd=jobs.usd_reservation)
        )
        future: Future[Answer] = self.parts.evaluator.submit(job)  # type: ignore[assignment]
        return future

    def _in_pool(self, call: Callable[[Request], Answer], request: Request) -> Future[Answer]:
        return self.pool.submit(_within_budget, call, request)

    def _propose_request(self, step: ProposeStep) -> ProposeRequest:
        assert self.state.tree is not None
        ticket = step.ticket
        known = self.state.tree.known_plans().now()
        return ProposeRequest(
            node=ticket.node, plan=ticket.plan, count=ticket.count, known_plans=known, beliefs=self.state.beliefs.all(),
            ticket=ticket.ticket, view=self._view(ticket.node, ticket.node),
            banned=self.state.tree.bans, known_outcomes=known.outcomes,
        )  # fmt: skip

    def _write_request(self, ticket: Write) -> WriteRequest:
        if self.state.settings.policy == AGENT_POLICY:
            return self._agent_request(ticket)
        assert self.state.tree is not None
        parent = self.state.best_candidate_of(self.state.tree.parent(ticket.node))
        failed = self.state.candidates_of(ticket.node)[-1:] if ticket.mode is WriteMode.REPAIR else []
        previous = failed[0] if failed else None
        view = self._view(ticket.node, None)
        return WriteRequest(
            definition=self.parts.jobs.definition,
            target=self.parts.jobs.target,
            plan=ticket.plan,
            mode=ticket.mode,
            attempt=ticket.attempt,
            parent=None if parent is None else self.solution(parent),
            previous=None if previous is None else self.solution(previous),
            verdict=None if previous is None else self.last_verdict(previous),
            ticket=ticket.ticket,
            node=ticket.node,
            trouble=self.state.trouble.get(ticket.node),
            view=view,
            material="" if view is None else self._material(previous or parent),
            workloads=self.workloads,
            merged=self._merged(ticket),
        )

    def _agent_request(self, ticket: Write) -> WriteRequest:
        """For the single conversation: the best kernel, the last verdict, everything said so far."""
        best, last = self.state.best_known, max(self.state.candidates.values(), key=lambda candidate: candidate.id)
        return WriteRequest(
            definition=self.parts.jobs.definition, target=self.parts.jobs.target, plan=ticket.plan, mode=ticket.mode,
            attempt=ticket.attempt, parent=None if best is None else self.solution(best), ticket=ticket.ticket, node=ticket.node,
            trouble=self.state.trouble.get(ticket.node), material=self._material(best), workloads=self.workloads,
            last=None if last.written.ticket is None else self.last_verdict(last), turns=turns_of(self.state, self.journal.log),
        )  # fmt: skip

    def _merged(self, ticket: Write) -> str:
        """The kernel whose gains the plan's last step brings in, when it merges two branches."""
        node = ticket.plan[-1].second_parent if ticket.plan else None
        return "" if node is None or self.parts.models is None else self._material(self.state.best_candidate_of(node))

    def _view(self, node: NodeId, material_of: NodeId | None) -> SearchView | None:
        if self.parts.models is None:
            return None
        kernel = None if material_of is None else self.state.best_candidate_of(material_of)
        return search_view(self.state, node, self._material(kernel))

    def _material(self, candidate: CandidateState | None) -> str:
        """A kernel and its evaluation as text: the same for everyone who asks about it."""
        if candidate is None:
            return ""
        judged = candidate.verdicts.get("evaluate") or candidate.verdicts.get("promote")
        verdict = None if judged is None else Verdict.model_validate_json(self.journal.log.get_blob(judged.verdict))
        return kernel_text(self.solution(candidate), verdict, self.workloads)

    def solution(self, candidate: CandidateState) -> Solution:
        return Solution.model_validate_json(self.journal.log.get_blob(candidate.written.solution))

    def last_verdict(self, candidate: CandidateState) -> Verdict | None:
        answers = list(candidate.verdicts.values())
        return Verdict.model_validate_json(self.journal.log.get_blob(answers[-1].verdict)) if answers else None

    # ------------------------------------------------------------------ finish

    def finish(self, step: Step, answer: Answer) -> None:
        """Log what came back. Raises Unavailable when an evaluation was lost too often, BadInput when none can be had."""
        match step, answer:
            case ProposeStep(ticket), tuple():
                self.tell(ticket.ticket, Proposed(tuple(proposal.action for proposal in answer)))
            case ProposeStep(ticket), Planned():
                self.record_plan(ticket.ticket, answer)
            case (ProposeStep(ticket) | WriteStep(ticket)), NoBudget(reason):
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
        for number, (forecast, parent_reward) in zip(step.candidates, answer.rows, strict=True):
            self.journal.record(
                ForecastMade(
                    candidate=number, forecaster=self.state.surrogate.opened.forecaster, parent_reward=parent_reward, m=m,
                    audit=drawn_as_audit(seed, number, m), known=answer.known,
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
        """Tell the tree; a promoted candidate becomes the incumbent in the same transaction."""
        before: tuple[Event, ...] = ()
        if step.promoted is not None:
            promotion = self.state.candidates[step.promoted].verdicts["promote"]
            assert promotion.latency_us is not None
            assert promotion.baseline_us is not None
            before = (IncumbentChanged(candidate=step.promoted, latency_us=promotion.latency_us, baseline_us=promotion.baseline_us),)
        self.tell(step.ticket, step.outcome, *before)

    def retire(self, retirement: Retirement) -> None:
        """A candidate goes unmeasured. At the end of the budget its attempt is given back: nothing was decided about it."""
        candidate = self.state.candidates[retirement.candidate]
        assert candidate.ticket is not None
        event = CandidateRetired(candidate=candidate.id, how=retirement.how)
        ended = retirement.how == "unaffordable"
        outcome: Outcome = Cancelled(retirement.reason) if ended else Skipped(retirement.reason)
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
