"""The form that a language model fills in, and reading it: strict, since a model's slip must not become a forecast."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from ksearch.surrogates.quantities import ASKED

TOOL = "forecast"
TOOL_TEXT = "Give your forecasts: one entry for each candidate of the question."

Json: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One answer of a model: the tool's arguments, None when it called no tool; and what the answer cost."""

    arguments: Json | None
    tokens: int
    usd: float


@dataclass(frozen=True, slots=True)
class Answer:
    """One candidate's numbers out of one tool call, checked."""

    p_passes: float
    d10: float
    d50: float
    d90: float


def schema() -> Json:
    """JSON Schema of the tool's arguments, the same for every question, so that a cached prefix may hold it.

    Ranges and the number of entries stand in words: providers' strict modes know no bounds, and `parse` checks them.
    """
    numbers = {quantity.name: {"type": "number", "description": f"{quantity.meaning}; {quantity.range}"} for quantity in ASKED}
    one = _form({"candidate": {"type": "integer", "description": "its number in the question"}, **numbers})
    return _form({
        "reasoning": {"type": "string", "description": "what bounds the parent, and what each change does to that; brief"},
        "candidates": {"type": "array", "items": one, "description": "one entry for each candidate of the question"},
    })  # fmt: skip


def _form(fields: Json) -> Json:
    return {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}


def parse(arguments: Json | None, number: int) -> Answer | None:
    """One candidate's answer; None when it is missing or there twice, no number, out of range or not in ascending order."""
    rows = arguments.get("candidates") if arguments is not None else None
    named = [row for row in rows if isinstance(row, Mapping) and _is(row.get("candidate"), number)] if isinstance(rows, list) else []
    if len(named) != 1:
        return None
    values = [_number(named[0].get(quantity.name), quantity.least, quantity.most) for quantity in ASKED]
    numbers = [value for value in values if value is not None]
    if len(numbers) < len(ASKED):
        return None
    answer = Answer(*numbers)
    return answer if answer.d10 <= answer.d50 <= answer.d90 else None


def _is(value: object, number: int) -> bool:
    return not isinstance(value, bool) and value == number


def _number(value: object, least: float, most: float) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value) if least <= value <= most else None
