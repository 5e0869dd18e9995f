"""What goes into a question: whole sections always, the rest by relevance, and never much over the budget."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ksearch.worldmodel.briefing import CUT, Section, fit, tokens_of

sections = st.lists(
    st.builds(
        Section,
        st.text("abc", min_size=1, max_size=10),
        st.lists(st.text("xyz ", max_size=40), max_size=30).map("\n".join),
        st.integers(0, 4),
        st.booleans(),
    ),
    max_size=8,
)


@given(sections, st.integers(0, 400))
def test_whole_sections_are_whole_and_the_rest_keeps_to_the_budget(found: list[Section], budget: int) -> None:
    text = fit(found, budget)
    whole = [section for section in found if section.whole and section.text.strip()]
    for section in whole:
        assert section.rendered() in text
    needed = sum(tokens_of(section.rendered()) for section in whole)
    assert tokens_of(text) <= max(budget, needed) + 3 * (len(found) + 1)


def test_the_more_relevant_survives() -> None:
    near, far = Section("near", "n\n" * 40, rank=1), Section("far", "f\n" * 40, rank=2)
    text = fit([far, near], tokens_of(near.rendered()) + 5)
    assert near.rendered() in text
    assert far.rendered() not in text


def test_what_was_cut_says_so() -> None:
    text = fit([Section("long", "line\n" * 100)], 40)
    assert CUT in text
