"""How long a report takes: to write, to open, to scroll; and how large it is. Needs Chromium and playwright.

    python benchmarks/report/bench_page.py [--nodes 10000] [--repeats 3]

The run is made up: random gains and failures through the real tree and log, each plan with a kernel of its own.
"Opened" is when the tree's rows and the panel stand; "code" when the first kernel is unpacked and drawn. A stall is a
frame that came more than 50 ms after the one before it. By the wheel, four rows come into sight with each frame; tearing
goes from the first row to the last in 120 frames, each of which is all new.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from made_up import make_run

from ksearch.report.page.write import write_report

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SCROLL = """async (pixels) => {
  const grid = document.querySelector('.grid'), gaps = [];
  grid.scrollTop = 0;
  let last = performance.now();
  for (let step = 0; step <= 120; step++) {
    grid.scrollTop = step * (pixels ?? grid.scrollHeight / 120);
    await new Promise(requestAnimationFrame);
    const now = performance.now();
    gaps.push(now - last);
    last = now;
  }
  return gaps;
}"""
PAN = """async () => {
  const canvas = document.querySelector('.drawing canvas'), gaps = [];
  let last = performance.now();
  for (let step = 0; step < 60; step++) {
    const deltaY = step < 30 ? 40 : -40;
    canvas.dispatchEvent(new WheelEvent('wheel', { deltaY, clientX: 400, clientY: 400, bubbles: true, cancelable: true }));
    await new Promise(requestAnimationFrame);
    const now = performance.now();
    gaps.push(now - last);
    last = now;
  }
  return gaps;
}"""


def opened(browser: Browser, file: Path) -> tuple[Page, float, float]:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    begin = time.perf_counter()
    page.goto(file.as_uri(), wait_until="commit")
    page.wait_for_selector("#node-h", timeout=60_000)
    seen = time.perf_counter() - begin
    page.wait_for_selector("#node .line", timeout=60_000)
    return page, seen, time.perf_counter() - begin


def frames(name: str, gaps: list[float]) -> None:
    ordered = sorted(gaps)
    stalls = sum(gap > 50 for gap in gaps)
    slow = ordered[int(0.99 * len(ordered))]
    print(f"{name:<34} {len(gaps)} frames, median {statistics.median(gaps):.0f} ms, p99 {slow:.0f} ms, stalls {stalls}")


def measure(file: Path, repeats: int) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        times = []
        for _ in range(repeats - 1):
            page, seen, code = opened(browser, file)
            times.append((seen, code))
            page.close()
        last, seen, code = opened(browser, file)
        times.append((seen, code))
        print(f"{'opened':<34} median {statistics.median(t[0] for t in times):.2f} s   max {max(t[0] for t in times):.2f}")
        print(f"{'code drawn':<34} median {statistics.median(t[1] for t in times):.2f} s   max {max(t[1] for t in times):.2f}")
        begin = time.perf_counter()
        last.click("text='Unfold all'")
        print(f"{'all rows unfolded':<34} {time.perf_counter() - begin:.2f} s")
        frames("scrolling by the wheel", last.evaluate(SCROLL, 120))
        frames("tearing from end to end", last.evaluate(SCROLL, None))
        begin = time.perf_counter()
        last.fill("input[type=search]", "technique-7")
        print(f"{'filtered':<34} {time.perf_counter() - begin:.2f} s")
        last.fill("input[type=search]", "")
        last.click("text='Drawing'")
        frames("zooming the drawing of all plans", last.evaluate(PAN))
        browser.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        runs = make_run(Path(folder), options.nodes)
        begin = time.perf_counter()
        file = write_report("made-up", runs, runs / "report.html")
        print(f"{'written':<34} {time.perf_counter() - begin:.1f} s, {file.stat().st_size / 1e6:.1f} MB, {options.nodes} nodes")
        measure(file, options.repeats)


if __name__ == "__main__":
    main()
