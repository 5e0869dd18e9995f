"""From the folded state to records of beliefs, predictions and spending."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ksearch.llm.spending import spent_on
from ksearch.records.beliefs import (
    AmendmentRecord,
    BeliefRecord,
    CitedRecord,
    EntryRecord,
    PredictionRecord,
    RevisionRecord,
    SpendingRecord,
)
from ksearch.settings import AGENT_POLICY
from ksearch.store.events import EditRecord, WorldModelRevised
from ksearch.store.fold import RunState
from ksearch.tree import Tree
from ksearch.tree.types import NodeId
from ksearch.worldmodel.beliefs import UNKNOWN_MEAN, UNKNOWN_SD, gain, success
from ksearch.worldmodel.claims import claims_of, crps, score
from ksearch.worldmodel.document import Entry
from ksearch.worldmodel.types import Belief


def revision_record(event: WorldModelRevised, state: RunState, node: int, seq: int, at_s: float, evaluations: int) -> RevisionRecord:
    """Right after the event was folded: `state` holds the document as it then stood."""
    tree = state.tree
    assert tree is not None
    return RevisionRecord(
        seq=seq, at_s=at_s, ticket=event.ticket, node=node, evaluations=evaluations, honesty=tree.honesty,
        changes=tuple(map(_change, event.edits)), refused=event.refused,
        entries=tuple(_entry(tree, entry) for entry in state.document.entries),
    )  # fmt: skip


def _change(edit: EditRecord) -> AmendmentRecord:
    return AmendmentRecord(op=edit.op, kind=edit.kind, ids=edit.ids, texts=edit.texts, refuted_by=edit.refuted_by, nodes=edit.nodes)


def _entry(tree: Tree, entry: Entry) -> EntryRecord:
    evidence = tuple(_cited(tree, node) for node in entry.nodes if 0 <= node < len(tree))
    return EntryRecord(id=entry.id, kind=entry.kind.value, text=entry.text, refuted_by=entry.refuted_by, evidence=evidence)


def _cited(tree: Tree, node: NodeId) -> CitedRecord:
    view = tree.node(node)
    above = None if view.parent is None else tree.own_best(view.parent)
    gain = None if view.own.best is None or above is None else view.own.best - above
    return CitedRecord(node=node, key="" if view.action is None else view.action.key, gain=gain, failed_stage=view.failed_stage)


class Learnt(NamedTuple):
    """A belief after an outcome, and what a later moment would not know any more: what a `BeliefRecord` is made of."""

    belief: Belief
    node: int
    gain: float | None
    honesty: float
    seq: int
    at_s: float
    evaluations: int


def learnt_from(belief: Belief, state: RunState, node: int, outcome: str, seq: int, at_s: float, evaluations: int) -> Learnt:
    """After an outcome (`measured` or `failed`) of a node whose last step uses the technique."""
    tree = state.tree
    assert tree is not None, "beliefs come from outcomes of plans"
    own, above = tree.own_best(NodeId(node)), tree.own_best(tree.parent(NodeId(node)))
    gained = own - above if outcome == "measured" and own is not None and above is not None else None
    return Learnt(belief, node, gained, tree.honesty, seq, at_s, evaluations)


def belief_record(learnt: Learnt) -> BeliefRecord:
    belief = learnt.belief
    next_gain = gain(belief)
    return BeliefRecord(
        seq=learnt.seq, at_s=learnt.at_s, evaluations=learnt.evaluations, node=learnt.node, technique=belief.technique,
        gain=learnt.gain, gain_mean=next_gain.mean, gain_sd=next_gain.sd, p_success=success(belief), successes=belief.successes,
        failures=belief.failures, honesty=learnt.honesty,
    )  # fmt: skip


def prediction_record(state: RunState) -> PredictionRecord | None:
    """None before any claim could be compared, and for a single conversation, whose turns claim nothing."""
    if state.settings.policy == AGENT_POLICY or state.tree is None:
        return None
    claims = claims_of(state.tree)
    decided = [(claim.action.p_success, claim.passed) for claim in state.tree.claims() if claim.passed is not None]
    if not claims and not decided:
        return None
    scores = score(claims)
    unknowing = [crps(UNKNOWN_MEAN, UNKNOWN_SD, claim.measured) for claim in claims]
    share = _mean([float(passed) for _, passed in decided])
    return PredictionRecord(
        claims=len(claims), crps=None if scores is None else scores.crps, constant_crps=None if scores is None else scores.constant_crps,
        unknowing_crps=_mean(unknowing), bias=None if scores is None else scores.bias, rank=None if scores is None else scores.rank,
        decided=len(decided), brier=_mean([(claimed - passed) ** 2 for claimed, passed in decided]),
        constant_brier=None if share is None else _mean([(share - passed) ** 2 for _, passed in decided]),
    )  # fmt: skip


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def spending_records(state: RunState) -> tuple[SpendingRecord, ...]:
    """By role, in the order in which they first asked."""
    roles = dict.fromkeys(call.started.role for call in state.calls.values())
    return tuple(_spending(state, role) for role in roles)


def _spending(state: RunState, role: str) -> SpendingRecord:
    calls = [call for call in state.calls.values() if call.started.role == role]
    spent = spent_on(calls)
    return SpendingRecord(
        role=role, models=tuple(dict.fromkeys(call.started.model for call in calls)), calls=spent.calls,
        reused=sum(call.settled is not None and call.settled.reused for call in calls), input=spent.usage.input, cached=spent.usage.cached,
        written=spent.usage.written, output=spent.usage.output, unseen=spent.unseen, usd=float(spent.usd),
    )  # fmt: skip
