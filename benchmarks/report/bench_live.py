"""How far the live page is behind a search of many plans, and what following it costs. Needs Chromium and playwright.

    python benchmarks/report/bench_live.py [--nodes 10000] [--seconds 30] [--pause 0.1]

A made-up run of so many plans goes on in a process of its own, with a pause after each ticket, while a page follows it through
`ksearch ui`, in another process. The delay of a node is from its event's time to the redraw that shows it. Printed as JSON, seconds.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from made_up import grow, make_run

from ksearch.store.events import ArmOpenedEvent, parse_event
from ksearch.store.log import EventLog

WATCH = """() => {
  window.seen = {};
  window.busy = [];
  const note = (data) => { for (const node of data.nodes) window.seen[node.id] ??= Date.now() / 1000; };
  note(ksearch.data);
  ksearch.on("data", note);
  new PerformanceObserver((list) => window.busy.push(...list.getEntries().map((entry) => entry.duration))).observe({ type: "longtask" });
}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--pause", type=float, default=0.1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        runs = make_run(Path(folder), options.nodes)
        command = [sys.executable, "-m", "ksearch", "ui", "made-up", "--json", "--runs-dir", str(runs)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            try:
                followed = follow(server.pid, json.loads(server.stdout.readline())["url"], runs, options)
            finally:
                server.terminate()
        new = {node: at for node, at in opened_at(runs).items() if at > followed.began}
    delays = sorted(followed.seen[str(node)] - at for node, at in new.items() if str(node) in followed.seen)
    figures = {
        "nodes": options.nodes,
        "new_nodes": len(new),
        "never_seen": len(new) - len(delays),
        "delay_median_s": statistics.median(delays),
        "delay_max_s": delays[-1],
        "page_long_tasks": len(followed.busy),
        "page_longest_task_s": max(followed.busy, default=0) / 1000,
        "server_cpu_share": followed.share,
    }
    print(json.dumps(figures, indent=1))


@dataclass(frozen=True)
class Followed:
    """When the page first showed each node (seconds since the epoch), its long tasks (ms), the server's processor time over time."""

    seen: dict[str, float]
    busy: list[float]
    began: float
    share: float


def follow(pid: int, url: str, runs: Path, options: argparse.Namespace) -> Followed:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(url)
        page.wait_for_selector("#controls .standing", timeout=120_000)
        page.evaluate(WATCH)
        writer = multiprocessing.get_context("spawn").Process(target=grow, args=(runs, options.pause, options.seconds))
        began, before = time.time(), cpu_of(pid)
        writer.start()
        while writer.is_alive():
            page.wait_for_timeout(200)
        share = (cpu_of(pid) - before) / (time.time() - began)
        page.wait_for_timeout(4000)
        followed = Followed(page.evaluate("window.seen"), page.evaluate("window.busy"), began, share)
        browser.close()
    return followed


def opened_at(runs: Path) -> dict[int, float]:
    with EventLog.open_reader(runs / "made-up" / "run.sqlite") as log:
        events = [(parse_event(stored.payload), stored.time) for stored in log.events()]
    return {event.node: at for event, at in events if isinstance(event, ArmOpenedEvent)}


def cpu_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


if __name__ == "__main__":
    main()
