"""How soon `ksearch inspect` shows something of a run of many plans, in a terminal of its own. Prints JSON.

    python benchmarks/report/bench_inspect.py [--nodes 10000] [--repeats 3]

The program runs in a pseudo-terminal; what it writes is read until its frame stands ("frame"), until the tree's rows stand in
it ("rows") and until the whole log is read ("whole"). Each as seconds on the clock and as processor time of the program,
beside that of importing it and of folding the log.
"""

from __future__ import annotations

import argparse
import json
import os
import pty
import re
import select
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from made_up import make_run

PATIENCE_S = 120.0
FRAME = re.compile(rb"reading the log")
ROWS = re.compile(rb"#1 ")
WHOLE = re.compile(rb"(?:open|done|budget|interrupted)(?: \([^)]*\))?\s+[0-9]+ plans")
PARTS = {
    "import": "import ksearch.inspector.app",
    "fold": "from ksearch.records.reading import StoredRun; StoredRun.open({run!r}).state()",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = str(make_run(Path(folder), options.nodes) / "made-up")
        figures = {name: statistics.median(alone(code.format(run=run)) for _ in range(options.repeats)) for name, code in PARTS.items()}
        starts = [started(run) for _ in range(options.repeats)]
    for name in starts[0]:
        figures[name] = statistics.median(start[name] for start in starts)
    print(json.dumps({name: round(value, 2) for name, value in figures.items()}, indent=1))


def alone(code: str) -> float:
    """Processor time of a Python that does this and nothing else."""
    timed = f"import time\n{code}\nprint(time.process_time())"
    return float(subprocess.run([sys.executable, "-c", timed], check=True, capture_output=True, text=True).stdout)


def started(run: str) -> dict[str, float]:
    began = time.perf_counter()
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(TERM="xterm-256color", COLUMNS="140", LINES="40")
        os.execv(sys.executable, [sys.executable, "-m", "ksearch", "inspect", run])
    found: dict[str, float] = {}
    written = b""
    try:
        while "whole_cpu_s" not in found and time.perf_counter() - began < PATIENCE_S:
            if select.select([terminal], [], [], 0.05)[0]:
                written += os.read(terminal, 65536)
            for name, wanted in (("frame", FRAME), ("rows", ROWS), ("whole", WHOLE)):
                if f"{name}_s" not in found and wanted.search(plain(written)):
                    found |= {f"{name}_s": time.perf_counter() - began, f"{name}_cpu_s": cpu_of(pid)}
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)
    return found


def plain(written: bytes) -> bytes:
    return re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", written)


def cpu_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
