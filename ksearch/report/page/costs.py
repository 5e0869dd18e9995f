"""Who spent what."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ksearch.records.model import EvaluationRecord, RunRecord
from ksearch.report.page.model import CostRow

LEAST_USD = 1e-6
"""Below it a difference of sums is rounding."""


def costs_of(record: RunRecord) -> tuple[CostRow, ...]:
    """The judge's work by its purpose, and the language model's; roles that did nothing are left out."""
    root = [e for c in record.candidates if c.ticket is None for e in c.evaluations]
    search = [e for c in record.candidates if c.ticket is not None for e in c.evaluations]
    rows = [
        _judge("judge: starting kernel", root),
        _judge("judge: evaluations", [answer for answer in search if answer.kind == "evaluate"]),
        _judge("judge: promotions", [answer for answer in search if answer.kind == "promote"]),
        _lost(record),
        *_models(record),
    ]
    return tuple(row for row in rows if row is not None)


def _judge(role: str, answers: Sequence[EvaluationRecord]) -> CostRow | None:
    if not answers:
        return None
    return CostRow(
        role=role, count=len(answers), device_seconds=sum(answer.device_seconds for answer in answers),
        wall_seconds=sum(answer.wall_seconds for answer in answers), tokens=None, usd=sum(answer.usd for answer in answers) or None,
    )  # fmt: skip


def _lost(record: RunRecord) -> CostRow | None:
    losses = sum(candidate.losses for candidate in record.candidates)
    if not losses:
        return None
    seconds = sum(c.device_seconds - sum(answer.device_seconds for answer in c.evaluations) for c in record.candidates)
    usd = sum(c.usd - sum(answer.usd for answer in c.evaluations) for c in record.candidates)
    return CostRow(
        role="judge: lost with its process", count=losses, device_seconds=max(0.0, seconds), wall_seconds=None, tokens=None,
        usd=usd if usd > 0 else None,
    )  # fmt: skip


def _models(record: RunRecord) -> Iterator[CostRow]:
    """By role; what no call accounts for in a row of its own (an older log booked forecasts beside the calls)."""
    rented = sum(candidate.usd for candidate in record.candidates)
    tokens, usd = record.budget["tokens"].spent, record.budget["usd"].spent - rented
    for role in record.spending:
        taken = role.input + role.cached + role.written + role.output + role.unseen
        tokens, usd = tokens - taken, usd - role.usd
        yield CostRow(
            role=f"model: {role.role}",
            count=role.calls,
            device_seconds=None,
            wall_seconds=None,
            tokens=taken,
            usd=role.usd,
            models=role.models,
        )
    if tokens > 0 or usd > LEAST_USD:
        yield CostRow(role="models: other", count=0, device_seconds=None, wall_seconds=None, tokens=max(0.0, tokens), usd=max(0.0, usd))
