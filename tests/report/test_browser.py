"""The page in a real browser, from a file: it asks nobody for anything and says nothing to the console."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.report.made_up import make_run
from ksearch.records.reading import StoredRun
from ksearch.report.page.data import page_of
from ksearch.report.page.details import candidate_details
from ksearch.report.page.render import SCRIPTS, asset, library_script, render_page
from ksearch.report.page.write import write_report
from tests.report.conftest import Opened, Opener
from tests.report.hostile import MARK

pytestmark = pytest.mark.browser


def rows(opened: Opened) -> list[int]:
    """The nodes whose rows stand in the tree, top to bottom."""
    shown = "[...document.querySelectorAll('.grid-space .row:not([hidden])')]"
    found: list[int] = opened.page.evaluate(f"{shown}.sort((a, b) => a.ariaRowIndex - b.ariaRowIndex).map((row) => row.node)")
    return found


def focused(opened: Opened) -> int:
    found: int = opened.page.evaluate("document.activeElement.node")
    return found


def row(node: int) -> str:
    return f".row[data-node='{node}']"


def shown(opened: Opened) -> str:
    return opened.page.inner_text("#node-h .id")


def test_it_opens_from_a_file_and_asks_for_nothing(recorded: Path, open_page: Opener) -> None:
    opened = open_page(recorded)
    opened.page.click("text=Whole code")
    opened.page.wait_for_selector("#node .line")
    assert opened.asked == [recorded.as_uri()]
    assert opened.said == []
    assert opened.page.inner_text("#top .figure-value") == "4.24 µs"


def test_a_node_opens_by_click_with_its_diff(recorded: Path, open_page: Opener) -> None:
    opened = open_page(recorded)
    opened.page.click('text="Fold all"')
    opened.page.click(row(2))
    assert shown(opened) == "#2"
    opened.page.wait_for_selector("#node .line.added")
    assert opened.page.inner_text("#node .file .note").endswith("removed")
    assert "#node-2" in opened.page.url


def test_the_tree_unfolds_and_folds_by_its_arrow(recorded: Path, open_page: Opener) -> None:
    opened = open_page(recorded)
    opened.page.click('text="Fold all"')
    before = rows(opened)
    opened.page.click(f"{row(2)} .twisty")
    assert len(rows(opened)) > len(before)
    assert opened.page.get_attribute(row(2), "aria-expanded") == "true"
    opened.page.click(f"{row(2)} .twisty")
    assert rows(opened) == before


def test_the_keyboard_goes_everywhere_in_the_tree(recorded: Path, open_page: Opener) -> None:
    opened = open_page(recorded)
    keys = opened.page.keyboard
    opened.page.click('text="Fold all"')
    opened.page.focus(".grid-space .row[tabindex='0']")
    keys.press("Home")
    assert focused(opened) == 0
    keys.press("ArrowDown")
    first = focused(opened)
    assert first == rows(opened)[1]
    keys.press("ArrowRight")  # unfolds
    keys.press("ArrowRight")  # enters
    child = focused(opened)
    assert opened.page.get_attribute(row(child), "aria-level") == "3"
    keys.press("Enter")
    assert shown(opened) == f"#{child}"
    keys.press("ArrowLeft")
    assert focused(opened) == first
    keys.press("ArrowLeft")  # folds
    assert opened.page.get_attribute(row(first), "aria-expanded") == "false"
    keys.press("End")
    assert focused(opened) == rows(opened)[-1]
    keys.type("#0")
    assert focused(opened) == 0
    assert opened.page.locator(".grid-space .row[tabindex='0']").count() == 1


def test_letters_find_a_row(recorded: Path, open_page: Opener) -> None:
    opened = open_page(recorded)
    opened.page.focus(".grid-space .row[tabindex='0']")
    opened.page.keyboard.press("Home")
    opened.page.keyboard.type("fuse")
    assert opened.page.evaluate("document.activeElement.querySelector('.name').textContent").startswith("fuse")


def test_a_filter_shows_what_it_finds_with_the_way_there(recorded: Path, open_page: Opener) -> None:
    opened = open_page(recorded)
    opened.page.fill("input[type=search]", "#31")
    parents = opened.page.evaluate("ksearch.data.nodes.map((node) => node.parent)")
    path = [31]
    while parents[path[0]] is not None:
        path.insert(0, parents[path[0]])
    assert rows(opened) == path
    opened.page.select_option("select >> nth=0", "closed")
    assert rows(opened) == [0]


def test_the_drawing_selects_by_click(recorded: Path, open_page: Opener) -> None:
    opened = open_page(recorded)
    opened.page.click("text=Drawing")
    place = opened.page.evaluate("ksearch.drawn.find((point) => point.id === 28)")
    opened.page.locator(".drawing canvas").click(position={"x": place["x"], "y": place["y"]})
    assert shown(opened) == "#28"
    assert opened.said == []


def test_an_address_with_a_node_opens_it(recorded: Path, open_page: Opener, browser: object) -> None:
    opened = open_page(recorded)
    opened.page.goto(f"{recorded.as_uri()}#node-7")
    opened.page.reload()
    assert shown(opened) == "#7"


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 400)])
def test_nothing_is_wider_than_the_window(recorded: Path, open_page: Opener, scheme: str, width: int) -> None:
    opened = open_page(recorded, width=width, scheme=scheme)
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_theme_can_be_chosen(recorded: Path, open_page: Opener) -> None:
    opened = open_page(recorded)
    colour = "getComputedStyle(document.body).backgroundColor"
    before = opened.page.evaluate(colour)
    opened.page.click("#contents >> text=☾")
    assert opened.page.evaluate(colour) != before


def test_every_control_has_a_name_and_every_row_its_place(recorded: Path, open_page: Opener) -> None:
    opened = open_page(recorded)
    named = "(e) => e.textContent.trim() || e.getAttribute('aria-label') || e.closest('label')"
    assert opened.page.evaluate(f"[...document.querySelectorAll('button, input, select, a')].every({named})")
    placed = "(r) => r.ariaLevel && r.ariaPosInSet && r.ariaSetSize && r.ariaRowIndex"
    assert opened.page.evaluate(f"[...document.querySelectorAll('.grid-space .row:not([hidden])')].every({placed})")
    ids = opened.page.evaluate("[...document.querySelectorAll('[id]')].map((e) => e.id)")
    assert len(ids) == len(set(ids))


def test_hostile_texts_are_only_texts(hostile: Path, open_page: Opener) -> None:
    opened = open_page(hostile)
    opened.page.evaluate("document.querySelectorAll('details').forEach((element) => { element.open = true; })")
    for node in opened.page.evaluate("ksearch.data.nodes.filter((node) => node.shown !== null).map((node) => node.id)"):
        opened.page.evaluate(f"ksearch.select({node})")
        opened.page.wait_for_selector("#node .line")
        for tab in ("Whole code", "Changes"):
            if opened.page.is_enabled(f"#node >> text={tab}"):
                opened.page.click(f"#node >> text={tab}")
    opened.page.click("text=Drawing")
    opened.page.hover("canvas", position={"x": 30, "y": 300})
    assert opened.page.evaluate(f"window.{MARK}") is None
    assert opened.page.evaluate("document.querySelectorAll('img, iframe, object, [onerror], [onload], [onmouseover]').length") == 0
    assert opened.page.evaluate("document.scripts.length") == 4
    assert opened.asked == [hostile.as_uri()]
    assert opened.said == []


def test_characters_that_hide_or_reorder_are_shown_as_what_they_are(hostile: Path, open_page: Opener) -> None:
    opened = open_page(hostile)
    opened.page.evaluate("ksearch.select(ksearch.data.nodes.find((node) => node.failed_stage).id)")
    opened.page.wait_for_selector("#node .log")
    text: str = opened.page.evaluate("document.body.innerText + document.title")
    assert not set(text) & set("\u202e\u2066\u2069\u200b\ufeff\u2028\u2029\x1b\x9b\x00")
    assert "⟨U+202E⟩" in text


ATTEMPTS = {
    "markup": "() => { document.body.innerHTML = '<b>x</b>'; }",
    "script": "() => { const made = document.createElement('script'); made.textContent = 'window.pwned = 1'; document.body.append(made); }",
    "request": "() => fetch('https://example.invalid/')",
}


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_the_policy_forbids_what_the_page_never_does(recorded: Path, open_page: Opener, attempt: str) -> None:
    opened = open_page(recorded)
    guarded = f"(async () => {{ try {{ await ({ATTEMPTS[attempt]})(); return 'done'; }} catch {{ return 'refused'; }} }})()"
    assert opened.page.evaluate(guarded) == "refused"
    assert opened.asked == [recorded.as_uri()]


def test_a_large_tree_is_small_on_disk_and_draws_only_what_is_seen(open_page: Opener, tmp_path: Path) -> None:
    nodes = 300
    report = write_report("made-up", make_run(tmp_path, nodes), tmp_path / "large.html")
    fixed = len(library_script()) + sum(len(asset(name)) for name in ("page.css", *(f"js/{script}.js" for script in SCRIPTS)))
    assert (report.stat().st_size - fixed) / nodes < (15_000_000 - fixed) / 10_000, "10,000 nodes would exceed 15 MB"
    opened = open_page(report)
    opened.page.click('text="Unfold all"')
    assert opened.page.inner_text("#tree-count").startswith(f"{nodes} rows")
    assert len(rows(opened)) < 70
    opened.page.focus(".grid-space .row[tabindex='0']")
    opened.page.keyboard.press("End")
    assert opened.page.evaluate("document.activeElement.ariaRowIndex") == str(nodes + 1)
    opened.page.keyboard.press("Enter")
    assert opened.said == []


@pytest.mark.parametrize("seq", [1, 5, 7, 12])
def test_a_run_that_has_hardly_begun_is_a_page_too(runs: Path, open_page: Opener, tmp_path: Path, seq: int) -> None:
    with StoredRun.open("dsa_topk-h200", runs) as run:
        record = run.record(seq)
        page = render_page(page_of(run, record), candidate_details(run, record))
    (tmp_path / "early.html").write_text(page)
    opened = open_page(tmp_path / "early.html")
    assert opened.page.inner_text("#top h1").startswith("dsa_topk")
    assert len(rows(opened)) == len(record.nodes)
    assert opened.said == []
