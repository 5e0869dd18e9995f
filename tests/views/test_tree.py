"""`ksearch tree`: what is selected, what is printed, and that no text of a run steers the terminal."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksearch.errors import BadInput
from ksearch.records.reading import StoredRun
from ksearch.report.showtree import TreeQuestion, print_tree
from ksearch.report.text import ascii_json, inert, inert_lines
from ksearch.report.treerecords import TreeDocument, TreeNode
from ksearch.report.treeselect import Gap, Row, TreeOptions, options_of
from ksearch.report.treeview import selection_of
from ksearch.store.journal import read_state
from ksearch.store.log import EventLog
from ksearch.tree.types import ROOT
from tests.views.conftest import printable


@given(st.text())
def test_inert_text_is_printable_and_keeps_what_was(text: str) -> None:
    shown = inert(text)
    assert shown.isprintable()
    assert shown == text or not text.isprintable()
    assert all(line.isprintable() for line in inert_lines(text))


@given(st.text())
def test_ascii_json_is_the_same_value(text: str) -> None:
    shown = ascii_json(json.dumps(text, ensure_ascii=False))
    assert shown.isascii()
    assert shown.isprintable()
    assert json.loads(shown) == text


def test_every_node_is_printed_once(run: StoredRun, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tree = run.state().tree
    assert tree is not None
    print_tree(str(folder), None, TreeQuestion(rows=0))
    shown = [int(number) for number in re.findall(r" #(\d+) ", capsys.readouterr().out)]
    assert sorted(shown) == list(range(len(tree)))


def test_rows_are_bounded_and_say_what_is_left(run: StoredRun, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    print_tree(str(folder), None, TreeQuestion(rows=2))
    out = capsys.readouterr().out
    assert len(re.findall(r" #\d+ ", out)) == 2
    assert f"... {len(run.record().nodes) - 2} more rows" in out


def test_the_best_path_ends_at_the_incumbent_and_counts_all_siblings(run: StoredRun) -> None:
    state = run.state()
    assert state.tree is not None
    items = list(selection_of(state, state.tree, TreeOptions(best_path=True)).items())
    rows = [item for item in items if isinstance(item, Row)]
    assert state.incumbent_candidate is not None
    assert state.incumbent_candidate.written.node in {row.node for row in rows}
    for above, below in itertools.pairwise(rows):
        assert state.tree.parent(below.node) == above.node
        beside = next((item.nodes for item in items if isinstance(item, Gap) and item.level == below.level), ())
        assert {*beside, below.node} == set(state.tree.children(above.node))


def test_top_keeps_the_best_children_and_counts_the_others(run: StoredRun) -> None:
    state = run.state()
    tree = state.tree
    assert tree is not None
    items = list(selection_of(state, tree, TreeOptions(top=1)).items())
    rows = [item.node for item in items if isinstance(item, Row)]
    for node in rows:
        children = tree.children(node)
        shown = [child for child in children if child in rows]
        assert len(shown) == min(1, len(children))
        best = max((tree.best(child) for child in children if tree.best(child) is not None), default=None)
        assert all(tree.best(child) == best for child in shown)


@pytest.mark.parametrize("option", ["status", "technique"])
def test_filters_keep_matches_and_what_leads_there(run: StoredRun, option: str) -> None:
    state = run.state()
    tree = state.tree
    assert tree is not None
    last = list(tree.nodes())[-1].status
    chosen = TreeOptions(statuses=frozenset({last})) if option == "status" else TreeOptions(techniques=frozenset({"b"}))
    wanted = {view.id for view in tree.nodes() if chosen.matches(view)}
    assert wanted
    rows = [item for item in selection_of(state, tree, chosen).items() if isinstance(item, Row)]
    assert {row.node for row in rows if not row.context} == wanted
    leading = {node for row in rows if not row.context for node in _above(tree, row.node)}
    assert {row.node for row in rows} == wanted | leading | {0}


def _above(tree, node):  # type: ignore[no-untyped-def]
    while node != 0:
        yield node
        node = tree.parent(node)


def test_depth_says_how_much_it_hides(run: StoredRun, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    print_tree(str(folder), None, TreeQuestion(depth=0, rows=0))
    out = capsys.readouterr().out
    assert f"#0 root  (+{len(run.record().nodes[0].children)} below)" in out


def test_json_is_the_documented_model_and_agrees_with_the_records(run: StoredRun, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    print_tree(str(folder), None, TreeQuestion(rows=1, as_json=True))
    document = TreeDocument.model_validate_json(capsys.readouterr().out)
    record = run.record()
    assert document.total == len(document.nodes) == len(record.nodes)
    for row, node in zip(document.nodes, record.nodes, strict=True):
        assert (row.N, row.Q, row.best, row.gain, row.status, row.plan) == (node.N, node.Q, node.best, node.gain, node.status, node.plan)


@pytest.mark.parametrize("bad", [{"statuses": ["open"]}, {"depth": -1}, {"top": 0}], ids=["status", "depth", "top"])
def test_what_cant_be_shown_is_refused(bad: dict[str, object]) -> None:
    usual: dict[str, object] = {"depth": None, "top": None, "best_path": False, "statuses": (), "techniques": (), "regimes": ()}
    with pytest.raises(BadInput, match=r"--\w+"):
        options_of(**{**usual, **bad})  # type: ignore[arg-type]


@pytest.mark.parametrize("colour", [False, True])
def test_no_text_of_a_run_steers_the_terminal(
    hostile: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, colour: bool
) -> None:
    monkeypatch.setenv("FORCE_COLOR" if colour else "NO_COLOR", "1")
    monkeypatch.delenv("NO_COLOR" if colour else "FORCE_COLOR", raising=False)
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.setenv("TERM", "xterm-256color")
    print_tree(str(hostile), None, TreeQuestion(rows=0))
    out = capsys.readouterr().out
    assert ("\x1b[" in out) == colour
    assert printable(re.sub(r"\x1b\[[0-9;]*m", "", out)), "only colours, and ours"
    assert "\\x1b[31mred" in out


def test_no_color_wins_over_force_color(hostile: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    print_tree(str(hostile), None, TreeQuestion(rows=0))
    assert "\x1b" not in capsys.readouterr().out


def test_json_of_hostile_text_is_plain_ascii_free_of_controls(hostile: Path, capsys: pytest.CaptureFixture[str]) -> None:
    print_tree(str(hostile), None, TreeQuestion(rows=0, as_json=True))
    out = capsys.readouterr().out
    assert out.isascii()
    assert out.rstrip("\n").isprintable()
    assert TreeNode.model_validate(json.loads(out)["nodes"][1]).technique is not None


def test_a_state_that_is_only_looked_at_shows_the_same_tree(run: StoredRun, folder: Path) -> None:
    with EventLog.open_reader(folder / "run.sqlite") as log:
        light, whole = read_state(log, books=False).tree, run.state().tree
    assert light is not None
    assert whole is not None
    assert list(light.nodes()) == list(whole.nodes())
    assert light.snapshot() == whole.snapshot()
    assert light.options(ROOT) == whole.options(ROOT)
