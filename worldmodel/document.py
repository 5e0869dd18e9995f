"""What the search believes, in words: a typed document that a model may edit, operation by operation, and never rewrite.

Numbers are not kept here: what a technique is worth is revised by Bayes' rule in `beliefs`. A lesson names the plans
that taught it, a hypothesis names what would refute it, and no edit can touch a measurement.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TypeAlias

from ksearch.tree.types import NodeId

LONGEST_TEXT = 400
"""Characters of one entry: a belief that needs more is two beliefs."""


class Kind(StrEnum):
    HYPOTHESIS = "hypothesis"
    """What bounds the kernel, or why: with what would refute it."""
    LESSON = "lesson"
    """What measurements taught, with the plans that taught it."""
    QUESTION = "question"
    """What is not known and would decide something."""


MOST_ENTRIES = {Kind.HYPOTHESIS: 8, Kind.LESSON: 12, Kind.QUESTION: 6}
"""The document stays short enough to be shown whole: to add to a full list, merge or prune first."""


@dataclass(frozen=True, slots=True)
class Entry:
    """`id` is the kind's letter and a number that is never used again; `nodes` are the plans that it rests on."""

    id: str
    kind: Kind
    text: str
    refuted_by: str = ""
    nodes: tuple[NodeId, ...] = ()


@dataclass(frozen=True, slots=True)
class RegimeFact:
    """A part of the workloads: its share of the objective, the least time that the device allows there (microseconds), and from what
    that comes: memory, compute or launch."""

    name: str
    weight: float
    floor_us: float
    binds: str


@dataclass(frozen=True, slots=True)
class OperatorFacts:
    """What is known before any kernel is: the operator's class and what the device allows. No edit changes it.

    `counted` says how well the floor is known: 'measured' or 'datasheet' ceilings.
    """

    op_class: str
    floor_us: float
    binds: str
    counted: str
    regimes: tuple[RegimeFact, ...] = ()


@dataclass(frozen=True, slots=True)
class Document:
    """Entries in the order they were made. `made` counts all there ever were, of all kinds. `operator` is None where nothing is known
    of the device."""

    entries: tuple[Entry, ...] = ()
    made: int = 0
    operator: OperatorFacts | None = None

    def of(self, kind: Kind) -> tuple[Entry, ...]:
        return tuple(entry for entry in self.entries if entry.kind is kind)

    def entry(self, id: str) -> Entry | None:
        return next((entry for entry in self.entries if entry.id == id), None)


@dataclass(frozen=True, slots=True)
class Insert:
    kind: Kind
    text: str
    refuted_by: str = ""
    nodes: tuple[NodeId, ...] = ()


@dataclass(frozen=True, slots=True)
class Update:
    """Replaces the text (and what would refute it, where given) and adds plans that it rests on."""

    id: str
    text: str
    refuted_by: str = ""
    nodes: tuple[NodeId, ...] = ()


@dataclass(frozen=True, slots=True)
class Split:
    """One entry becomes two, which rest on the same plans."""

    id: str
    first: str
    second: str


@dataclass(frozen=True, slots=True)
class Merge:
    """Several entries of one kind become one, which rests on the plans of all."""

    ids: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Prune:
    id: str


Edit: TypeAlias = Insert | Update | Split | Merge | Prune


class IllegalEdit(ValueError):
    """An edit that the document doesn't allow; the message is written for the model that proposed it."""


@dataclass(frozen=True, slots=True)
class Revision:
    """A document after a list of edits: those that were legal took effect, each of the others has its reason."""

    document: Document
    applied: tuple[Edit, ...] = ()
    refused: tuple[str, ...] = field(default=())


def revise(document: Document, edits: Iterable[Edit], settled: Collection[NodeId]) -> Revision:
    """Apply edits one by one. `settled` are the plans that have an outcome: only these can support an entry."""
    applied: list[Edit] = []
    refused: list[str] = []
    for edit in edits:
        try:
            _check_evidence(edit, settled)
            document = edited(document, edit)
        except IllegalEdit as reason:
            refused.append(str(reason))
        else:
            applied.append(edit)
    return Revision(document, tuple(applied), tuple(refused))


def edited(document: Document, edit: Edit) -> Document:
    """The document after one edit. Raises IllegalEdit; what supports an entry is checked by `revise`."""
    match edit:
        case Insert(kind, text, refuted_by, nodes):
            return _with(document, kind, ((text, refuted_by, nodes),))
        case Update(id, text, refuted_by, nodes):
            old = _existing(document, id)
            grown = tuple(dict.fromkeys((*old.nodes, *nodes)))
            new = replace(old, text=_text(text), refuted_by=refuted_by[:LONGEST_TEXT] or old.refuted_by, nodes=grown)
            return replace(document, entries=tuple(new if entry.id == id else entry for entry in document.entries))
        case Split(id, first, second):
            old = _existing(document, id)
            parts = ((first, old.refuted_by, old.nodes), (second, old.refuted_by, old.nodes))
            return _with(_without(document, (id,)), old.kind, parts)
        case Merge(ids, text):
            return _merged(document, ids, text)
        case Prune(id):
            _existing(document, id)
            return _without(document, (id,))


def _merged(document: Document, ids: tuple[str, ...], text: str) -> Document:
    olds = [_existing(document, id) for id in dict.fromkeys(ids)]
    if len(olds) < 2 or len({old.kind for old in olds}) != 1:
        raise IllegalEdit(f"merge takes two or more entries of one kind, not {', '.join(ids) or 'none'}")
    nodes = tuple(dict.fromkeys(node for old in olds for node in old.nodes))
    refuted_by = "; ".join(dict.fromkeys(old.refuted_by for old in olds if old.refuted_by))
    return _with(_without(document, ids), olds[0].kind, ((text, refuted_by, nodes),))


def _with(document: Document, kind: Kind, parts: tuple[tuple[str, str, tuple[NodeId, ...]], ...]) -> Document:
    entries, made = list(document.entries), document.made
    if len(document.of(kind)) + len(parts) > MOST_ENTRIES[kind]:
        raise IllegalEdit(f"there are {MOST_ENTRIES[kind]} {kind} entries already, the most there may be: merge or prune some first")
    for text, refuted_by, nodes in parts:
        if kind is Kind.HYPOTHESIS and not refuted_by.strip():
            raise IllegalEdit("a hypothesis must say what would refute it")
        made += 1
        entries.append(Entry(f"{kind[0].upper()}{made}", kind, _text(text), refuted_by.strip()[:LONGEST_TEXT], tuple(dict.fromkeys(nodes))))
    return replace(document, entries=tuple(entries), made=made)


def _without(document: Document, ids: tuple[str, ...]) -> Document:
    return replace(document, entries=tuple(entry for entry in document.entries if entry.id not in ids))


def _existing(document: Document, id: str) -> Entry:
    found = document.entry(id)
    if found is None:
        raise IllegalEdit(f"there is no entry {id[:40]!r}")
    return found


def _text(text: str) -> str:
    stripped = " ".join(text.split())
    if not stripped:
        raise IllegalEdit("an entry needs a text")
    return stripped[:LONGEST_TEXT]


def _check_evidence(edit: Edit, settled: Collection[NodeId]) -> None:
    if isinstance(edit, Insert | Update):
        unknown = [node for node in edit.nodes if node not in settled]
        if unknown:
            raise IllegalEdit(f"node {unknown[0]} has no outcome that could support anything")
    if isinstance(edit, Insert) and edit.kind is Kind.LESSON and not edit.nodes:
        raise IllegalEdit("a lesson must name the nodes that taught it")
