"""Verdicts as text for a model: latency by regime, the compiler's report, why a stage failed. What programs printed is fenced as data."""

from __future__ import annotations

import re

from ksearch.judge.verdict import Verdict
from ksearch.report.summary import us

LOG_CHARACTERS = 2_400
REMARK_CHARACTERS = 220


def failure_text(verdict: Verdict) -> str:
    """The failing stage with its evidence."""
    evidence = verdict.evidence
    lines = [f"Stage {verdict.stage or 'unknown'}: {verdict.status}."]
    if evidence is not None:
        lines.append(f"The judge says: {_one_line(evidence.message)}")
        lines += [f"Workload: {_workload(verdict, evidence.workload)}"] if evidence.workload else []
        lines += [f"Element: {_one_line(evidence.element)}"] if evidence.element else []
    log = (evidence.log if evidence is not None else "") or (verdict.compile.log if verdict.compile is not None else "")
    if log.strip():
        lines += ["", fenced(relevant(log))]
    return "\n".join(lines)


def remark(message: str | None, stage: str | None) -> str | None:
    """One line on a failure, for lists."""
    return None if message is None else f"{stage or 'failed'}: {_one_line(message)[:REMARK_CHARACTERS]}"


def relevant(log: str) -> str:
    """The part of a log that says what went wrong: the lines around errors, else its end (where a traceback says it)."""
    lines = log.strip().splitlines()
    marked = [i for i, line in enumerate(lines) if re.search(r"\berror\b|undefined (reference|symbol)", line, re.IGNORECASE)]
    if marked:
        kept = sorted({j for i in marked[:12] for j in range(max(0, i - 1), min(len(lines), i + 4))})
        return "\n".join(lines[i] for i in kept)[:LOG_CHARACTERS]
    return "\n".join(lines)[-LOG_CHARACTERS:]


def latency_text(verdict: Verdict) -> str:
    """Weighted mean latency of each regime in microseconds, beside the baseline's."""
    rows = []
    for regime in dict.fromkeys(row.regime for row in verdict.workloads):
        members = [row for row in verdict.workloads if row.regime == regime and row.latency_us is not None]
        weight = sum(row.weight for row in members)
        if not members or not weight:
            continue
        mine = sum(row.weight * (row.latency_us or 0.0) for row in members) / weight
        share = sum(row.weight for row in members) / sum(row.weight for row in verdict.workloads)
        worst = max(row.latency_us or 0.0 for row in members)
        rows.append(f"- {regime}: mean {us(mine)} us, slowest workload {us(worst)} us ({share:.0%} of the weight)")
    return "\n".join(rows)


def compiler_text(verdict: Verdict) -> str:
    report = verdict.compile
    if report is None:
        return ""
    known = {
        "registers a thread": report.registers, "bytes spilled": report.spill_bytes, "bytes of static shared memory": report.shared_bytes,
    }  # fmt: skip
    return ", ".join(f"{value} {name}" for name, value in known.items() if value is not None)


def fenced(text: str) -> str:
    """Data that may hold anything, a fence of its own included."""
    return "~~~\n" + text.replace("~~~", "~ ~ ~") + "\n~~~"


def _workload(verdict: Verdict, uuid: str) -> str:
    row = next((row for row in verdict.workloads if row.uuid == uuid), None)
    return uuid if row is None else f"{uuid} (regime {row.regime})"


def _one_line(text: str) -> str:
    return " ".join(text.split())
