"""`--policy single-agent`: one conversation that rewrites its best kernel, under the same judge and budget.

The opponent that a tree of plans has to beat. There are no plans: each turn is an arm of the root that nobody proposed by
thinking, and the conversation so far, the model's own answers and what the judge said to them, is all that it knows.
"""

from __future__ import annotations

from dataclasses import dataclass

from ksearch.briefing.verdicts import failure_text, latency_text
from ksearch.coder.model.coder import read_new
from ksearch.coder.model.forms import EDIT, WRITE
from ksearch.coder.types import Draft, NothingToWrite, WriteRequest
from ksearch.tree.types import Action
from ksearch.worldmodel.briefing import inline
from ksearch.worldmodel.oracle import Oracle, Question, Turn, Unanswered, consult
from ksearch.worldmodel.types import Proposal, ProposeRequest

ORIGIN = "agent"
TURN = "turn"

MOST_CHARACTERS = 120_000
"""Of earlier turns, about 30,000 tokens: the oldest are forgotten."""


@dataclass(frozen=True)
class AgentPlanner:
    """Asks nobody: the next turn is the next turn."""

    name: str = ORIGIN

    def propose(self, request: ProposeRequest) -> tuple[Proposal, ...]:
        number = 1
        while frozenset({_turn(number).key}) in request.known_plans:
            number += 1
        return (Proposal(_turn(number), ORIGIN),)


def _turn(number: int) -> Action:
    return Action(
        technique=TURN, target="kernel", parameter=str(number), intent="rewrite the best kernel", gain_mean=0.0, gain_sd=0.3,
        p_success=0.5, difficulty=3, rationale="no plan: the conversation goes on",
    )  # fmt: skip


@dataclass(frozen=True)
class AgentCoder:
    """`request.parent` is the best kernel so far; `request.last` what the judge said to the last answer."""

    oracle: Oracle
    name: str = ORIGIN

    def write(self, request: WriteRequest) -> Draft | NothingToWrite:
        base = request.parent
        text = "\n\n".join(part for part in (_news(request), _task()) if part)
        question = Question(request.ticket, request.node, request.material, text, (EDIT, WRITE), recent(request.turns))
        try:
            answer = consult(self.oracle, question, lambda filled: read_new(filled, request, base))
        except Unanswered as error:
            return NothingToWrite(str(error))
        return Draft(answer.solution, ORIGIN)


def recent(turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
    kept: list[Turn] = []
    room = MOST_CHARACTERS
    for turn in reversed(turns):
        room -= len(turn.asked) + len(turn.answered)
        if room < 0:
            break
        kept.insert(0, turn)
    return tuple(kept)


def _news(request: WriteRequest) -> str:
    """What became of the last answer."""
    if request.last is None:
        return "" if request.trouble is None else f"# Your last answer\n\nIt could not be used: {inline(request.trouble)}"
    if request.last.stage is not None:
        return f"# Your last kernel failed\n\n{failure_text(request.last, request.workloads)}"
    return f"# Your last kernel passed\n\n{latency_text(request.last, request.workloads)}"


def _task() -> str:
    return (
        "# Your task: rewrite\n\nThe kernel above is the best so far. Hand in a faster one, by `edit_solution` (edits of that kernel) or "
        "`write_solution`. There is no plan to follow: decide yourself what to try next, and learn from what was measured."
    )
