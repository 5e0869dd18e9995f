"""What was printed of a long run is kept, and believed only while everything it follows from is the same."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ksearch.report import kept, showtree
from ksearch.report.showtree import TreeQuestion, keep_tree, print_tree
from ksearch.store.events import Opened
from ksearch.store.journal import Journal, read_state
from ksearch.store.log import EventLog

Ask = Callable[..., str]


@pytest.fixture
def mine(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run of one's own that counts as long, and a cache of one's own."""
    monkeypatch.setattr(kept, "WORTH_KEEPING", 1)
    monkeypatch.setenv("KSEARCH_CACHE", str(tmp_path / "cache"))
    return Path(shutil.copytree(folder, tmp_path / "run"))


@pytest.fixture
def ask(mine: Path, capsys: pytest.CaptureFixture[str]) -> Ask:
    def asked(question: TreeQuestion | None = None) -> str:
        print_tree(str(mine), None, question or TreeQuestion())
        return capsys.readouterr().out

    return asked


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From its call on, nothing can be made of the log: what is printed was kept."""

    def refuse(*_: object) -> None:
        raise AssertionError("the log was read again")

    return lambda: monkeypatch.setattr(showtree, "_made", refuse)


QUESTIONS = [TreeQuestion(), TreeQuestion(rows=2), TreeQuestion(as_json=True), TreeQuestion(techniques=("a",))]


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_same_question_on_the_same_log_is_answered_from_memory(ask: Ask, unread: Callable[[], None], question: TreeQuestion) -> None:
    first = ask(question)
    unread()
    assert ask(question) == first != ""


def test_another_question_is_not(ask: Ask, unread: Callable[[], None]) -> None:
    ask()
    unread()
    with pytest.raises(AssertionError, match="read again"):
        ask(TreeQuestion(depth=1))


def test_a_log_that_grew_is_read_again(ask: Ask, mine: Path, unread: Callable[[], None]) -> None:
    ask()
    with EventLog.open_writer(mine / "run.sqlite") as log:
        Journal.reopen(log).record(Opened(pid=1, resumed=True, environment={}))
    unread()
    with pytest.raises(AssertionError, match="read again"):
        ask()


@pytest.mark.parametrize("damage", ["", "{", "[1]", '{"a": 1}', "[[3]]"])
def test_what_makes_no_sense_is_not_believed(ask: Ask, tmp_path: Path, damage: str) -> None:
    first = ask()
    (entry,) = (tmp_path / "cache" / "views").iterdir()
    entry.write_text(damage)
    assert ask() == first


def test_without_a_place_to_keep_it_the_answer_is_the_same(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert ask() == ask() != ""


def test_the_run_itself_is_left_as_it_was(ask: Ask, mine: Path) -> None:
    before = sorted((path.name, path.stat().st_mtime_ns) for path in mine.iterdir())
    ask()
    assert sorted((path.name, path.stat().st_mtime_ns) for path in mine.iterdir()) == before


def test_a_search_that_ends_leaves_the_answer_behind(ask: Ask, mine: Path, unread: Callable[[], None]) -> None:
    with EventLog.open_reader(mine / "run.sqlite") as log:
        state = read_state(log)
    keep_tree(mine / "run.sqlite", state)
    unread()
    assert "nodes" in ask()


def test_old_answers_make_room(ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "MOST_KEPT", 3)
    for rows in range(1, 7):
        ask(TreeQuestion(rows=rows))
    assert len(list((tmp_path / "cache" / "views").iterdir())) == 3
