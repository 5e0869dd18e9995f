"""The search as text for a model: sections, most relevant first, within a budget of tokens.

What must be whole (the active path, the task) is never cut; the rest is taken in order of priority and cut at a line
when it no longer fits, and the text says that it was cut.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ksearch.tree.types import Action, NodeId
from ksearch.tree.views import ArmOutcome, NodeStatus
from ksearch.worldmodel.beliefs import gain, success
from ksearch.worldmodel.claims import ClaimScores
from ksearch.worldmodel.document import Document, Kind, OperatorFacts
from ksearch.worldmodel.memory import Knowledge, KnownTechnique
from ksearch.worldmodel.types import Belief, SearchView, Stretch

CHARACTERS_A_TOKEN = 3.5
"""For budgeting only: code and English run at three to four characters a token."""

CUT = "(more was cut here)"

GIST = 110
"""Characters of an intent in a list of outcomes."""

LEAST_CLAIMS = 3
"""Fewer scored claims say nothing about the planner."""


@dataclass(frozen=True, slots=True)
class Section:
    """`rank` 0 is the most relevant; `whole` sections are always shown entire. Order on the page is the order of the list."""

    title: str
    text: str
    rank: int = 0
    whole: bool = False

    def rendered(self, text: str | None = None) -> str:
        return f"## {self.title}\n\n{self.text if text is None else text}"


def tokens_of(text: str) -> int:
    return math.ceil(len(text) / CHARACTERS_A_TOKEN)


def fit(sections: Sequence[Section], budget: int) -> str:
    """The sections as one text of at most about `budget` tokens; empty ones are left out."""
    present = [section for section in sections if section.text.strip()]
    left = budget - sum(tokens_of(section.rendered()) for section in present if section.whole)
    shown: dict[int, str] = {}
    for index in sorted(range(len(present)), key=lambda i: (present[i].rank, i)):
        section = present[index]
        if section.whole:
            shown[index] = section.rendered()
            continue
        room = max(0, int(left * CHARACTERS_A_TOKEN))
        text = section.text if len(section.rendered()) <= room else _cut(section.text, room - len(section.title) - 10)
        if text:
            shown[index] = section.rendered(text)
            left -= tokens_of(shown[index])
    return "\n\n".join(shown[index] for index in sorted(shown))


def _cut(text: str, room: int) -> str:
    """Whole lines from the top, and a mark; nothing when not even one fits."""
    lines, kept = text.splitlines(), list[str]()
    room -= len(CUT) + 1
    for line in lines:
        if len(line) + 1 > room:
            break
        kept.append(line)
        room -= len(line) + 1
    return "\n".join((*kept, CUT)) if kept else ""


def inline(text: str) -> str:
    """What others wrote, on one line and without fences: it can't pass for a heading, a task or the end of a quotation."""
    return " ".join(unfenced(text).split())


def unfenced(text: str) -> str:
    """For the inside of a fence: nothing in it closes it."""
    return re.sub("~{3,}", lambda found: " ".join(found[0]), text)


def factor(nats: float) -> str:
    """A gain in nats as the factor that a person reads."""
    return f"{math.exp(nats):.2f}x"


def path_text(path: Iterable[Stretch]) -> str:
    """Each step whole: what was meant, what was claimed, what was measured."""
    lines = [_stretch_text(index, step) for index, step in enumerate(path, 1)]
    return "\n".join(lines) or "none: this is the starting kernel"


def _stretch_text(index: int, step: Stretch) -> str:
    action = step.action
    measured = "not measured yet" if step.gain is None else f"measured {factor(step.gain)}"
    what = f"{index}. node {step.node}: {describe(action)}\n   meant: {inline(action.intent)}"
    return f"{what}\n   claimed {factor(action.gain_mean)}, {measured}"


def describe(action: Action) -> str:
    parts = [action.technique, f"on {action.target}"] + ([f"({action.parameter})"] if action.parameter else [])
    return " ".join(parts)


def outcomes_text(arms: Iterable[ArmOutcome], remarks: Mapping[NodeId, str]) -> str:
    return "\n".join(_outcome_text(arm, remarks) for arm in arms)


def _outcome_text(arm: ArmOutcome, remarks: Mapping[NodeId, str]) -> str:
    line = f"- node {arm.node}: {describe(arm.action)}: {_result(arm)} (claimed {factor(arm.action.gain_mean)}); {gist(arm.action.intent)}"
    remark = remarks.get(arm.node)
    return line if remark is None else f"{line}\n  - {inline(remark)}"


def gist(intent: str) -> str:
    """Enough of an intent to know one idea from another."""
    text = inline(intent)
    return text if len(text) <= GIST else text[:GIST].rpartition(" ")[0] + " ..."


def _result(arm: ArmOutcome) -> str:
    if arm.gain is not None:
        return f"measured {factor(arm.gain)}"
    failed = f", last failed at {arm.failed_stage}" if arm.failed_stage else ""
    if arm.status is NodeStatus.CLOSED:
        return f"gave up after {arm.attempts} attempts{failed}"
    return f"{arm.attempts} attempts so far{failed}" if arm.attempts else "not judged yet"


def beliefs_text(beliefs: Iterable[Belief]) -> str:
    """Techniques that were tried more than once, those with the most evidence first: one outcome stands where its plan does."""
    tried = sorted((b for b in beliefs if b.successes + b.failures > 1), key=lambda b: (-(b.successes + b.failures), b.technique))
    return "\n".join(_belief_text(belief) for belief in tried)


def _belief_text(belief: Belief) -> str:
    tries = belief.successes + belief.failures
    line = f"- {belief.technique}: passed {belief.successes} of {tries} (P(passes) about {success(belief):.2f})"
    if not belief.gains:
        return line
    expected = gain(belief)
    return f"{line}, expected {factor(expected.mean)} ({factor(expected.mean - expected.sd)} to {factor(expected.mean + expected.sd)})"


def knowledge_text(knowledge: Knowledge) -> str:
    """Each with the runs that it comes from; lessons first, since a technique's name says less."""
    lessons = [f"- {inline(lesson.text)} [{lesson.run}: {lesson.definition}, {lesson.about.hardware}]" for lesson in knowledge.lessons]
    return "\n".join((*lessons, *map(_known_text, knowledge.techniques)))


def _known_text(known: KnownTechnique) -> str:
    tally = known.tally
    mean = "" if not tally.gains else f", on average {factor(tally.gain_sum / tally.gains)}"
    return f"- {tally.technique}: passed {tally.successes} of {tally.tries}{mean} [{', '.join(known.runs)}]"


def document_text(document: Document) -> str:
    titles = {Kind.HYPOTHESIS: "Hypotheses", Kind.LESSON: "Lessons", Kind.QUESTION: "Open questions"}
    blocks = [] if document.operator is None else [operator_text(document.operator)]
    for kind, title in titles.items():
        if entries := document.of(kind):
            lines = [f"- {e.id}: {inline(e.text)}{_refutation(e.refuted_by)}{_support(e.nodes)}" for e in entries]
            blocks.append("\n".join((f"{title}:", *lines)))
    return "\n".join(blocks)


def operator_text(facts: OperatorFacts) -> str:
    """The class, and by regime the least time that the device allows and what that comes from."""
    regimes = "; ".join(f"{r.name} ({r.weight:.0%} of the weight) {r.floor_us:.3g} us, {r.binds}" for r in facts.regimes)
    return (
        f"Operator class {facts.op_class or 'unknown'}. No kernel here takes less than {facts.floor_us:.3g} us over all workloads, "
        f"bound by {facts.binds} (roofline plus one launch, ceilings {facts.counted}). By regime: {regimes}."
    )


def _refutation(text: str) -> str:
    return f" Refuted by: {inline(text)}" if text else ""


def _support(nodes: Sequence[NodeId]) -> str:
    return f" [nodes {', '.join(map(str, nodes))}]" if nodes else ""


def scores_text(scores: ClaimScores | None, honesty: float) -> str:
    """How the planner's claims did, in the units in which it makes them."""
    if scores is None or scores.count < LEAST_CLAIMS:
        return ""
    tendency = "too much" if scores.bias < 0 else "too little"
    rank = "" if scores.rank is None else f" Rank correlation of claimed with measured: {scores.rank:+.2f}."
    return (
        f"Of {scores.count} claims measured, the claimed gains were on average {factor(abs(scores.bias))} {tendency}; "
        f"CRPS {scores.crps:.3f} nats, where always claiming the average would have had {scores.constant_crps:.3f}.{rank} "
        f"The search believes {honesty:.0%} of a claimed gain."
    )


def refusals_text(view: SearchView) -> str:
    lines = [f"- {describe(refusal.action)}: {refusal.reason}" for refusal in view.refused]
    return "\n".join(lines)


def standing_text(view: SearchView) -> str:
    here = "not measured" if view.reward is None else f"{factor(view.reward)} over the baseline"
    return (
        f"This kernel (node {view.node}) is {here}, the starting kernel {factor(view.root_reward)}, "
        f"the best kernel so far {factor(view.best_reward)}.{_budget_text(view)}"
    )


def _budget_text(view: SearchView) -> str:
    """How much can still be tried: what few evaluations must reach takes larger steps."""
    limit = "" if view.most_evaluations is None else f" of {view.most_evaluations}"
    done = f" Evaluations so far: {view.evaluations}{limit}."
    if view.together == 1:
        return done
    return f"{done} Up to {view.together} candidates are measured together, before anything is learnt from any of them."
