"""The world model's document under any sequence of edits: it stays small, keeps its evidence, and never reuses a name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksearch.tree.types import NodeId
from ksearch.worldmodel.document import (
    LONGEST_TEXT,
    MOST_ENTRIES,
    Document,
    Edit,
    IllegalEdit,
    Insert,
    Kind,
    Merge,
    Prune,
    Split,
    Update,
    edited,
    revise,
)

SETTLED = frozenset(map(NodeId, (1, 2, 3)))
texts = st.text(max_size=30)
ids = st.sampled_from([f"{kind}{n}" for kind in "HLQ" for n in range(1, 8)] + ["", "X1"])
nodes = st.lists(st.integers(0, 5).map(NodeId), max_size=3).map(tuple)
edits: st.SearchStrategy[Edit] = st.one_of(
    st.builds(Insert, st.sampled_from(Kind), texts, texts, nodes),
    st.builds(Update, ids, texts, texts, nodes),
    st.builds(Split, ids, texts, texts),
    st.builds(Merge, st.lists(ids, max_size=3).map(tuple), texts),
    st.builds(Prune, ids),
)


@given(st.lists(edits, max_size=40))
def test_any_edits_leave_a_legal_document(sequence: list[Edit]) -> None:
    revision = revise(Document(), sequence, SETTLED)
    document = revision.document
    assert len(revision.applied) + len(revision.refused) == len(sequence)
    assert len({entry.id for entry in document.entries}) == len(document.entries)
    for kind, most in MOST_ENTRIES.items():
        assert len(document.of(kind)) <= most
    for entry in document.entries:
        assert 0 < len(entry.text) <= LONGEST_TEXT
        assert set(entry.nodes) <= SETTLED, "only plans with an outcome support anything"
        assert entry.kind is not Kind.LESSON or entry.nodes, "a lesson without a teacher"
        assert entry.kind is not Kind.HYPOTHESIS or entry.refuted_by
    replayed = Document()
    for edit in revision.applied:
        replayed = edited(replayed, edit)
    assert replayed == document, "the edits that took effect are enough to bring the document back"


def test_a_name_is_never_used_again() -> None:
    document = edited(Document(), Insert(Kind.QUESTION, "why?"))
    document = edited(edited(document, Prune("Q1")), Insert(Kind.QUESTION, "how?"))
    assert [entry.id for entry in document.entries] == ["Q2"]


def test_a_merge_keeps_what_both_rested_on() -> None:
    lessons = [Insert(Kind.LESSON, text, nodes=(NodeId(node),)) for node, text in ((1, "a"), (2, "b"))]
    first = revise(Document(), lessons, SETTLED).document
    merged = edited(first, Merge(("L1", "L2"), "both"))
    assert [(entry.id, entry.nodes) for entry in merged.entries] == [("L3", (1, 2))]


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (Insert(Kind.LESSON, "x"), "name the nodes"),
        (Insert(Kind.LESSON, "x", nodes=(NodeId(9),)), "node 9 has no outcome"),
        (Insert(Kind.HYPOTHESIS, "x"), "refute"),
        (Prune("H7"), "no entry 'H7'"),
        (Merge(("H1",), "x"), "no entry"),
        (Insert(Kind.QUESTION, " "), "needs a text"),
    ],
)
def test_refusals_say_what_is_missing(edit: Edit, reason: str) -> None:
    revision = revise(Document(), [edit], SETTLED)
    assert revision.document == Document()
    assert reason in revision.refused[0]


def test_entries_of_two_kinds_do_not_merge() -> None:
    document = edited(edited(Document(), Insert(Kind.QUESTION, "q")), Insert(Kind.HYPOTHESIS, "h", "r"))
    with pytest.raises(IllegalEdit, match="one kind"):
        edited(document, Merge(("Q1", "H2"), "x"))
