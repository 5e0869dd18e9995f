"""What is packed in Python comes out of the page's own script as it went in."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ksearch.report.page.lines import LineTable
from ksearch.report.page.render import asset
from ksearch.report.page.tables import tabulated

KEYS = st.sampled_from(["a", "b", "$columns", "$lines", "$$", "__proto__", "constructor", "name"])


def _rows(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(st.fixed_dictionaries({"x": inner, "y": inner}), min_size=2, max_size=4)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**31), 2**31) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=3) | _rows(inner),
    max_leaves=25,
)


@pytest.fixture(scope="module")
def scripts(browser: Any) -> Any:
    page = browser.new_page()
    page.evaluate(f"(() => {{ {asset('js/decode.js')} {asset('js/diff.js')} Object.assign(window, {{ decode, diffLines }}); }})()")
    yield page
    page.close()


@pytest.mark.browser
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=VALUES)
@example(value=[{"x": None}, {"x": {"__proto__": None}}])
def test_tables_come_out_as_they_went_in(scripts: Any, value: Any) -> None:
    text = json.dumps(tabulated(value))
    assert json.loads(scripts.evaluate("(text) => JSON.stringify(decode(JSON.parse(text)))", text)) == value


@pytest.mark.browser
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=st.lists(st.sampled_from("abcd\r"), max_size=14), after=st.lists(st.sampled_from("abcd\r"), max_size=14))
def test_a_diff_leads_from_one_text_to_the_other_by_the_fewest_lines(scripts: Any, before: list[str], after: list[str]) -> None:
    lines = scripts.evaluate("([a, b]) => diffLines(a, b)", ["\n".join(before), "\n".join(after)])
    assert [line["text"] for line in lines if line["kind"] != "+"] == before
    assert [line["text"] for line in lines if line["kind"] != "-"] == after
    assert [line["old"] for line in lines if line["old"]] == list(range(1, len(before) + 1))
    assert [line["now"] for line in lines if line["now"]] == list(range(1, len(after) + 1))
    assert sum(line["kind"] == " " for line in lines) == longest_common(before, after)


def longest_common(a: list[str], b: list[str]) -> int:
    """Length of the longest common subsequence, by the textbook's table."""
    row = [0] * (len(b) + 1)
    for x in a:
        above = row
        row = [0]
        for j, y in enumerate(b):
            row.append(above[j] + 1 if x == y else max(row[j], above[j + 1]))
    return row[-1]


@given(texts=st.lists(st.lists(st.sampled_from(["a", "b", "}", "", "longer"]), max_size=60).map("\n".join), max_size=6))
def test_texts_come_back_from_their_runs(texts: list[str]) -> None:
    table = LineTable()
    packed = [table.add(text) for text in texts]
    assert [_unpacked(runs, table.lines) for runs in packed] == texts


def _unpacked(runs: list[int], lines: list[str]) -> str:
    return "\n".join(line for start, count in zip(runs[::2], runs[1::2], strict=True) for line in lines[start : start + count])


def test_a_kernel_that_differs_in_one_line_adds_one_line() -> None:
    table, code = LineTable(), [f"line {i}" if i % 5 else "}" for i in range(200)]
    table.add("\n".join(code))
    before = len(table.lines)
    code[100] = "changed"
    runs = table.add("\n".join(code))
    assert len(table.lines) == before + 1
    assert runs == [0, 100, 200, 1, 101, 99]
