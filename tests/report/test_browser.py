"""The page in a real browser, from a file: it asks nobody for anything and says nothing to the console."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from benchmarks.report.made_up import make_run
from ksearch.records.beliefs import AmendmentRecord, CitedRecord, EntryRecord, RevisionRecord
from ksearch.records.reading import StoredRun
from ksearch.report.export import import_run
from ksearch.report.page.data import page_of
from ksearch.report.page.details import candidate_details
from ksearch.report.page.render import SCRIPTS, asset, library_script, render_page
from ksearch.report.page.write import write_report
from tests.report.conftest import ROOT, Opened, Opener
from tests.report.hostile import MARK

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def shared(recorded: Path, browser: Browser) -> Iterator[Opened]:
    """The recorded run's page, opened once; in all that its readers do it asks for nothing and says nothing."""
    opener = Opener(browser)
    opened = opener(recorded)
    yield opened
    assert set(opened.asked) == {recorded.as_uri()}
    assert opened.said == []
    opener.close()


@pytest.fixture
def reader(shared: Opened) -> Opened:
    """As a reader finds it who folded everything."""
    page = shared.page
    page.fill("input[type=search]", "")
    page.select_option("select >> nth=0", "all")
    page.click("#tree-mode >> text=Rows")
    page.click('text="Fold all"')
    return shared


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


def test_it_opens_from_a_file_and_asks_for_nothing(recorded: Path, reader: Opened) -> None:
    reader.page.click("text=Whole code")
    reader.page.wait_for_selector("#node .line")
    reader.page.click("#node button:text-is('Changes')")
    assert reader.asked == [recorded.as_uri()]
    assert reader.said == []
    assert reader.page.inner_text("#top .figure-value") == "4.24 µs"


def test_a_node_opens_by_click_with_its_diff(reader: Opened) -> None:
    reader.page.click(row(2))
    assert shown(reader) == "#2"
    reader.page.wait_for_selector("#node .line.added")
    assert reader.page.inner_text("#node .file .note").endswith("removed")
    assert "#node-2" in reader.page.url


def test_the_tree_unfolds_and_folds_by_its_arrow(reader: Opened) -> None:
    before = rows(reader)
    reader.page.click(f"{row(2)} .twisty")
    assert len(rows(reader)) > len(before)
    assert reader.page.get_attribute(row(2), "aria-expanded") == "true"
    reader.page.click(f"{row(2)} .twisty")
    assert rows(reader) == before


def test_the_keyboard_goes_everywhere_in_the_tree(reader: Opened) -> None:
    keys = reader.page.keyboard
    reader.page.focus(".grid-space .row[tabindex='0']")
    keys.press("Home")
    assert focused(reader) == 0
    keys.press("ArrowDown")
    first = focused(reader)
    assert first == rows(reader)[1]
    keys.press("ArrowRight")  # unfolds
    keys.press("ArrowRight")  # enters
    child = focused(reader)
    assert reader.page.get_attribute(row(child), "aria-level") == "3"
    keys.press("Enter")
    assert shown(reader) == f"#{child}"
    keys.press("ArrowLeft")
    assert focused(reader) == first
    keys.press("ArrowLeft")  # folds
    assert reader.page.get_attribute(row(first), "aria-expanded") == "false"
    keys.press("End")
    assert focused(reader) == rows(reader)[-1]
    keys.type("#0")
    assert focused(reader) == 0
    assert reader.page.locator(".grid-space .row[tabindex='0']").count() == 1


def test_what_has_the_focus_can_be_seen(reader: Opened) -> None:
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    reader.page.focus(".grid-space .row[tabindex='0']")
    for key in ("ArrowDown", "Tab", "Tab"):
        reader.page.keyboard.press(key)
        assert reader.page.evaluate(outline) == "solid"


def test_letters_find_a_row(reader: Opened) -> None:
    reader.page.click('text="Unfold all"')
    reader.page.focus(".grid-space .row[tabindex='0']")
    found = ""
    for _ in range(5):  # on a busy machine letters may come too far apart to be one word
        reader.page.keyboard.press("Home")
        reader.page.keyboard.type("fuse")
        found = reader.page.evaluate("document.activeElement.querySelector('.name').textContent")
        if found.startswith("fuse"):
            break
        reader.page.wait_for_timeout(1500)  # a word begun is forgotten
    assert found.startswith("fuse")


def test_a_filter_shows_what_it_finds_with_the_way_there(reader: Opened) -> None:
    reader.page.fill("input[type=search]", "#31")
    parents = reader.page.evaluate("ksearch.data.nodes.map((node) => node.parent)")
    path = [31]
    while parents[path[0]] is not None:
        path.insert(0, parents[path[0]])
    assert rows(reader) == path
    reader.page.select_option("select >> nth=0", "closed")
    assert rows(reader) == [0]


def test_the_drawing_selects_by_click(reader: Opened) -> None:
    reader.page.evaluate("ksearch.select(31)")
    reader.page.click("#tree-mode >> text=Drawing")
    reader.page.click("text=Fit")
    place = reader.page.evaluate("ksearch.drawn.find((point) => point.id === 28)")
    reader.page.locator(".drawing canvas").click(position={"x": place["x"], "y": place["y"]})
    assert shown(reader) == "#28"


def test_an_address_with_a_node_opens_it(recorded: Path, reader: Opened) -> None:
    reader.page.goto(f"{recorded.as_uri()}#node-7")
    reader.page.reload()
    assert shown(reader) == "#7"


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 400), ("dark", 400)])
def test_nothing_is_wider_than_the_window(reader: Opened, scheme: Literal["light", "dark"], width: int) -> None:
    reader.page.set_viewport_size({"width": width, "height": 900})
    reader.page.emulate_media(color_scheme=scheme)
    try:
        assert reader.page.evaluate("document.documentElement.scrollWidth") <= width
        light = reader.page.evaluate("Number(getComputedStyle(document.body).backgroundColor.match(/[0-9]+/)[0]) > 127")
        assert light == (scheme == "light")
    finally:
        reader.page.set_viewport_size({"width": 1280, "height": 900})
        reader.page.emulate_media(color_scheme="light")


def test_on_paper_the_rows_stand_in_full_and_nothing_is_a_button(reader: Opened) -> None:
    reader.page.click('text="Unfold all"')
    reader.page.emulate_media(media="print")
    reader.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    try:
        assert len(rows(reader)) == reader.page.evaluate("ksearch.data.nodes.length")
        assert reader.page.locator(".tools:visible, #contents:visible").count() == 0
    finally:
        reader.page.evaluate("dispatchEvent(new Event('afterprint'))")
        reader.page.emulate_media(media="screen")


def test_the_theme_can_be_chosen(reader: Opened) -> None:
    colour = "getComputedStyle(document.body).backgroundColor"
    before = reader.page.evaluate(colour)
    reader.page.click("#contents >> text=☾")
    assert reader.page.evaluate(colour) != before
    reader.page.click("#contents >> text=◐")
    assert reader.page.evaluate(colour) == before


def test_every_control_has_a_name_and_every_row_its_place(reader: Opened) -> None:
    named = "(e) => e.textContent.trim() || e.getAttribute('aria-label') || e.closest('label')"
    assert reader.page.evaluate(f"[...document.querySelectorAll('button, input, select, a')].every({named})")
    placed = "(r) => r.ariaLevel && r.ariaPosInSet && r.ariaSetSize && r.ariaRowIndex"
    assert reader.page.evaluate(f"[...document.querySelectorAll('.grid-space .row:not([hidden])')].every({placed})")
    ids = reader.page.evaluate("[...document.querySelectorAll('[id]')].map((e) => e.id)")
    assert len(ids) == len(set(ids))


def test_beliefs_are_shown_over_time_and_what_is_not_known_is_said(reader: Opened) -> None:
    beliefs = reader.page.inner_text("#beliefs")
    assert "honesty of claims" in beliefs
    assert "17 of 17 passed" in beliefs
    assert reader.page.locator("#beliefs .multiple path.band").count() == 11
    assert "wrote no hypotheses" in beliefs
    assert "No floor" in reader.page.inner_text("#overview")


def test_a_planners_document_and_a_floor_are_shown_where_a_run_has_them(open_page: Opener, tmp_path: Path) -> None:
    with StoredRun.open(str(import_run(ROOT / "runs/recorded/dsa_topk-h200-surrogate/run.jsonl", tmp_path))) as run:
        page = page_of(run, run.record().model_copy(update={"world_model_history": REVISIONS}))
    (tmp_path / "told.html").write_text(render_page(page))
    opened = open_page(tmp_path / "told.html")
    told = opened.page.inner_text("#beliefs .document")
    assert "memory decides the long rows" in told
    assert "refuted by: a faster kernel" in told
    assert opened.page.inner_text("#beliefs .document .chips") == "#31 1.13×"
    slider = opened.page.get_by_label("Revision of the world model")
    slider.focus()
    opened.page.keyboard.press("ArrowLeft")
    assert "memory decides" not in opened.page.inner_text("#beliefs .document")
    opened.page.click("text=2 revisions")
    assert "refused: no such entry <b>h9</b>" in opened.page.inner_text("#beliefs .log-of-revisions")
    assert "the floor of 0.62" in opened.page.inner_text("#top")
    assert "bound by launch" in opened.page.inner_text("#overview")
    assert opened.page.locator("#overview line.limit").count() == 1
    assert opened.said == []


CITED = CitedRecord(node=31, key="share_selection|x|", gain=0.12, failed_stage=None)
ENTRY = EntryRecord(id="h1", kind="hypothesis", text="memory decides the long rows", refuted_by="a faster kernel", evidence=(CITED,))
REVISIONS = tuple(
    RevisionRecord(
        seq=100 * (at + 1), at_s=60.0, ticket=3, node=2, evaluations=at, honesty=0.5, refused=("no such entry <b>h9</b>",),
        changes=(AmendmentRecord(op="insert", kind="hypothesis", ids=(), texts=(ENTRY.text,), refuted_by="", nodes=(31,)),),
        entries=entries,
    )
    for at, entries in enumerate([(), (ENTRY,)])
)  # fmt: skip


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


def test_the_policy_forbids_what_the_page_never_does(recorded: Path, open_page: Opener) -> None:
    opened = open_page(recorded)
    for attempt in ATTEMPTS.values():
        guarded = f"(async () => {{ try {{ await ({attempt})(); return 'done'; }} catch {{ return 'refused'; }} }})()"
        assert opened.page.evaluate(guarded) == "refused"
    assert opened.asked == [recorded.as_uri()]


def test_a_large_tree_is_small_on_disk_and_draws_only_what_is_seen(open_page: Opener, tmp_path: Path) -> None:
    nodes = 120
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


@pytest.mark.parametrize("seq", [1, 7])
def test_a_run_that_has_hardly_begun_is_a_page_too(runs: Path, open_page: Opener, tmp_path: Path, seq: int) -> None:
    with StoredRun.open("dsa_topk-h200", runs) as run:
        record = run.record(seq)
        page = render_page(page_of(run, record), candidate_details(run, record))
    (tmp_path / "early.html").write_text(page)
    opened = open_page(tmp_path / "early.html")
    assert opened.page.inner_text("#top h1").startswith("dsa_topk")
    assert len(rows(opened)) == len(record.nodes)
    assert opened.said == []
