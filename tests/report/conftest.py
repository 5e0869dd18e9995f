"""Reports to look at: the recorded run on an H200, a small made-up one, and one whose every text is hostile."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ksearch.report.export import import_run
from ksearch.report.page.write import write_report
from tests.conftest import chromium
from tests.report.hostile import make_hostile_run

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A runs folder with the recorded run in it."""
    folder = tmp_path_factory.mktemp("runs")
    import_run(ROOT / "runs/recorded/dsa_topk-h200/run.jsonl", folder)
    return folder


@pytest.fixture(scope="session")
def recorded(runs: Path) -> Path:
    return write_report("dsa_topk-h200", runs, runs / "recorded.html")


@pytest.fixture(scope="session")
def hostile(runs: Path) -> Path:
    make_hostile_run(runs)
    return write_report("hostile", runs, runs / "hostile.html")


@pytest.fixture(scope="module")  # while it lives, its event loop forbids others in this process
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Chromium's own sandbox doesn't start as root in a container; the pages opened here are ours.
        started = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        yield started
        started.close()


@dataclass
class Opened:
    """A page, with what it said to the console and whatever it asked of anyone."""

    page: Page
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Opener]:
    opener = Opener(browser)
    yield opener
    opener.close()


class Opener:
    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._opened: list[Page] = []

    def __call__(self, file: Path, *, width: int = 1280, scheme: str = "light") -> Opened:
        page = self._browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
        page.set_default_timeout(30_000)
        opened = Opened(page)
        page.on("console", lambda message: opened.said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: opened.said.append(f"uncaught: {error}"))
        page.on("dialog", lambda dialog: (opened.said.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda request: opened.asked.append(request.url))
        page.goto(file.as_uri())
        page.wait_for_selector("#node-h, #node .notice")
        self._opened.append(page)
        return opened

    def close(self) -> None:
        for page in self._opened:
            page.close()
