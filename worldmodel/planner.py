"""The planner that asks a language model: it shows the search from one node and reads proposals and edits back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources

from ksearch.tree.types import Action, NodeId, plan_key
from ksearch.worldmodel.briefing import (
    Section,
    beliefs_text,
    describe,
    document_text,
    fit,
    inline,
    outcomes_text,
    path_text,
    refusals_text,
    scores_text,
    standing_text,
)
from ksearch.worldmodel.forms import MOST_PROPOSALS, PROPOSE, PlanAnswer, read_plan
from ksearch.worldmodel.oracle import Filled, Oracle, Question, Unanswered, consult
from ksearch.worldmodel.types import Planned, Proposal, ProposeRequest, SearchView

ORIGIN, INHERITED = "llm", "inherited"

LEAST_INHERITED = 2
"""A new node takes over its parent's untried proposals, if there are so many, before the model is asked for more: they were thought of
with nearly the same knowledge, steps compose, and most would otherwise be paid for and never tried. The tree orders them by claim."""


LEAST_WANTED = 6
"""Ideas asked for at once: a question with a kernel takes some 13,000 tokens, an idea more takes 200."""


@dataclass(frozen=True)
class ModelPlanner:
    """`budget_tokens` bounds what a question says of the search, the node's kernel and the fixed instructions aside."""

    oracle: Oracle
    budget_tokens: int
    name: str = ORIGIN

    def propose(self, request: ProposeRequest) -> Planned:
        """New steps in the order in which the model gave them; none, with the trouble, when it gave no usable answer."""
        view = request.view
        if view is None:
            raise ValueError("a model plans from a view of the search, and none was given")
        most = wanted(request, view)
        heirlooms = _fresh(view.inherited, request, INHERITED, most)
        if len(heirlooms) >= LEAST_INHERITED:
            return Planned(heirlooms)
        question = Question(request.ticket, request.node, view.material, question_text(request, view, self.budget_tokens), (PROPOSE,))
        nodes = known_nodes(view)
        try:
            answer = consult(self.oracle, question, lambda filled: _read(filled, nodes))
        except Unanswered as error:
            return Planned((), trouble=str(error))
        return Planned(_fresh(answer.actions, request, ORIGIN, most), answer.edits, "; ".join(answer.dropped) or None)


def _read(filled: Filled, nodes: frozenset[NodeId]) -> PlanAnswer:
    return read_plan(filled.text, nodes)


def wanted(request: ProposeRequest, view: SearchView) -> int:
    """Enough to pay for the question, and to fill a round where many candidates are measured together."""
    return max(request.count, LEAST_WANTED, min(view.together, MOST_PROPOSALS))


def _fresh(actions: Iterable[Action], request: ProposeRequest, origin: str, most: int) -> tuple[Proposal, ...]:
    """Without steps that lead to a known plan, or to the same plan twice."""
    taken, seen = plan_key(request.plan), set[str]()
    proposals = []
    for action in actions:
        if action.key in taken or action.key in seen or taken | {action.key} in request.known_plans:
            continue
        if action.key in request.banned or action.technique in request.banned:
            continue
        seen.add(action.key)
        proposals.append(Proposal(action, origin))
    return tuple(proposals[:most])


def known_nodes(view: SearchView) -> frozenset[NodeId]:
    """Nodes of other branches that passed: what a merge may name."""
    if not view.may_merge:
        return frozenset()
    passed = {arm.node for arm in (*view.arms, *view.siblings, *view.elsewhere) if arm.gain is not None}
    return frozenset(passed | {step.node for step in view.best_path})


def question_text(request: ProposeRequest, view: SearchView, budget_tokens: int) -> str:
    task = f"# Your task: plan\n\nPropose {wanted(request, view)} next steps from the kernel above by calling `{PROPOSE}`."
    sections = [
        Section("Where the search stands", standing_text(view), whole=True),
        Section("The path to this kernel", path_text(view.path), whole=True),
        Section("Tried below this kernel", outcomes_text(view.arms, view.remarks), rank=1),
        Section("Waiting to be tried below it", "\n".join(f"- {describe(action)}" for action in view.queued), rank=2),
        Section("Unwanted: the user banned these", "\n".join(f"- {inline(idea)}" for idea in sorted(request.banned)), rank=1),
        Section("Refused here", refusals_text(view), rank=2),
        Section("World model", document_text(view.document), rank=2),
        Section("Edits of the world model that were not accepted last time", _refused_edits(view), rank=5),
        Section("The path to the best kernel", _best_path(view), rank=3),
        Section("Tried beside it", outcomes_text(view.siblings, view.remarks), rank=3),
        Section("Techniques so far, everywhere", beliefs_text(view.beliefs), rank=4),
        Section("Elsewhere in the tree", outcomes_text(view.elsewhere, {}), rank=5),
        Section("From earlier runs, on other kernels: priors, not measurements of this search", view.knowledge, rank=4),
        Section("How your claims did", scores_text(view.scores, view.honesty), rank=4),
    ]
    return fit(sections, budget_tokens) + "\n\n" + task


def _refused_edits(view: SearchView) -> str:
    return "\n".join(f"- {inline(reason)}" for reason in view.refused_edits)


def _best_path(view: SearchView) -> str:
    same = bool(view.best_path) and bool(view.path) and view.best_path[-1].node == view.path[-1].node
    return "" if same or not view.best_path else path_text(view.best_path)


@cache
def plan_prompt() -> str:
    """What planning asks for, the same every time: it stands in the brief, before any question."""
    return (resources.files("ksearch.worldmodel") / "prompts" / "plan.md").read_text("utf-8").strip()
