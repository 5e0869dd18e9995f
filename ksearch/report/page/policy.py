"""What the policy did with its visits: counts by depth, by outcome, by number of children."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from statistics import fmean

from ksearch.records.model import NodeRecord, RunRecord
from ksearch.report.page.model import DepthRow, OutcomeCount, PolicyStatistics, WideningRow


def policy_of(record: RunRecord) -> PolicyStatistics:
    return PolicyStatistics(
        depths=_depths(record.nodes), outcomes=_outcomes(record), widening=_widening(record.nodes),
        proposed=sum(ticket.proposals or 0 for ticket in record.tickets), opened=max(0, len(record.nodes) - 1),
        queued=sum(len(node.queued) for node in record.nodes), refused=sum(len(node.refused) for node in record.nodes),
        duplicates=sum(candidate.twin is not None for candidate in record.candidates),
    )  # fmt: skip


def _depths(nodes: Sequence[NodeRecord]) -> tuple[DepthRow, ...]:
    levels: dict[int, list[NodeRecord]] = defaultdict(list)
    for node in nodes:
        levels[node.depth].append(node)
    return tuple(_depth(depth, level) for depth, level in sorted(levels.items()))


def _depth(depth: int, level: Sequence[NodeRecord]) -> DepthRow:
    return DepthRow(
        depth=depth, nodes=len(level), attempts=sum(node.attempts for node in level),
        proven=sum(node.own_best is not None for node in level), closed=sum(node.status == "closed" for node in level),
        mean_children=fmean(len(node.children) for node in level),
        best=max((node.own_best for node in level if node.own_best is not None), default=None),
    )  # fmt: skip


def _outcomes(record: RunRecord) -> tuple[OutcomeCount, ...]:
    counts = Counter((ticket.kind, ticket.outcome, ticket.reason if ticket.outcome == "failed" else None) for ticket in record.tickets)
    return tuple(
        OutcomeCount(kind=kind, outcome=outcome, stage=stage, count=count) for (kind, outcome, stage), count in counts.most_common()
    )


def _widening(nodes: Sequence[NodeRecord]) -> tuple[WideningRow, ...]:
    groups: dict[int, list[int]] = defaultdict(list)
    for node in nodes:
        groups[len(node.children)].append(node.N)
    rows = sorted(groups.items())
    return tuple(WideningRow(children=children, nodes=len(visits), mean_visits=fmean(visits)) for children, visits in rows)
