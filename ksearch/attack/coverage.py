"""Coverage by hack: what the corpus came to on this machine, for a person or a script."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydantic import BaseModel, ConfigDict

from ksearch.attack.corpus_files import Entry
from ksearch.attack.hacks import HACKS, why_not
from ksearch.attack.trial import Outcome, Result

SEVERITY = (Outcome.GAINED, Outcome.WRONGED, Outcome.NOT_JUDGED, Outcome.NEUTRALISED, Outcome.REJECTED, Outcome.PASSED)
"""Worst first: a hack is told by its worst spelling."""


class Spelling(BaseModel):
    """One kernel of the corpus and what became of it. `ratio`: its latency over its honest twin's."""

    model_config = ConfigDict(frozen=True)

    kernel: str
    about: str
    outcome: str
    status: str
    stage: str | None
    message: str | None
    ratio: float | None
    expected: bool
    seconds: float


class Row(BaseModel):
    """One hack ('honest' for the honest kernels). `outcome` is the worst of its spellings, 'not applicable' or 'not run'."""

    model_config = ConfigDict(frozen=True)

    hack: str
    title: str
    outcome: str
    reason: str | None = None
    spellings: tuple[Spelling, ...] = ()


def spelling(result: Result) -> Spelling:
    evidence = result.verdict.evidence
    return Spelling(
        kernel=result.entry.name, about=result.entry.about, outcome=result.outcome, status=result.verdict.status,
        stage=result.verdict.stage, message=None if evidence is None else evidence.message, ratio=result.ratio,
        expected=result.expected, seconds=round(result.verdict.wall_seconds, 2),
    )  # fmt: skip


def coverage(results: Sequence[Result], device: str, only: Sequence[str] = (), asked: Sequence[Entry] = ()) -> list[Row]:
    """Every hack once, in order, then the honest kernels; with `only`, those asked for. `asked`: what was to be tried."""
    rows = []
    for hack, title in HACKS.items():
        if only and hack not in only:
            continue
        found = [result for result in results if result.entry.hack == hack]
        left = sum(entry.hack == hack for entry in asked) - len(found)
        reason = f"{left} kernels not run: the time was up" if left > 0 else None if found else _why_none(hack, device)
        outcome = "not run" if left > 0 and not found else _worst(found)
        rows.append(Row(hack=hack, title=title, outcome=outcome, reason=reason, spellings=tuple(map(spelling, found))))
    honest = [result for result in results if result.entry.hack is None]
    if honest:
        rows.append(Row(hack="honest", title="honest kernels", outcome=_worst(honest), spellings=tuple(map(spelling, honest))))
    return rows


def _why_none(hack: str, device: str) -> str:
    return why_not(hack, device.partition(":")[0]) or "no kernel of the corpus tries it on this kind of device"


def _worst(results: Sequence[Result]) -> str:
    found = {result.outcome for result in results}
    return next((outcome.value for outcome in SEVERITY if outcome in found), "not applicable")


def line_of(result: Result) -> str:
    """One line for a person, as the entry is done."""
    verdict = result.verdict
    where = f"{verdict.status}" + ("" if verdict.stage is None else f" at {verdict.stage}")
    ratio = "" if result.ratio is None else f", {result.ratio:.2f} of its twin's latency"
    surprise = "" if result.expected or result.fault else "  (not what the corpus expects)"
    return f"{result.entry.hack or 'honest':<6}  {result.outcome:<11}  {result.entry.name}: {where}{ratio}{surprise}"


def table(rows: Sequence[Row]) -> Iterator[str]:
    for row in rows:
        note = row.reason or f"{len(row.spellings)} kernels"
        yield f"{row.hack:<6}  {row.outcome:<14}  {row.title} ({note})"
