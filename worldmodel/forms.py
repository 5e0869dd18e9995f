"""The planner's form: its JSON Schema, and the strict reading of a filled-in one.

What the model wrote is data: names are reduced to what a name may hold, texts are cut to a length, and anything that
doesn't fit the form is refused with a reason that the model can act on.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from ksearch.tree.types import Action, NodeId
from ksearch.worldmodel.claims import CLAIM_TEXT, BadClaim, claim
from ksearch.worldmodel.document import Edit, Insert, Kind, Merge, Prune, Split, Update
from ksearch.worldmodel.oracle import Unanswered, parse_object

PROPOSE = "propose"
"""Name of the planner's form."""

LONGEST_NAME = 48
LONGEST_PROSE = 900
MOST_PROPOSALS = 12
MOST_EDITS = 12

T = TypeVar("T")
Fields = Mapping[str, Any]


def _string(description: str) -> Fields:
    return {"type": "string", "description": description}


def _form(properties: Mapping[str, Fields]) -> Fields:
    """Every property required and no other allowed: what strict tool schemas ask for."""
    return {"type": "object", "properties": dict(properties), "required": list(properties), "additionalProperties": False}


_NUMBER: Fields = {"type": "number"}
_NODES: Fields = {"type": "array", "items": {"type": "integer"}}

PROPOSE_SCHEMA: Fields = _form({
    "edits": {
        "type": "array",
        "description": "changes of the world model, at most a few; [] when nothing was learnt",
        "items": _form({
            "op": {"type": "string", "enum": ["insert", "update", "split", "merge", "prune"]},
            "kind": {"type": "string", "enum": [*Kind, ""], "description": "insert only, else empty"},
            "ids": {"type": "array", "items": {"type": "string"}, "description": "entries it works on; [] for insert"},
            "texts": {"type": "array", "items": {"type": "string"}, "description": "the new text; two for split, [] for prune"},
            "refuted_by": _string("what measurement would refute a hypothesis, else empty"),
            "nodes": {**_NODES, "description": "nodes that support it"},
        }),
    },
    "proposals": {
        "type": "array",
        "items": _form({
            "technique": _string("short snake_case name; reuse a name already in use for the same idea"),
            "target": _string("the part of the kernel that it changes, in one or two words"),
            "parameter": _string("what tells this variant from others of the technique, e.g. block=256; may be empty"),
            "intent": _string("what to do, in two to four sentences that a programmer can carry out without asking"),
            "rationale": _string("why it should pay here, from the measurements and the hardware"),
            "regime": _string("the workload regime that it is for, or empty for all"),
            "speedup_low": _NUMBER,
            "speedup_likely": _NUMBER,
            "speedup_high": _NUMBER,
            "p_success": {"type": "number", "description": "probability that the code passes every check, 0 to 1"},
            "difficulty": {"type": "integer", "description": "1 (a constant) to 5 (a new algorithm)"},
            "merge_node": {"type": ["integer", "null"], "description": "node of another branch whose gains this brings in, or null"},
        }),
    },
})  # fmt: skip

PROPOSE_TEXT = (
    "Propose next optimization steps for a kernel, and revise what is believed about the search. " + CLAIM_TEXT
)


@dataclass(frozen=True, slots=True)
class PlanAnswer:
    """A filled-in form. `dropped` says which items were left out and why."""

    actions: tuple[Action, ...]
    edits: tuple[Edit, ...]
    dropped: tuple[str, ...]


def read_plan(text: str, known_nodes: frozenset[NodeId]) -> PlanAnswer:
    """Raises Unanswered, worth asking again, when the form is wrong, or when every proposal in it is."""
    fields = parse_object(text)
    if extra := fields.keys() - {"edits", "proposals"}:
        raise Unanswered(f"The form has no field {sorted(extra)[0][:40]!r}", again=True)
    proposals = _items(fields, "proposals", MOST_PROPOSALS)
    actions, wrong = _each(proposals, lambda item: _action(item, known_nodes))
    edits, wrong_edits = _each(_items(fields, "edits", MOST_EDITS) if "edits" in fields else [], _edit)
    if proposals and not actions:
        raise Unanswered(f"No proposal could be used: {wrong[0]}", again=True)
    return PlanAnswer(tuple(actions), tuple(edits), (*wrong, *wrong_edits))


def _items(fields: Fields, name: str, most: int) -> list[Fields]:
    items = fields.get(name)
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise Unanswered(f"{name!r} must be a list of objects", again=True)
    return items[:most]


def _each(items: list[Fields], read: Callable[[Fields], T]) -> tuple[list[T], list[str]]:
    good: list[T] = []
    wrong: list[str] = []
    for item in items:
        try:
            good.append(read(item))
        except (BadClaim, ValueError) as error:
            wrong.append(str(error))
    return good, wrong


def _action(item: Fields, known_nodes: frozenset[NodeId]) -> Action:
    claimed = claim(_number(item, "speedup_low"), _number(item, "speedup_likely"), _number(item, "speedup_high"))
    probability, difficulty, merge = _number(item, "p_success"), _number(item, "difficulty"), item.get("merge_node")
    if not 0 <= probability <= 1:
        raise ValueError(f"p_success {probability:g} is no probability")
    if merge is not None and (isinstance(merge, bool) or not isinstance(merge, int) or NodeId(merge) not in known_nodes):
        raise ValueError(f"merge_node {str(merge)[:20]} is no node of the tree that passed")
    return Action(
        technique=technique_name(_str(item, "technique")),
        target=_name(_str(item, "target"), "target"),
        parameter=_name(_str(item, "parameter"), None),
        intent=_prose(item, "intent"),
        rationale=_prose(item, "rationale"),
        gain_mean=claimed.mean,
        gain_sd=claimed.sd,
        p_success=probability,
        difficulty=min(5, max(1, round(difficulty))),
        regime=_name(_str(item, "regime"), None) or None,
        second_parent=None if merge is None else NodeId(merge),
    )


def _edit(item: Fields) -> Edit:
    ids, texts, nodes = _strings(item, "ids"), _strings(item, "texts"), _nodes(item)
    refuted_by, text = _str(item, "refuted_by"), next(iter(_strings(item, "texts")), "")
    match item.get("op"):
        case "insert":
            return Insert(Kind(_str(item, "kind")), text, refuted_by, nodes)
        case "update" if ids:
            return Update(ids[0], text, refuted_by, nodes)
        case "split" if ids and len(texts) == 2:
            return Split(ids[0], texts[0], texts[1])
        case "merge":
            return Merge(ids, text)
        case "prune" if ids:
            return Prune(ids[0])
    raise ValueError(f"edit {str(item.get('op'))[:20]!r} lacks what it needs")


def technique_name(text: str) -> str:
    """snake_case, so that one idea has one name. Raises ValueError when nothing is left."""
    name = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:LONGEST_NAME].rstrip("_")
    if not name:
        raise ValueError(f"technique {text[:40]!r} is no name")
    return name


def _name(text: str, required: str | None) -> str:
    """One line without the key's own separator."""
    name = " ".join(re.sub(r"[|\x00-\x1f\x7f]+", " ", text).split())[:LONGEST_NAME].rstrip()
    if required and not name:
        raise ValueError(f"{required} is empty")
    return name


def _prose(item: Fields, name: str) -> str:
    text = re.sub(r"[\x00-\x08\x0b-\x1f\x7f]", " ", _str(item, name)).strip()
    if not text:
        raise ValueError(f"{name} is empty")
    return text if len(text) <= LONGEST_PROSE else text[: LONGEST_PROSE - 3] + "..."


def _str(item: Fields, name: str) -> str:
    value = item.get(name)
    if not isinstance(value, str):
        raise ValueError(f"{name} must be a text")
    return value


def _strings(item: Fields, name: str) -> tuple[str, ...]:
    value = item.get(name)
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise ValueError(f"{name} must be a list of texts")
    return tuple(value)


def _nodes(item: Fields) -> tuple[NodeId, ...]:
    value = item.get("nodes")
    if not isinstance(value, list) or not all(isinstance(node, int) and not isinstance(node, bool) for node in value):
        raise ValueError("nodes must be a list of whole numbers")
    return tuple(NodeId(node) for node in value)


def _number(item: Fields, name: str) -> float:
    value = item.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{name} must be a number")
    return float(value)
