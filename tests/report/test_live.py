"""The page behind a server: it follows the run, keeps what the reader chose, replays, and says when nobody answers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from ksearch.records.reading import StoredRun
from ksearch.report.page.data import page_data
from ksearch.report.page.details import candidate_detail
from ksearch.report.page.packing import encode_detail, encode_page
from ksearch.report.page.render import Extension, Live, render_page

pytestmark = pytest.mark.browser

EXTENSION = Extension(
    script="ksearch.on('node', (id, place) => place.append(ksearch.h('button', { id: 'act' }, `Act on ${id}`)));",
    style="#act { color: red; }",
)


class Server:
    """The contract of docs/report.md over the recorded run, which it lets grow by raising `seq`."""

    def __init__(self, runs: Path, seq: int) -> None:
        self.runs, self.seq, self.asked = runs, seq, list[str]()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                code, kind, body = outer.answer(self.path)
                self.send_response(code)
                self.send_header("Content-Type", kind)
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def answer(self, path: str) -> tuple[int, str, str]:
        parts, given = urlsplit(path), {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}
        self.asked.append(path)
        if given.get("token") != "a b":
            return 403, "text/plain", ""
        with StoredRun.open("dsa_topk-h200", self.runs) as run:
            match parts.path:
                case "/":
                    return 200, "text/html", render_page(page_data(run, self.seq), live=Live("token=a+b"), extensions=[EXTENSION])
                case "/data.json" if "have" in given and int(given["have"]) >= self.seq:
                    return 204, "application/json", ""
                case "/data.json":
                    return 200, "application/json", encode_page(page_data(run, int(given.get("seq", self.seq))))
                case "/candidate.json":
                    record = run.record()
                    return 200, "application/json", encode_detail(candidate_detail(run, record, record.candidates[int(given["id"])]))
        return 404, "text/plain", ""


@pytest.fixture
def server(runs: Path) -> Iterator[Server]:
    server = Server(runs, seq=100)
    yield server
    server.http.shutdown()
    server.http.server_close()


@pytest.fixture
def page(server: Server, browser):  # type: ignore[no-untyped-def]
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(10_000)
    page.said = []
    page.on("console", lambda message: page.said.append(message.text))
    page.goto(f"http://127.0.0.1:{server.http.server_port}/?token=a+b")
    page.wait_for_selector("#node .line")
    yield page
    page.close()


def until(page, condition: str) -> None:  # type: ignore[no-untyped-def]
    """playwright's own wait evaluates a string, which the page's policy forbids."""
    for _ in range(100):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never true: {condition}")


def test_new_events_appear_and_the_reader_stays_where_they_were(server: Server, page) -> None:  # type: ignore[no-untyped-def]
    page.click("text='Fold all'")
    page.click(".row[data-node='2']")
    page.wait_for_selector("#node .line")
    page.evaluate("scrollTo({ top: 400, behavior: 'instant' }); document.querySelector('#node').scrollTop = 150")
    known = page.evaluate("ksearch.data.nodes.length")
    server.seq = 300
    until(page, "ksearch.data.run.seq === 300")
    assert page.evaluate("ksearch.data.nodes.length") > known
    assert page.inner_text("#node-h .id") == "#2"
    assert page.evaluate("scrollY") == 400
    assert page.evaluate("document.querySelector('#node').scrollTop") == 150
    assert page.evaluate("[...document.querySelectorAll('.grid-space .row:not([hidden])')].every((row) => row.ariaLevel <= 2)")
    assert page.said == []


def test_a_moment_is_replayed_and_then_followed_again(server: Server, page) -> None:  # type: ignore[no-untyped-def]
    page.evaluate("ksearch.show(40)")
    until(page, "ksearch.data.run.seq === 40")
    server.seq = 120
    until(page, "ksearch.newest === 120")
    assert page.evaluate("ksearch.data.run.seq") == 40
    page.evaluate("ksearch.show(null)")
    until(page, "ksearch.data.run.seq === 120")


def test_an_extension_acts_on_the_node_shown(page) -> None:  # type: ignore[no-untyped-def]
    page.evaluate("ksearch.select(3)")
    assert page.inner_text("#act") == "Act on 3"
    assert page.evaluate("getComputedStyle(document.querySelector('#act')).color") == "rgb(255, 0, 0)"


def test_it_says_when_nobody_answers_and_asks_again(server: Server, page) -> None:  # type: ignore[no-untyped-def]
    server.answer = lambda path: (500, "text/plain", "")  # type: ignore[method-assign]
    page.wait_for_selector("#status[data-shown]:has-text('Not connected')", timeout=5_000)
    del server.answer
    page.wait_for_selector("#status[data-shown]", state="detached", timeout=8_000)
