"""Verdicts as text for a model: latency by regime, the compiler's report, why a stage failed. What programs printed is fenced as data."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from ksearch.definitions.schema import Definition, Workload
from ksearch.judge.verdict import CompileReport, JudgedWorkload, Verdict, WorkloadResult
from ksearch.report.text import us
from ksearch.store.events import BoundsKnown, RegimeBound
from ksearch.worldmodel.briefing import inline, unfenced

LOG_CHARACTERS = 2_400
REMARK_CHARACTERS = 220
MOST_WORKLOADS = 5
MOST_LENGTHS = 6


def failure_text(verdict: Verdict, workloads: Mapping[str, str]) -> str:
    """The failing stage with its evidence. `workloads` describes them by UUID."""
    evidence = verdict.evidence
    lines = [f"Stage {verdict.stage or 'unknown'}: {verdict.status}."]
    if evidence is not None:
        lines.append(f"The judge says: {inline(evidence.message)}")
        lines += [f"Workload: {inline(workloads.get(evidence.workload, evidence.workload))}"] if evidence.workload else []
        lines += [f"Element: {inline(evidence.element)}"] if evidence.element else []
    log = (evidence.log if evidence is not None else "") or (verdict.compile.log if verdict.compile is not None else "")
    if log.strip():
        lines += ["", fenced(relevant(log))]
    return "\n".join(lines)


def remark(message: str | None, stage: str | None) -> str | None:
    """One line on a failure, for lists."""
    if message is None:
        return None
    text = inline(message)[:REMARK_CHARACTERS]
    return text if stage is None or text.startswith(stage) else f"{stage}: {text}"


def workload_texts(definition: Definition, workloads: Iterable[JudgedWorkload]) -> dict[str, str]:
    """By UUID, the axes that vary and the lengths that an exact recipe gives."""
    return {judged.workload.uuid: _workload_text(definition, judged.workload) for judged in workloads}


def _workload_text(definition: Definition, workload: Workload) -> str:
    axes = [f"{axis}={workload.axes[axis]}" for axis in definition.var_axes]
    lengths = workload.recipe.lengths
    if lengths:
        shown = list(lengths) if len(lengths) <= MOST_LENGTHS else f"{len(lengths)} from {min(lengths)} to {max(lengths)}"
        axes.append(f"lengths={shown}")
    return " ".join(axes)


def relevant(log: str) -> str:
    """The part of a log that says what went wrong: the lines around errors, else its end (where a traceback says it)."""
    lines = log.strip().splitlines()
    marked = [i for i, line in enumerate(lines) if re.search(r"\berror\b|undefined (reference|symbol)", line, re.IGNORECASE)]
    if marked:
        kept = sorted({j for i in marked[:12] for j in range(max(0, i - 1), min(len(lines), i + 4))})
        return "\n".join(lines[i] for i in kept)[:LOG_CHARACTERS]
    return "\n".join(lines)[-LOG_CHARACTERS:]


def latency_text(verdict: Verdict, workloads: Mapping[str, str], bounds: BoundsKnown | None = None) -> str:
    """Weighted mean latency of each regime in microseconds, and its workloads: all of a few, else the fastest and slowest. With
    `bounds` also the regime's floor: its full set's, of which the timed workloads are a sample."""
    groups: dict[str, list[WorkloadResult]] = {}
    for row in verdict.workloads:
        if row.latency_us is not None:
            groups.setdefault(row.regime, []).append(row)
    total = sum(row.weight for rows in groups.values() for row in rows)
    floors = {} if bounds is None else {row.regime: row for row in bounds.regimes}
    return "\n".join(_regime_text(name, rows, total, workloads, floors.get(name)) for name, rows in groups.items())


def _regime_text(
    name: str, rows: list[WorkloadResult], total: float, workloads: Mapping[str, str], floor: RegimeBound | None
) -> str:
    weight = sum(row.weight for row in rows)
    mean = sum(row.weight * (row.latency_us or 0.0) for row in rows) / weight
    ordered = sorted(rows, key=lambda row: row.latency_us or 0.0)
    shown = ordered if len(ordered) <= MOST_WORKLOADS else [ordered[0], ordered[-1]]
    each = "; ".join(f"{workloads.get(row.uuid, row.uuid)}: {us(row.latency_us or 0.0)}" for row in shown)
    return f"- {name} ({weight / total:.0%} of the weight): mean {us(mean)} us{_gap(mean, floor)}; {each}"


def _gap(latency_us: float, floor: RegimeBound | None) -> str:
    if floor is None or floor.floor_us <= 0:
        return ""
    return f", {latency_us / floor.floor_us:.2f} times its floor of {us(floor.floor_us)} us (bound by {floor.binds})"


def compiler_text(report: CompileReport) -> str:
    """One line; empty where the compiler told nothing."""
    known = {
        "kernels": report.kernels, "registers a thread": report.registers, "bytes spilled": report.spill_bytes,
        "bytes of stack a thread": report.stack_bytes, "bytes of static shared memory": report.shared_bytes,
        "bytes of dynamic shared memory": report.dynamic_shared_bytes,
    }  # fmt: skip
    words = [f"{value} {name}" for name, value in known.items() if value is not None]
    if report.tensor_instructions is not None:
        kinds = f" ({', '.join(report.tensor_kinds)})" if report.tensor_kinds else ""
        words.append(f"{report.tensor_instructions} of {report.instructions} instructions on the matrix units{kinds}")
    return ", ".join(words)


def fenced(text: str) -> str:
    """Data that may hold anything, a fence of its own included."""
    return "~~~\n" + unfenced(text) + "\n~~~"
