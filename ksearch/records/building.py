"""From the folded state and its history to records: a pure translation."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from functools import partial
from itertools import starmap
from operator import attrgetter

from ksearch.budget import Resource
from ksearch.records.history import START, Answer, History
from ksearch.records.learning import belief_record, prediction_record, spending_records
from ksearch.records.model import (
    ActionRecord,
    BoundsRecord,
    BudgetRecord,
    CandidateRecord,
    EvaluationRecord,
    ForecastRecord,
    NodeRecord,
    ProgressRow,
    RefusedRecord,
    RunChange,
    RunRecord,
    ScoreRecord,
    TechniqueRecord,
    TicketRecord,
)
from ksearch.records.touched import Touched
from ksearch.store.events import EvaluationSettled
from ksearch.store.fold import CandidateState, RunState
from ksearch.store.forecasts import shown
from ksearch.store.log import RunMeta
from ksearch.tree import Explanation, NodeView, Tree
from ksearch.tree.types import Action, Failed, Measured, NodeId
from ksearch.worldmodel.types import Belief


def run_record(state: RunState, history: History, meta: RunMeta, timer: str | None) -> RunRecord:
    nodes = () if state.tree is None else _nodes(state, history, state.tree)
    rows = {
        "nodes": nodes, "candidates": tuple(candidate_record(state, history, candidate) for candidate in state.candidates.values()),
        "tickets": tuple(ticket_record(state, history, ticket) for ticket in history.decisions),
        "progress": tuple(map(_progress_row, history.progress)), "incumbents": tuple(history.incumbents),
        "techniques": technique_records(state), "belief_history": tuple(map(belief_record, history.beliefs)),
        "predictions": prediction_record(state),
    }  # fmt: skip
    return head_record(state, history, meta, timer).model_copy(update=rows)


def _nodes(state: RunState, history: History, tree: Tree, ids: Sequence[NodeId] | None = None) -> tuple[NodeRecord, ...]:
    return tuple(starmap(partial(node_record, state, history), zip(tree.nodes(ids), tree.explanations(ids), strict=True)))


def change_record(state: RunState, history: History, run: RunRecord, since: int, touched: Touched) -> RunChange:
    """`run` is the head of this moment."""
    nodes = () if state.tree is None else _nodes(state, history, state.tree, [NodeId(node) for node in sorted(touched.nodes)])
    first = max(0, bisect_right(history.progress, since, key=attrgetter("seq")) - 1)  # a promotion changes the row before its event
    return RunChange(
        since=since, run=run, nodes=nodes,
        candidates=tuple(candidate_record(state, history, state.candidates[number]) for number in sorted(touched.candidates)),
        tickets=tuple(ticket_record(state, history, number) for number in sorted(touched.tickets)),
        progress_from=first, progress=tuple(map(_progress_row, history.progress[first:])),
        incumbents=tuple(history.incumbents),
    )  # fmt: skip


def _progress_row(answer: Answer) -> ProgressRow:
    return ProgressRow(
        seq=answer.seq, at_s=answer.at_s, evaluations=answer.evaluations, gpu_seconds=float(answer.gpu_seconds) + answer.open_seconds,
        usd=float(answer.usd), candidate=answer.candidate, reward=answer.reward, best=answer.best, incumbent_us=answer.incumbent_us,
    )  # fmt: skip


def head_record(state: RunState, history: History, meta: RunMeta, timer: str | None) -> RunRecord:
    """The run without its rows, which cost as much as the run is long."""
    header, ended, tree = state.header, state.ended, state.tree
    return RunRecord(
        run=header.run, seq=history.last.seq, created=meta.created, definition=header.definition_name, device=header.device,
        device_name=header.device_name, family=header.family, program=header.ksearch_version, judge=header.judge_version, timer=timer,
        status="open" if ended is None else ended.status, reason=None if ended is None else ended.reason,
        settings=state.settings.model_dump(mode="json"), environment=history.environment, evaluations=state.evaluations,
        wall_seconds=round(state.wall_seconds, 3), baseline=header.baseline, baseline_us=_baseline(state),
        root_reward=None if state.root is None else state.root.reward,
        sigma_noise=None if state.root is None else state.root.sigma_noise,
        honesty=None if tree is None else tree.honesty,
        incumbent=history.incumbents[-1] if history.incumbents else None, bounds=_bounds(state), budget=_budget(state),
        world_model_history=tuple(history.revisions), spending=spending_records(state),
        branched=None if header.branched is None else f"{header.branched.run}@{header.branched.seq}",
        pins=() if tree is None else tree.pins, bans=() if tree is None else tuple(sorted(tree.bans)),
    )  # fmt: skip


def _bounds(state: RunState) -> BoundsRecord | None:
    known = state.bounds
    return None if known is None else BoundsRecord.model_validate(known.model_dump(exclude={"type"}))


def _baseline(state: RunState) -> float | None:
    """Over the full set beside the incumbent; before the first promotion over the subset, beside the root."""
    if state.incumbent is not None:
        return state.incumbent.baseline_us
    answers = [answer for candidate in state.candidates.values() for answer in candidate.verdicts.values()]
    return next((answer.baseline_us for answer in answers if answer.baseline_us is not None), None)


def _budget(state: RunState) -> dict[str, BudgetRecord]:
    ledger, limit = state.ledger, state.settings.budget.max_time_s
    records = {
        resource.value: BudgetRecord(
            limit=_float(ledger.limits[resource]), spent=float(ledger.spent[resource]), reserved=float(ledger.reserved[resource])
        )
        for resource in Resource
    }
    return {**records, Resource.WALL_SECONDS.value: BudgetRecord(limit=limit, spent=round(state.wall_seconds, 3), reserved=0.0)}


def _float(value: object) -> float | None:
    return None if value is None else float(str(value))


def action_record(action: Action) -> ActionRecord:
    return ActionRecord(
        key=action.key, technique=action.technique, target=action.target, parameter=action.parameter, intent=action.intent,
        rationale=action.rationale, regime=action.regime, gain_mean=action.gain_mean, gain_sd=action.gain_sd,
        p_success=action.p_success, difficulty=action.difficulty, second_parent=action.second_parent,
    )  # fmt: skip


def node_record(state: RunState, history: History, view: NodeView, terms: Explanation) -> NodeRecord:
    opened = history.opened.get(view.id, START)
    written = state.candidates_of(view.id)
    shown = state.best_candidate_of(view.id) or (written[-1] if written else None)
    return NodeRecord(
        id=view.id, parent=view.parent, depth=view.depth, children=tuple(view.children),
        action=None if view.action is None else action_record(view.action), plan=tuple(action.key for action in view.plan),
        status=view.status.value, N=view.subtree.visits, F=view.subtree.failed, O=view.subtree.in_flight, K=view.subtree.skipped,
        S=view.subtree.total, best=view.subtree.best, own_best=view.own.best, Q=view.value, mean=view.mean, V0=view.prior_value,
        q=view.q, P=None if view.parent is None else view.prior, attempts=view.attempts, failed_stage=view.failed_stage,
        gain=_gain(state, view), queued=tuple(action_record(proposal.action) for proposal in view.queued),
        refused=tuple(RefusedRecord(action=action_record(r.action), reason=r.reason) for r in view.refused),
        candidates=tuple(candidate.id for candidate in written), shown=None if shown is None else shown.id,
        tickets=tuple(history.by_node.get(view.id, ())), score=_score(state, view, terms), seq=opened.seq, at_s=opened.at_s,
    )  # fmt: skip


def _score(state: RunState, view: NodeView, terms: Explanation) -> ScoreRecord | None:
    if view.parent is None or state.settings.policy not in ("puct", "puct-mean"):
        return None
    return ScoreRecord(
        q=terms.q, q_tilde=terms.q_tilde, exploration=terms.exploration, total=terms.total, rank=terms.rank, arms=terms.arms,
        legal=terms.legal,
    )  # fmt: skip


def _gain(state: RunState, view: NodeView) -> float | None:
    if state.tree is None or view.parent is None or view.own.best is None:
        return None
    above = state.tree.own_best(view.parent)
    return None if above is None else view.own.best - above


def candidate_record(state: RunState, history: History, candidate: CandidateState) -> CandidateRecord:
    written, twin, settled = candidate.written, state.twin_of(candidate), candidate.settled
    best = twin.verdicts.get("promote") or twin.verdicts.get("evaluate")
    timed = next((v for v in (best, twin.verdicts.get("evaluate")) if v is not None and v.latency_us is not None), None)
    failed = next((v for v in twin.verdicts.values() if v.status != "PASSED"), None)
    at = history.written[candidate.id]
    return CandidateRecord(
        id=candidate.id, node=written.node, ticket=written.ticket, name=written.name, digest=written.digest, solution=written.solution,
        language=written.language, origin=written.origin, seq=at.seq, at_s=at.at_s, twin=None if twin is candidate else twin.id,
        evaluations=tuple(_evaluation(history, candidate.id, verdict) for verdict in candidate.verdicts.values()),
        losses=candidate.losses, device_seconds=candidate.device_seconds, usd=candidate.usd,
        outcome=None if settled is None else "measured" if isinstance(settled, Measured) else "failed",
        reward=settled.reward if isinstance(settled, Measured) else None,
        failed_stage=settled.stage if isinstance(settled, Failed) else None,
        message=None if failed is None else failed.message,
        latency_us=None if timed is None else timed.latency_us, baseline_us=None if timed is None else timed.baseline_us,
        standing=None if timed is None else "promoted" if timed.promoted else "subset",
        incumbent=state.incumbent is not None and state.incumbent.candidate == twin.id, forecast=forecast_record(state, candidate.id),
    )  # fmt: skip


def forecast_record(state: RunState, candidate: int) -> ForecastRecord | None:
    said = shown(state.surrogate, candidate)
    return None if said is None else ForecastRecord.model_validate(dict(said))


def _evaluation(history: History, candidate: int, answer: EvaluationSettled) -> EvaluationRecord:
    at = history.answered[candidate, answer.kind]
    return EvaluationRecord(
        kind=answer.kind, status=answer.status, stage=answer.stage, message=answer.message, reward=answer.reward,
        latency_us=answer.latency_us, baseline_us=answer.baseline_us, paired_gain=answer.paired_gain, promoted=answer.promoted,
        device_seconds=answer.device_seconds, wall_seconds=answer.wall_seconds, seq=at.seq, at_s=at.at_s, verdict=answer.verdict,
        usd=answer.usd,
    )  # fmt: skip


def ticket_record(state: RunState, history: History, ticket: int) -> TicketRecord:
    decision = history.decisions[ticket]
    issued, settled, end = decision.issued, decision.settled, decision.settled_at
    proposed = settled is not None and settled.outcome == "proposed"
    return TicketRecord(
        ticket=ticket, node=issued.node, kind=issued.kind, mode=issued.mode, attempt=issued.attempt, why=issued.why,
        issued_seq=decision.at.seq, issued_s=decision.at.at_s, settled_seq=None if end is None else end.seq,
        settled_s=None if end is None else end.at_s, outcome=None if settled is None else settled.outcome,
        reward=None if settled is None else settled.reward,
        reason=history.nothing.get(ticket) or (None if settled is None else settled.reason),
        proposals=len(settled.actions) if settled is not None and proposed else None, candidate=state.by_ticket.get(ticket),
    )  # fmt: skip


def technique_records(state: RunState) -> tuple[TechniqueRecord, ...]:
    claims: dict[str, list[float]] = {}
    for view in () if state.tree is None else state.tree.nodes():
        if view.action is not None and view.attempts:
            claims.setdefault(view.action.technique, []).append(view.action.gain_mean)
    return tuple(_technique(belief, claims.get(belief.technique, [])) for belief in state.beliefs.by_technique.values())


def _technique(belief: Belief, claims: Sequence[float]) -> TechniqueRecord:
    return TechniqueRecord(
        technique=belief.technique, tries=belief.successes + belief.failures, successes=belief.successes, failures=belief.failures,
        claimed_gain=sum(claims) / len(claims) if claims else None,
        measured_gain=belief.gain_sum / belief.gains if belief.gains else None, measured=belief.gains,
    )  # fmt: skip
