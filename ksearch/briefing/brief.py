"""The part of every prompt that never changes within a run, the same for all roles, so that a cache can hold it."""

from __future__ import annotations

from collections.abc import Sequence

from ksearch.briefing.entry import signatures_text, tensors_text
from ksearch.briefing.knowledge import documents, instructions
from ksearch.coder.model.question import TASKS, prompt
from ksearch.coder.types import Target
from ksearch.definitions.schema import Definition
from ksearch.judge.verdict import JudgedWorkload
from ksearch.worldmodel.briefing import inline, unfenced
from ksearch.worldmodel.planner import plan_prompt


def brief(definition: Definition, workloads: Sequence[JudgedWorkload], target: Target, device_name: str, objective: str) -> str:
    """Instructions, tasks, device, languages, operator, then the definition and what it is measured on."""
    about = (_task(definition, target, device_name), _measured(definition, workloads, objective))
    return "\n\n".join((instructions(), tasks(), *documents(definition, target), *about))


def tasks() -> str:
    """Every role gets the instructions of every task: one prefix for all is cheaper than four short ones."""
    known = {"plan": plan_prompt(), **{name: prompt(name) for name in TASKS}}
    return "\n\n".join(f"# Task {name}\n\n{text}" for name, text in known.items())


def _task(definition: Definition, target: Target, device_name: str) -> str:
    constraints = [f"- {inline(text)}" for text in definition.constraints]
    return "\n".join((
        f"# The operator: {definition.name}", "",
        *((f"What it is: {inline(definition.description)}", "") if definition.description else ()),
        f"Device {device_name}; allowed languages: {', '.join(target.languages)}.", *signatures_text(definition, target.languages), "",
        "Tensors, in the order of the call:", *tensors_text(definition), "", f"Axes that vary: {', '.join(definition.var_axes)}.",
        *(("", "Constraints:", *constraints) if constraints else ()),
        "", "Reference:", "~~~python", unfenced(definition.reference.strip()), "~~~",
    ))  # fmt: skip


def _measured(definition: Definition, workloads: Sequence[JudgedWorkload], objective: str) -> str:
    means = {"mean": "the ratio of the weighted mean latencies", "geomean": "the weighted geometric mean of the ratios"}
    return "\n".join((
        "# What is measured", "",
        f"The speed-up over the baseline is {means[objective]} over {len(workloads)} workloads:",
        *(_regime(definition, name, workloads) for name in dict.fromkeys(judged.regime for judged in workloads)),
    ))  # fmt: skip


def _regime(definition: Definition, name: str, workloads: Sequence[JudgedWorkload]) -> str:
    members = [judged for judged in workloads if judged.regime == name]
    share = sum(judged.weight for judged in members) / sum(judged.weight for judged in workloads)
    spans = [f"{axis} {_span([judged.workload.axes[axis] for judged in members])}" for axis in definition.var_axes]
    return f"- regime {name}: {len(members)} workloads, {share:.0%} of the weight; {', '.join(spans)}{_lengths(members)}"


def _lengths(members: Sequence[JudgedWorkload]) -> str:
    """How rows of unequal length are spread: kernels are divided by the longest row, and paid for by all of them."""
    each = [sorted(judged.workload.recipe.lengths) for judged in members if judged.workload.recipe.lengths]
    if not each:
        return ""
    rows = sorted(length for lengths in each for length in lengths)
    half, most = rows[len(rows) // 2], rows[len(rows) * 9 // 10]
    seconds = [lengths[-2] for lengths in each if len(lengths) > 1]
    beside = f", the second longest up to {max(seconds)}" if seconds else ""
    longest = f"the longest row of a workload {_span([lengths[-1] for lengths in each])}{beside}"
    return f"; row lengths: half below {half}, 90% below {most}; {longest}"


def _span(values: Sequence[int]) -> str:
    return f"{min(values)}" if min(values) == max(values) else f"{min(values)} to {max(values)}"
