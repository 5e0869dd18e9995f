"""How fast the event log is: durable appends each second, and opening a long run.

    python benchmarks/engine/bench_store.py [--dir FOLDER]

The folder should be on the disk that runs live on: durable appends wait for it. Targets: 1,000 durable events each second;
a run of 100,000 events opened, every one validated and folded into the tree, in under 2 s.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench_cli import make_run

from ksearch.records.reading import StoredRun
from ksearch.store.events import parse_event
from ksearch.store.filesystem import file_system
from ksearch.store.journal import read_state
from ksearch.store.log import EventLog, EventRow

LONG = 100_000
NODES = 17_000
"""Plans of a made-up run of about so many events."""


def event(number: int) -> EventRow:
    """About 400 bytes: a settled ticket with a plan key, amounts and a few latencies."""
    payload = {
        "ticket": f"t{number}",
        "plan": "tile(128)/vectorise(4)/" * 8,
        "reward": number / 7,
        "latency_us": [1.5, 2.25, 9.75] * 5,
        "usd": "0.0123",
    }
    return EventRow("ticket.settled", json.dumps(payload))


def rate(seconds: float, action: Callable[[], object]) -> float:
    """Calls of the action each second, over about so many seconds."""
    count, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds:
        action()
        count += 1
    return count / elapsed


def fsyncs(folder: Path, seconds: float) -> float:
    """What the disk itself can do: appended pages of 4 KiB, each synced."""
    with (folder / "plain").open("wb", buffering=0) as file:

        def write() -> None:
            file.write(b"x" * 4096)
            os.fdatasync(file.fileno())

        return rate(seconds, write)


def measure(folder: Path, seconds: float) -> None:
    print(f"folder {folder} on {file_system(folder)}; each event {len(event(1).payload_json)} bytes")
    print(f"plain 4 KiB write + fdatasync        {fsyncs(folder, seconds):>10,.0f} /s")
    start = time.perf_counter()
    log = EventLog.create(folder / "run" / "run.sqlite")
    print(f"create a run                         {(time.perf_counter() - start) * 1e3:>10,.1f} ms")
    with log:
        print(f"durable, one event a commit          {rate(seconds, lambda: log.append([event(1)], durable=True)):>10,.0f} events/s")
        ten = [event(n) for n in range(10)]
        print(f"durable, ten events a commit         {10 * rate(seconds, lambda: log.append(ten, durable=True)):>10,.0f} events/s")
        print(f"not durable, one event a commit      {rate(seconds, lambda: log.append([event(1)], durable=False)):>10,.0f} events/s")
    opening(folder / "long" / "run.sqlite")
    folding(make_run(folder, NODES) / "made-up" / "run.sqlite")


def folding(path: Path) -> None:
    """A run of a search: to validated events, to the state a search resumes from, and to what the views show."""
    ways: dict[str, Callable[[EventLog], object]] = {
        "typed events": lambda log: sum(1 for row in log.events() if parse_event(row.payload)),
        "folded to resume": read_state,
        "folded for a view": lambda log: StoredRun(log).state(),
    }
    for name, way in ways.items():
        start = time.perf_counter()
        with EventLog.open_reader(path) as log:
            way(log)
            print(f"open a run of {log.last_seq:,}: {name:<20} {time.perf_counter() - start:>8.3f} s   ({NODES:,} plans)")


def opening(path: Path) -> None:
    with EventLog.create(path) as log:
        for first in range(0, LONG, 1000):
            log.append([event(n) for n in range(first, first + 1000)], durable=False)
    for name, parse in (("rows", None), ("rows and json.loads", json.loads)):
        start = time.perf_counter()
        with EventLog.open_reader(path) as log:
            count = sum(1 for row in log.events() if parse is None or parse(row.payload))
        assert count == LONG
        print(f"open and read {LONG:,}: {name:<20} {time.perf_counter() - start:>8.3f} s   ({path.stat().st_size / 2**20:.0f} MiB)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dir", type=Path, default=None, help="measure in this folder (default: a temporary one)")
    parser.add_argument("--seconds", type=float, default=2.0, help="seconds for each rate")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.dir) as folder:
        measure(Path(folder), options.seconds)


if __name__ == "__main__":
    main()
