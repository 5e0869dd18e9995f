"""The oracle of planner and coder: a question becomes a request with the run's brief before it and every form beside it.

All roles get the same forms and the same brief, so that their requests share a cached prefix; which form to fill in is
said in the question.
"""

from __future__ import annotations

from dataclasses import dataclass

from ksearch.llm.asker import Asker, Inquiry
from ksearch.llm.reading import filled_form
from ksearch.llm.types import Message, Part, Role, Tool
from ksearch.worldmodel.oracle import Filled, Question, Turn


@dataclass(frozen=True)
class ModelOracle:
    """Asks as one role."""

    asker: Asker
    role: Role
    brief: str
    forms: tuple[Tool, ...]

    def ask(self, question: Question) -> Filled:
        """Raises Unanswered; OutOfBudget, Unavailable and Cancelled as the asker does."""
        material = (Part(question.material, stable=True),) if question.material else ()
        message = Message("user", (*material, Part(question.text)))
        system = (Part(self.brief, stable=True),)
        messages = (*earlier(question.turns), message)
        reply = self.asker.ask(Inquiry(self.role, question.ticket, question.node, system, messages, self.forms))
        return filled_form(reply, question.forms)


def earlier(turns: tuple[Turn, ...]) -> tuple[Message, ...]:
    """A conversation so far; a cache may hold it up to its last question."""
    messages: list[Message] = []
    for number, turn in enumerate(turns, 1):
        messages.append(Message("user", (Part(turn.asked, stable=number == len(turns)),)))
        messages.append(Message("assistant", (Part(turn.answered),)))
    return tuple(messages)
