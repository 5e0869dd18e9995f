"""A run's nodes and candidates as flat rows: for pandas, for a spreadsheet. Every row has every column; None is "not known"."""

from __future__ import annotations

from typing import TypeAlias

from ksearch.records.model import CandidateRecord, NodeRecord, RunRecord

Scalar: TypeAlias = str | int | float | bool | None
FlatRow: TypeAlias = dict[str, Scalar]


def node_rows(record: RunRecord) -> list[FlatRow]:
    """One row for each node, in the order they were opened. Rewards and gains in nats, latencies in microseconds."""
    return [_node(record, node) for node in record.nodes]


def candidate_rows(record: RunRecord) -> list[FlatRow]:
    """One row for each candidate, in the order they were written."""
    return [_candidate(record, candidate) for candidate in record.candidates]


def _node(record: RunRecord, node: NodeRecord) -> FlatRow:
    action, shown = node.action, None if node.shown is None else record.candidates[node.shown]
    return {
        "node": node.id, "parent": node.parent, "depth": node.depth, "status": node.status, "key": None if action is None else action.key,
        "technique": None if action is None else action.technique, "target": None if action is None else action.target,
        "parameter": None if action is None else action.parameter, "regime": None if action is None else action.regime,
        "intent": None if action is None else action.intent, "claimed_gain": None if action is None else action.gain_mean,
        "claimed_sd": None if action is None else action.gain_sd, "p_success": None if action is None else action.p_success,
        "gain": node.gain, "own_best": node.own_best, "best": node.best, "N": node.N, "F": node.F, "O": node.O, "K": node.K, "Q": node.Q,
        "V0": node.V0, "P": node.P, "attempts": node.attempts, "failed_stage": node.failed_stage, "children": len(node.children),
        "queued": len(node.queued), "candidate": node.shown, "latency_us": None if shown is None else shown.latency_us,
        "baseline_us": None if shown is None else shown.baseline_us, "standing": None if shown is None else shown.standing,
        "incumbent": shown is not None and shown.incumbent, "seq": node.seq, "at_s": node.at_s,
    }  # fmt: skip


def _candidate(record: RunRecord, candidate: CandidateRecord) -> FlatRow:
    node = record.nodes[candidate.node] if candidate.node < len(record.nodes) else None
    return {
        "candidate": candidate.id, "node": candidate.node, "key": None if node is None or node.action is None else node.action.key,
        "ticket": candidate.ticket, "name": candidate.name, "language": candidate.language, "origin": candidate.origin,
        "outcome": candidate.outcome, "reward": candidate.reward, "failed_stage": candidate.failed_stage, "message": candidate.message,
        "latency_us": candidate.latency_us, "baseline_us": candidate.baseline_us, "standing": candidate.standing,
        "incumbent": candidate.incumbent, "evaluations": len(candidate.evaluations), "losses": candidate.losses,
        "device_seconds": candidate.device_seconds, "twin": candidate.twin, "digest": candidate.digest, "seq": candidate.seq,
        "at_s": candidate.at_s,
    }  # fmt: skip
