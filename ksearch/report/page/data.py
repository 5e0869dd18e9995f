"""From a stored run to the page's data: a translation, with what can be shared between nodes put into tables."""

from __future__ import annotations

from collections.abc import Mapping

from ksearch.records.model import ActionRecord, CandidateRecord, EvaluationRecord, IncumbentRecord, NodeRecord, RunRecord
from ksearch.records.reading import StoredRun
from ksearch.report.page.calibration import claims_of, forecasts_of
from ksearch.report.page.commands import commands_of
from ksearch.report.page.costs import costs_of
from ksearch.report.page.details import regime_latencies, solution_of, verdict_of
from ksearch.report.page.model import (
    Headline,
    PageCandidate,
    PageChange,
    PageData,
    PageEvaluation,
    PageNode,
    RefusedProposal,
    RunHead,
)
from ksearch.report.page.policy import policy_of
from ksearch.store.errors import BlobError


class Actions:
    """Every action once: most stand in the queues of many nodes."""

    def __init__(self) -> None:
        self.known: dict[ActionRecord, int] = {}

    def index(self, action: ActionRecord) -> int:
        return self.known.setdefault(action, len(self.known))


def page_data(run: StoredRun, upto: int | None = None) -> PageData:
    """The run as it stands, or as it stood after event `upto`."""
    return page_of(run, run.record(upto))


def page_of(run: StoredRun, record: RunRecord) -> PageData:
    """The same from a record that is at hand."""
    actions, best = Actions(), record.incumbent
    nodes = tuple(_node(node, actions) for node in record.nodes)
    headline = None if best is None else _headline(run, best, record.candidates[best.candidate])
    return PageData(
        run=_head(run, record), settings=record.settings, environment=record.environment, budget=record.budget,
        headline=headline, actions=tuple(actions.known), nodes=nodes,
        candidates=tuple(map(_candidate, record.candidates)), tickets=record.tickets, progress=record.progress,
        incumbents=record.incumbents, techniques=record.techniques, calibrations=(claims_of(record), *forecasts_of(record)),
        policy=policy_of(record), beliefs=record.belief_history, world_model=record.world_model_history,
        predictions=record.predictions, costs=costs_of(record), commands=commands_of(record),
    )  # fmt: skip


def page_change(run: StoredRun, since: int) -> PageChange | None:
    """What came after event `since`; None when the whole page tells it better."""
    change = run.changes(since)
    if change is None:
        return None
    actions, best = Actions(), change.run.incumbent
    nodes = tuple(_node(node, actions) for node in change.nodes)
    return PageChange(
        since=since, run=_head(run, change.run), budget=change.run.budget,
        headline=_headline(run, best, run.candidate(best.candidate)) if best is not None and best.seq > since else None,
        actions=tuple(actions.known), nodes=nodes, candidates=tuple(map(_candidate, change.candidates)), tickets=change.tickets,
        progress_from=change.progress_from, progress=change.progress, incumbents=change.incumbents,
    )  # fmt: skip


def _head(run: StoredRun, record: RunRecord) -> RunHead:
    return RunHead(
        name=record.run, seq=record.seq, created=record.created, definition=record.definition, device=record.device,
        device_name=record.device_name, family=record.family, timer=record.timer, program=record.program, judge=record.judge,
        status=record.status, reason=record.reason, policy=_setting(record.settings, "policy"),
        objective=_setting(record.settings, "objective"), evaluations=record.evaluations, wall_seconds=record.wall_seconds,
        baseline=_baseline(run, record), baseline_us=record.baseline_us, root_reward=record.root_reward,
        sigma_noise=record.sigma_noise, honesty=record.honesty, floor=record.bounds,
    )  # fmt: skip


def _setting(settings: Mapping[str, object], name: str) -> str:
    return str(settings.get(name, "not known"))


def _baseline(run: StoredRun, record: RunRecord) -> str:
    if record.baseline is None:
        return "the definition's reference"
    try:
        return solution_of(run.blob(record.baseline)).name
    except BlobError:
        return "a baseline that the log doesn't hold"


def _headline(run: StoredRun, best: IncumbentRecord, candidate: CandidateRecord) -> Headline:
    promotion = next((answer for answer in candidate.evaluations if answer.kind == "promote"), None)
    verdict = None if promotion is None else verdict_of(run, promotion.verdict)
    regimes = () if verdict is None or isinstance(verdict, str) else regime_latencies(verdict, run.floors())
    return Headline(**best.model_dump(), regimes=regimes)


def _node(node: NodeRecord, actions: Actions) -> PageNode:
    return PageNode(
        id=node.id, parent=node.parent, depth=node.depth, action=None if node.action is None else actions.index(node.action),
        status=node.status, N=node.N, F=node.F, O=node.O, K=node.K, best=node.best, own_best=node.own_best, Q=node.Q, mean=node.mean,
        V0=node.V0, P=node.P, attempts=node.attempts, failed_stage=node.failed_stage, gain=node.gain,
        queued=tuple(map(actions.index, node.queued)),
        refused=tuple(RefusedProposal(action=actions.index(refusal.action), reason=refusal.reason) for refusal in node.refused),
        shown=node.shown, score=node.score, seq=node.seq, at_s=node.at_s,
    )  # fmt: skip


def _candidate(candidate: CandidateRecord) -> PageCandidate:
    return PageCandidate(
        id=candidate.id, node=candidate.node, ticket=candidate.ticket, language=candidate.language,
        origin=candidate.origin, seq=candidate.seq, at_s=candidate.at_s, twin=candidate.twin, losses=candidate.losses,
        device_seconds=candidate.device_seconds, outcome=candidate.outcome, reward=candidate.reward,
        failed_stage=candidate.failed_stage, message=candidate.message, latency_us=candidate.latency_us,
        baseline_us=candidate.baseline_us, standing=candidate.standing, incumbent=candidate.incumbent,
        evaluations=tuple(map(_evaluation, candidate.evaluations)), forecast=candidate.forecast,
    )  # fmt: skip


def _evaluation(answer: EvaluationRecord) -> PageEvaluation:
    return PageEvaluation(
        kind=answer.kind, status=answer.status, stage=answer.stage, reward=answer.reward, latency_us=answer.latency_us,
        baseline_us=answer.baseline_us, paired_gain=answer.paired_gain, promoted=answer.promoted,
        device_seconds=answer.device_seconds, wall_seconds=answer.wall_seconds, seq=answer.seq, at_s=answer.at_s,
    )  # fmt: skip
