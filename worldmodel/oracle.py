"""How the world model reaches a language model: through this protocol and no other way.

A question goes with the forms that may answer it; the answer is the filled-in form as JSON text. Whether the text is
right is for the asker to find out, and a model that got it wrong is told so, once.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NoReturn, Protocol, TypeVar

T = TypeVar("T")

LONGEST_ANSWER = 400_000
"""Characters: larger than any honest answer, small enough to read."""

QUOTED = 600
"""Characters of a wrong answer that the model is shown again."""


@dataclass(frozen=True, slots=True)
class Turn:
    """An earlier question and its answer, as a conversation remembers them."""

    asked: str
    answered: str


@dataclass(frozen=True, slots=True)
class Question:
    """`material` comes before `text` and is the same for other questions at the same node, so that a cache may hold it.

    `forms` are the names of the tools that may answer. Ticket and node say what the call is booked on.
    """

    ticket: int | None
    node: int | None
    material: str
    text: str
    forms: tuple[str, ...]
    turns: tuple[Turn, ...] = ()
    """What was said before, for an asker that holds a conversation."""


@dataclass(frozen=True, slots=True)
class Filled:
    """A form as the model filled it in: its name and its JSON text."""

    form: str
    text: str


class Unanswered(Exception):
    """No usable answer; the message says why. `again`: told so, the model might do better."""

    def __init__(self, reason: str, *, again: bool = False, quoted: str = "") -> None:
        super().__init__(reason)
        self.again, self.quoted = again, quoted


class Oracle(Protocol):
    def ask(self, question: Question) -> Filled:
        """Blocks. Raises Unanswered when the model declined, was cut off, or answered in no form."""
        ...


def consult(oracle: Oracle, question: Question, read: Callable[[Filled], T]) -> T:
    """Ask, read, and on a wrong answer ask once more with the error. Raises Unanswered when the second is no better.

    `read` raises Unanswered for a form that it can't take.
    """
    try:
        return _asked(oracle, question, read)
    except Unanswered as first:
        if not first.again:
            raise
        again = f"{question.text}\n\n# Your last answer could not be used\n\n{first}.{_quotation(first.quoted)}\nAnswer again, whole."
        return _asked(oracle, replace(question, text=again), read)


def _asked(oracle: Oracle, question: Question, read: Callable[[Filled], T]) -> T:
    filled = oracle.ask(question)
    try:
        return read(filled)
    except Unanswered as error:
        raise Unanswered(str(error), again=error.again, quoted=error.quoted or filled.text[:QUOTED]) from None


def _quotation(text: str) -> str:
    return f" It began:\n\n~~~\n{text[:QUOTED]}\n~~~\n" if text else ""


def parse_object(text: str) -> dict[str, Any]:
    """Strict JSON, and an object. Raises Unanswered, worth asking again, naming what is wrong."""
    if len(text) > LONGEST_ANSWER:
        raise Unanswered(f"The answer has {len(text):,} characters, more than {LONGEST_ANSWER:,}", again=True)
    try:
        value = json.loads(text, parse_constant=_no_constant)
        text.encode("utf-8")
    except (ValueError, RecursionError) as error:
        raise Unanswered(f"The answer is not valid JSON ({str(error)[:200]})", again=True) from None
    if not isinstance(value, dict):
        raise Unanswered("The answer is not a JSON object", again=True)
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
