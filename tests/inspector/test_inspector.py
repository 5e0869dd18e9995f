"""`ksearch inspect` by its keys, in Textual's own harness; over a finished run, one that goes on, and one that means harm."""

from __future__ import annotations

import asyncio
import io
import re
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rich.console import Console
from textual.pilot import Pilot
from textual.widgets import Static, TabbedContent

from ksearch.errors import BadInput
from ksearch.inspector.app import TABS, Inspector
from ksearch.inspector.looks import Beliefs, Look, beliefs_before
from ksearch.inspector.panes import bar
from ksearch.inspector.rows import Head
from ksearch.inspector.start import inspect_run
from ksearch.records.reading import StoredRun
from tests.views.conftest import printable

PATIENCE_S = 60.0


def inspected(run: Path, steps: Callable[[Inspector, Pilot[None]], Awaitable[None]]) -> None:
    """Start the program on a run, wait for its tree, take the steps."""

    async def session() -> None:
        app = Inspector(run)
        async with app.run_test(size=(140, 40)) as pilot:
            await until(lambda: bool(app.plans.branches) and app._head is not None, pilot)
            await steps(app, pilot)

    asyncio.run(session())


async def until(holds: Callable[[], bool], pilot: Pilot[None]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, "it never came"
        await pilot.pause(0.02)


def shown(app: Inspector, pane: str) -> str:
    content = (app._above if pane == "head" else app._texts[pane]).content
    console = Console(file=io.StringIO(), width=120, color_system=None)
    console.print(content)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def at(app: Inspector) -> int | None:
    row = app.plans.cursor_node
    return None if row is None else row.data


@pytest.fixture(scope="session")
def known(folder: Path) -> StoredRun:
    run = StoredRun.open(str(folder))
    run.head()
    return run


def test_it_starts_at_the_root_with_only_its_children(folder: Path, known: StoredRun) -> None:
    async def steps(app: Inspector, pilot: Pilot[None]) -> None:
        children = known.node(0).children
        await until(lambda: len(app.plans.rows) == 1 + len(children), pilot)
        assert set(app.plans.rows) == {0, *children}
        await until(lambda: "root: the kernel" in shown(app, "plan"), pilot)
        incumbent = known.head().incumbent
        assert incumbent is not None
        assert f"{incumbent.speedup:.2f}x" in shown(app, "head")

    inspected(folder, steps)


def test_i_goes_to_the_incumbent_and_every_tab_tells_of_it(folder: Path, known: StoredRun) -> None:
    incumbent = known.head().incumbent
    assert incumbent is not None
    told = known.node(incumbent.node)
    assert told.action is not None
    key, intent = told.action.key, told.action.intent
    expected = {"plan": intent, "why": "why it was chosen", "code": "kernel.py", "diff": "+++ #", "beliefs": "after "}

    async def steps(app: Inspector, pilot: Pilot[None]) -> None:
        await pilot.press("i")
        await until(lambda: at(app) == told.id and key in shown(app, "plan"), pilot)
        for number, name in enumerate(TABS, 1):
            await pilot.press(str(number))
            assert app.query_one(TabbedContent).active == name
            await until(lambda name=name: expected[name] in shown(app, name), pilot)  # type: ignore[misc]

    inspected(folder, steps)


def test_the_arrows_open_descend_and_climb(folder: Path, known: StoredRun) -> None:
    async def steps(app: Inspector, pilot: Pilot[None]) -> None:
        await until(lambda: len(app.plans.rows) > 1, pilot)
        await pilot.press("down")
        child = at(app)
        assert child in known.node(0).children
        if known.node(child).children:
            await pilot.press("right")
            await until(lambda: app.plans.rows[child].is_expanded and bool(app.plans.rows[child].children), pilot)
            await pilot.press("l")
            assert at(app) in known.node(child).children
            await pilot.press("h")
        await pilot.press("left", "left")
        assert at(app) == 0

    inspected(folder, steps)


def test_find_goes_through_all_that_match(folder: Path, known: StoredRun) -> None:
    tree = known.tree
    assert tree is not None
    wanted = [view.id for view in tree.nodes() if view.action is not None and "b|" in view.action.key]
    assert len(wanted) > 1

    async def steps(app: Inspector, pilot: Pilot[None]) -> None:
        await pilot.press("slash", *"b|", "enter")
        await until(lambda: at(app) == wanted[0], pilot)
        for following in [*wanted[1:], wanted[0]]:
            await pilot.press("n")
            await until(lambda following=following: at(app) == following, pilot)  # type: ignore[misc]
        await pilot.press("N")
        await until(lambda: at(app) == wanted[-1], pilot)

    inspected(folder, steps)


def test_help_tells_every_key_and_closes(folder: Path) -> None:
    async def steps(app: Inspector, pilot: Pilot[None]) -> None:
        await pilot.press("question_mark")
        assert len(app.screen_stack) == 2
        text = str(app.screen.query_one(Static).content)
        assert all(re.search(rf"^{key}", text, re.MULTILINE) for key in ("i ", "/ ", "f ", "r ", "q ", "tab "))
        await pilot.press("escape")
        assert len(app.screen_stack) == 1

    inspected(folder, steps)


def test_sorting_again_keeps_what_was_open(folder: Path) -> None:
    async def steps(app: Inspector, pilot: Pilot[None]) -> None:
        await pilot.press("i")
        await until(lambda: at(app) not in (None, 0), pilot)
        node, rows = at(app), set(app.plans.rows)
        await pilot.press("r")
        await until(lambda: at(app) == node and set(app.plans.rows) == rows, pilot)

    inspected(folder, steps)


def test_a_plan_with_many_children_shows_the_best_and_then_more(folder: Path, known: StoredRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ksearch.inspector.plans.FAN", 1)
    tree = known.tree
    assert tree is not None
    best, *others = sorted(known.node(0).children, key=lambda node: -(tree.best(node) or -9.0))  # type: ignore[arg-type]
    assert others

    async def steps(app: Inspector, pilot: Pilot[None]) -> None:
        await until(lambda: len(app.plans.rows) > 1, pilot)
        assert set(app.plans.rows) == {0, best}
        await pilot.press("down", "down")
        assert f"{len(others)} more" in str(app.plans.cursor_node.label)  # type: ignore[union-attr]
        await pilot.press("enter")
        await until(lambda: len(app.plans.rows) == 3, pilot)
        await pilot.press("slash", *f"#{others[-1]}", "enter")
        await until(lambda: at(app) == others[-1], pilot)

    inspected(folder, steps)


def test_a_long_log_is_shown_while_it_is_read(folder: Path, known: StoredRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tree that stands after all parts is the one that a single reading gives."""
    monkeypatch.setattr("ksearch.inspector.app.FIRST_PART", 5)
    monkeypatch.setattr("ksearch.inspector.app.PART", 5)
    read: list[str] = []
    told = Inspector._refresh_rows

    async def spied(app: Inspector) -> None:
        read.append(str(app._above.content))
        await told(app)

    monkeypatch.setattr(Inspector, "_refresh_rows", spied)

    async def steps(app: Inspector, pilot: Pilot[None]) -> None:
        assert app._head is not None
        assert app._head.seq == known.head().seq
        assert "reading the log: event 6 of" in read[0]
        children = known.node(0).children
        await until(lambda: set(app.plans.rows) == {0, *children}, pilot)

    inspected(folder, steps)


@contextmanager
def searching(folder: Path) -> Iterator[Path]:
    """A search that goes on in a process of its own, as it does in earnest."""
    command = [
        sys.executable, "-m", "ksearch", "run", "--definition", "rmsnorm", "--device", "cpu", "--evaluator", "fake", "--name", "live",
        "--runs-dir", str(folder), "--set", "evaluation.fake_delay_s=0.15", "--max-evaluations", "40",
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + PATIENCE_S
        while not (folder / "live" / "run.sqlite").exists():
            assert time.monotonic() < deadline, "the search never began"
            time.sleep(0.05)
        yield folder / "live"
    finally:
        process.terminate()
        process.wait(timeout=30)


def test_a_run_that_goes_on_is_followed(tmp_path: Path) -> None:
    async def steps(app: Inspector, pilot: Pilot[None]) -> None:
        assert app._head is not None
        before = app._head.evaluations
        await pilot.press("f")
        await until(lambda: app._head is not None and app._head.evaluations > before + 3, pilot)
        best = app._head.incumbent
        assert best is not None
        await until(lambda: app._head is not None and app._head.incumbent is not None and at(app) == app._head.incumbent.node, pilot)

    with searching(tmp_path) as run:
        inspected(run, steps)


def test_hostile_text_is_inert_in_every_pane(hostile: Path) -> None:
    async def steps(app: Inspector, pilot: Pilot[None]) -> None:
        await until(lambda: 1 in app.plans.rows, pilot)
        await pilot.press("down")
        await until(lambda: "#1 " in shown(app, "plan"), pilot)
        for number, name in enumerate(TABS, 1):
            await pilot.press(str(number))
            await until(lambda name=name: "folding" not in (text := shown(app, name)) and bool(text.strip()), pilot)  # type: ignore[misc]
            assert printable(shown(app, name))
        assert printable(str(app.plans.rows[1].label))
        assert "[bold]" in shown(app, "plan"), "text is never taken for markup"

    inspected(hostile, steps)


@pytest.mark.parametrize(("share", "text"), [(0.0, "····"), (0.5, "██··"), (1.0, "████"), (2.0, "████"), (0.125, "▌···")])
def test_bars(share: float, text: str) -> None:
    assert bar(share, 4) == text


def test_without_a_terminal_it_says_what_else_there_is(folder: Path) -> None:
    with pytest.raises(BadInput, match="ksearch tree"):
        inspect_run(str(folder), None, node=None, beliefs=False, as_json=False)


def test_json_is_what_the_panes_are_made_from(folder: Path, known: StoredRun, capsys: pytest.CaptureFixture[str]) -> None:
    inspect_run(str(folder), None, node=None, beliefs=False, as_json=True)
    head = Head.model_validate_json(capsys.readouterr().out)
    assert head.evaluations == known.head().evaluations
    inspect_run(str(folder), None, node=1, beliefs=False, as_json=True)
    assert Look.model_validate_json(capsys.readouterr().out).node == known.node(1)
    inspect_run(str(folder), None, node=1, beliefs=True, as_json=True)
    with StoredRun.open(str(folder)) as run:
        assert Beliefs.model_validate_json(capsys.readouterr().out) == beliefs_before(run, 1)


def test_beliefs_are_those_of_before_the_node(folder: Path, known: StoredRun) -> None:
    head = known.head()
    last = max((known.node(number) for number in range(len(known.tree or ()))), key=lambda node: node.seq)
    with StoredRun.open(str(folder)) as run:
        then = beliefs_before(run, last.id)
    assert then.seq < head.seq
    assert sum(row.tries for row in then.techniques) <= then.evaluations < head.evaluations
