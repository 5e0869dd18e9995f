"""The live page in a real browser, beside a real search in a process of its own."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ksearch.asking import requests_of
from ksearch.store.events import ArmOpenedEvent, parse_event
from ksearch.store.log import EventLog
from ksearch.store.runs import find_run
from tests.conftest import chromium
from tests.ui.conftest import Site, searching, site_over

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

PROMISE_S = 2.0
"""A new node is on the page so long after its event."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        try:
            yield started
        finally:
            started.close()


class Opened:
    """A page with everything that went wrong on it, and everything that it asked for."""

    def __init__(self, browser: Browser, address: str, width: int = 1280, scheme: str = "light") -> None:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
        self.page: Page = context.new_page()
        self.errors: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(address)
        self.page.wait_for_selector("#controls .standing")

    def close(self) -> None:
        self.page.context.close()


@contextmanager
def opened(browser: Browser, site: Site, **options: object) -> Iterator[Opened]:
    """Checks at the end that nothing failed on the page and that it asked nobody but its server."""
    shown = Opened(browser, site.address, **options)  # type: ignore[arg-type]
    try:
        yield shown
        assert shown.errors == []
        assert {url for url in shown.asked if not url.startswith((f"http://127.0.0.1:{site.port}/", "data:"))} == set()
    finally:
        keep = os.environ.get("KSEARCH_SCREENSHOTS")
        if keep:
            shown.page.screenshot(
                path=str(Path(keep) / f"{os.environ['PYTEST_CURRENT_TEST'].split('::')[1].split(' ')[0]}.png"), full_page=False
            )
        shown.close()


@contextmanager
def live(runs: Path, name: str, browser: Browser, *options: str) -> Iterator[tuple[Opened, Site]]:
    with searching(runs, name, *options):
        wait_for(lambda: (runs / name / "run.sqlite").exists())
        wait_for(lambda: bool(opened_nodes(runs / name)))
        with site_over(runs, find_run(name, runs)) as site, opened(browser, site) as shown:
            yield shown, site


def wait_for(condition: object, seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.05)


def until(page: Page, expression: str) -> None:
    """The browser's own waiting would evaluate text inside the page, which its policy forbids."""

    def holds() -> bool:
        page.wait_for_timeout(20)  # lets the browser's own events through
        return bool(page.evaluate(expression))

    wait_for(holds)


def opened_nodes(folder: Path) -> dict[int, float]:
    """When each node was opened, seconds since the epoch."""
    with EventLog.open_reader(folder / "run.sqlite") as log:
        events = [(parse_event(stored.payload), stored.time) for stored in log.events()]
    return {event.node: at for event, at in events if isinstance(event, ArmOpenedEvent)}


WATCH = """() => {
  window.seen = {};
  const note = (data) => { for (const node of data.nodes) window.seen[node.id] ??= Date.now() / 1000; };
  note(ksearch.data);
  ksearch.on("data", note);
}"""


def test_a_new_node_is_shown_within_two_seconds_of_its_event(tmp_path: Path, browser: Browser) -> None:
    with live(tmp_path, "growing", browser, "--max-evaluations", "60") as (shown, _):
        shown.page.evaluate(WATCH)
        newest = 0
        for _ in range(4):
            began = time.time()
            wait_for(lambda began=began: any(at > began for at in opened_nodes(tmp_path / "growing").values()))
            newest, opened_at = max(opened_nodes(tmp_path / "growing").items())
            until(shown.page, f"{newest} in window.seen")
            assert shown.page.evaluate(f"window.seen[{newest}]") - opened_at < PROMISE_S
        shown.page.evaluate(f"ksearch.select({newest})")
        assert f"#{newest}" in shown.page.locator("#node-h").inner_text()


STANDS = """({ data }) => ({
  nodes: data.nodes.map(({ id, parent, status, N, F, O, K, best, own_best, gain, attempts, shown, action, queued }) =>
    [id, parent, status, N, F, O, K, best, own_best, gain, attempts, shown, action === null ? null : data.actions[action].key,
     queued.map((index) => data.actions[index].key)]),
  candidates: data.candidates.map((candidate) => ({ ...candidate, forecast: null })),
  tickets: data.tickets, progress: data.progress, incumbents: data.incumbents, headline: data.headline, budget: data.budget,
  evaluations: data.run.evaluations,
})"""
"""What of a page doesn't follow from the whole run."""


def alike(one: object, other: object) -> bool:
    """Equal, but for the digits that the page came without."""
    match one, other:
        case dict(), dict():
            return one.keys() == other.keys() and all(alike(one[key], other[key]) for key in one)
        case list(), list():
            return len(one) == len(other) and all(map(alike, one, other))
        case (int() | float(), int() | float()):
            return math.isclose(one, other, rel_tol=1e-4)
        case _:
            return one == other


@pytest.mark.slow
def test_a_large_run_is_followed_by_what_changed_and_ends_as_the_whole(
    tmp_path: Path, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every run counts as large here, and its whole is not sent again."""
    monkeypatch.setattr("ksearch.ui.feed.LARGE_S", 0.0)
    monkeypatch.setattr("ksearch.ui.feed.LARGE_REST", 1e9)
    monkeypatch.setattr("ksearch.ui.feed.QUIET_REST", 1e9)
    with live(tmp_path, "large", browser, "--max-evaluations", "25") as (shown, site):
        page = shown.page
        page.get_by_text("Nobody is searching").wait_for()
        last = json.loads(site.ask("/runs/large/status.json")[2])["seq"]
        until(page, f"ksearch.data.run.seq === {last}")
        assert "as of event" in page.inner_text("#policy .head")
        data = json.loads(site.ask(f"/runs/large/data.json?seq={last}")[2])
        asked = [url for url in shown.asked if "data.json" in url]
        assert len({url.split("whole=")[1].split("&")[0] for url in asked}) == 1, "the whole came once, with the page"
        for part, rows in page.evaluate(f"(data) => ({STANDS})({{ data }})", data).items():
            assert alike(page.evaluate(f"({STANDS})(ksearch)")[part], rows), part


def test_a_pin_a_ban_and_a_raised_budget_reach_the_living_run_from_the_page(tmp_path: Path, browser: Browser) -> None:
    with live(tmp_path, "steered", browser, "--max-evaluations", "30") as (shown, _):
        page = shown.page
        page.evaluate("ksearch.select(1)")
        page.get_by_role("button", name="Pin: search here first").click()
        page.get_by_role("button", name="Unpin", exact=True).wait_for()
        page.get_by_role("button", name=re.compile("^Ban ")).first.click()
        page.get_by_text(re.compile("^banned ")).first.wait_for()
        page.get_by_text("Limits", exact=True).click()
        page.get_by_label("Limit of evaluations").fill("60")
        page.get_by_role("button", name="Change limits").click()
        wait_for(lambda: [status.outcome for status in requests_of("steered", tmp_path)] == ["done"] * 3)
        until(page, "ksearch.data.budget.evaluations.limit === 60")
        page.get_by_role("button", name="Unpin node 1").click()
        page.get_by_role("button", name="Pin: search here first").wait_for()
        page.get_by_role("button", name="Stop the search").click()
        page.get_by_role("button", name="Really stop it").click()
        page.get_by_text("Nobody is searching").wait_for()
        assert page.evaluate("ksearch.data.run.status") in ("interrupted", "open")
    kinds = [status.request.kind for status in requests_of("steered", tmp_path)]
    assert kinds == ["pin", "ban", "budget", "unpin", "stop"]


def test_the_slider_shows_any_moment_and_comes_back(runs: Path, browser: Browser) -> None:
    with site_over(runs, find_run("first", runs)) as site, opened(browser, site) as shown:
        page, last = shown.page, shown.page.evaluate("ksearch.data.run.seq")
        slider = page.get_by_role("slider")
        nodes = page.evaluate("ksearch.data.nodes.length")
        slider.focus()
        page.keyboard.press("Home")
        until(page, "ksearch.data.run.seq === 1")
        assert page.evaluate("ksearch.data.nodes.length") == 0
        for _ in range(3):
            page.keyboard.press("ArrowRight")
        until(page, "ksearch.data.run.seq === 4")
        slider.fill(str(last // 2))
        until(page, f"ksearch.data.run.seq === {last // 2}")
        assert 0 < page.evaluate("ksearch.data.nodes.length") < nodes
        assert f"event {last // 2} of {last}" in page.locator("#controls .moment").inner_text()
        assert f"ksearch run --from {runs / 'first'}@{last // 2}" in page.locator("#controls .run-again").inner_text()
        page.get_by_role("button", name="Follow live").click()
        until(page, f"ksearch.data.run.seq === {last}")
        assert page.locator("#controls .run-again").count() == 0


def test_a_node_gives_the_command_that_runs_again_from_it(runs: Path, browser: Browser) -> None:
    with site_over(runs, find_run("first", runs)) as site, opened(browser, site) as shown:
        shown.page.evaluate("ksearch.select(2)")
        shown.page.get_by_role("button", name="Run again from here").click()
        assert f"ksearch run --from '{runs / 'first'}#2'" in shown.page.locator("#node .run-again").inner_text()


def test_requests_to_a_run_that_nobody_searches_are_shown_to_wait(runs: Path, browser: Browser, tmp_path: Path) -> None:
    shutil.copytree(runs / "first", tmp_path / "waiting")
    with site_over(tmp_path, find_run("waiting", tmp_path)) as site, opened(browser, site) as shown:
        shown.page.evaluate("ksearch.select(1)")
        shown.page.get_by_role("button", name="Pin: search here first").click()
        shown.page.get_by_text("pin node 1: waiting").wait_for()
        assert f"ksearch resume {tmp_path / 'waiting'}" in shown.page.locator("#controls").inner_text()


HOSTILE = "<img src=x onerror=window.owned=1>\u202e<script>window.owned=1</script>"


def test_what_others_wrote_is_text_on_the_page(runs: Path, browser: Browser, tmp_path: Path) -> None:
    shutil.copytree(runs / "first", tmp_path / "hostile")
    with site_over(tmp_path, find_run("hostile", tmp_path)) as site, opened(browser, site) as shown:
        assert site.post("hostile", {"kind": "ban", "idea": HOSTILE})[0] == 202
        shown.page.get_by_text("Requests (1 waiting)").wait_for()
        assert "<img src=x onerror" in shown.page.locator("#controls .asked").inner_text()
        assert shown.page.evaluate("window.owned") is None


@pytest.mark.parametrize(("width", "scheme"), [(400, "dark"), (1280, "light")])
def test_the_controls_fit(runs: Path, browser: Browser, width: int, scheme: str) -> None:
    with site_over(runs, find_run("first", runs)) as site, opened(browser, site, width=width, scheme=scheme) as shown:
        shown.page.get_by_text("Limits", exact=True).click()
        assert shown.page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_front_page_opens_a_run(runs: Path, browser: Browser) -> None:
    with site_over(runs) as site:
        page = browser.new_page()
        page.goto(site.address)
        page.get_by_role("link", name="first").click()
        page.wait_for_selector("#controls .standing")
        page.reload()
        page.wait_for_selector("#controls .standing")
        page.context.close()


def test_a_page_of_another_server_of_this_machine_can_do_nothing_even_with_the_token(runs: Path, browser: Browser, tmp_path: Path) -> None:
    """Another port of the same host counts as the same site to a browser: cookies would go with its requests."""
    shutil.copytree(runs / "first", tmp_path / "target")
    with site_over(tmp_path) as site, other_server() as address:
        page = browser.new_page()
        page.goto(address)
        outcome = page.evaluate(ATTACK, [site.port, site.token])
        assert outcome == {"read": "refused", "opaque": "refused", "form": "refused", "post": "refused", "frame": "nothing"}, outcome
        page.context.close()
        assert site.ask("/runs/target/status.json")[0] == 200
    assert requests_of("target", tmp_path) == []


ATTACK = """async ([port, token]) => {
  const base = `http://127.0.0.1:${port}/runs/target`, result = {};
  const said = (promise) => promise.then(() => "answered", () => "refused");
  const body = JSON.stringify({ kind: "ban", idea: "vectorise" });
  result.read = await said(fetch(`${base}/data.json?token=${token}`, { credentials: "include" }));
  result.opaque = await said(fetch(`${base}/data.json?token=${token}`, { mode: "no-cors" }));
  result.form = await said(fetch(`${base}/requests?token=${token}`, { method: "POST", mode: "no-cors", body }));
  const headers = { "Content-Type": "application/json", "X-Ksearch-Token": token };
  result.post = await said(fetch(`${base}/requests`, { method: "POST", headers, body }));
  const frame = document.createElement("iframe");
  frame.src = `${base}/?token=${token}`;
  const loaded = new Promise((done) => { frame.onload = done; });
  document.body.append(frame);
  await loaded;
  try { result.frame = frame.contentDocument ? "read" : "nothing"; } catch { result.frame = "nothing"; }
  return result;
}"""


@contextmanager
def other_server() -> Iterator[str]:
    class Blank(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><body>")

        def log_message(self, format: str, *args: object) -> None:
            return None

    server = HTTPServer(("127.0.0.1", 0), Blank)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_nothing_of_a_page_is_kept_by_the_browser(runs: Path, browser: Browser) -> None:
    with site_over(runs, find_run("first", runs)) as site, opened(browser, site) as shown:
        assert shown.page.context.cookies() == []
        assert json.loads(shown.page.evaluate("JSON.stringify({ ...sessionStorage })")) == {}
        assert site.token not in shown.page.evaluate("JSON.stringify({ ...localStorage })")
