"""The part of every prompt that never changes within a run, the same for all roles, so that a cache can hold it."""

from __future__ import annotations

from collections.abc import Sequence

from ksearch.briefing.knowledge import documents, instructions
from ksearch.coder.model.question import TASKS, prompt
from ksearch.coder.types import Target
from ksearch.definitions.schema import AxisConst, Definition
from ksearch.judge.verdict import JudgedWorkload
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
    axes = [f"- {name} = {axis.value}" if isinstance(axis, AxisConst) else f"- {name}: varies" for name, axis in definition.axes.items()]
    tensors = [
        f"- {kind} {name}: {spec.dtype} {'scalar' if spec.shape is None else list(spec.shape)}{_note(spec.description)}"
        for kind, group in (("input", definition.inputs), ("output", definition.outputs))
        for name, spec in group.items()
    ]
    constraints = [f"- {text}" for text in definition.constraints]
    return "\n".join((
        f"# The operator: {definition.name}", "", *((definition.description, "") if definition.description else ()),
        f"Device {device_name}; allowed languages: {', '.join(target.languages)}.", "",
        "Axes:", *axes, "", "Tensors, in the order of the call:", *tensors, *(("", "Constraints:", *constraints) if constraints else ()),
        "", "Reference:", "~~~python", definition.reference.strip(), "~~~",
    ))  # fmt: skip


def _note(description: str | None) -> str:
    return f", {description}" if description else ""


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
    lengths = [length for judged in members for length in judged.workload.recipe.lengths]
    more = f"; lengths {_span(lengths)}" if lengths else ""
    return f"- regime {name}: {len(members)} workloads, {share:.0%} of the weight; {', '.join(spans)}{more}"


def _span(values: Sequence[int]) -> str:
    return f"{min(values)}" if min(values) == max(values) else f"{min(values)} to {max(values)}"
