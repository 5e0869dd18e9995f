"""What the coder is told: the plan, the step, what failed; the kernel itself comes before it, as the question's material."""

from __future__ import annotations

from functools import cache
from importlib import resources

from ksearch.briefing.verdicts import failure_text
from ksearch.coder.model.forms import EDIT, WRITE
from ksearch.coder.types import WriteRequest
from ksearch.tree.types import WriteMode
from ksearch.worldmodel.briefing import Section, describe, document_text, factor, fit, inline, outcomes_text, path_text
from ksearch.worldmodel.types import SearchView


def question_text(request: WriteRequest, budget_tokens: int) -> str:
    """The plan and what failed are always whole; lessons and siblings as far as the budget goes."""
    sections = [
        Section("The plan so far", _earlier(request), whole=True),
        Section("The step to take now", _step(request), whole=True),
        Section("The kernel of another branch to take gains from", request.merged, whole=True),
        Section("How it failed", _failure(request), whole=True),
        Section("Your last answer", _trouble(request), whole=True),
        *(() if request.view is None else _surroundings(request.view)),
    ]
    return fit(sections, budget_tokens) + "\n\n" + _ask(request)


def _ask(request: WriteRequest) -> str:
    form = f"`{WRITE}`" if request.parent is None and request.previous is None else f"`{EDIT}` or `{WRITE}`"
    if request.previous is not None:
        return f"# Your task: repair\n\nMend the kernel above, which failed, by calling {form}."
    name = "refine" if request.mode is WriteMode.REFINE else "write"
    return f"# Your task: {name}\n\nTake the step above, from the kernel above, by calling {form}."


def _earlier(request: WriteRequest) -> str:
    if request.view is not None:
        return path_text(request.view.path[:-1])
    steps = (f"{index}. {describe(action)}: {inline(action.intent)}" for index, action in enumerate(request.plan[:-1], 1))
    return "\n".join(steps) or "nothing yet"


def _step(request: WriteRequest) -> str:
    if not request.plan:
        return "the starting kernel"
    step = request.plan[-1]
    regime = f"\nFor the regime: {step.regime}" if step.regime else ""
    claimed = f"expected {factor(step.gain_mean)} over the kernel above"
    return f"{describe(step)}: {inline(step.intent)}\nWhy: {inline(step.rationale)}\n{claimed}; attempt {request.attempt} of 3{regime}"


def _failure(request: WriteRequest) -> str:
    return "" if request.previous is None or request.verdict is None else failure_text(request.verdict, request.workloads)


def _trouble(request: WriteRequest) -> str:
    return "" if request.trouble is None else f"It could not be used: {inline(request.trouble)}"


def _surroundings(view: SearchView) -> tuple[Section, ...]:
    return (
        Section("Tried beside it", outcomes_text(view.siblings, view.remarks), rank=1),
        Section("World model", document_text(view.document), rank=2),
    )


TASKS = ("write", "repair", "refine")


@cache
def prompt(name: str) -> str:
    """What a task of the coder asks for, the same every time: it stands in the brief, before any question."""
    return (resources.files("ksearch.coder.model") / "prompts" / f"{name}.md").read_text("utf-8").strip()
