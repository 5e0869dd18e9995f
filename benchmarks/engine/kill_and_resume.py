"""A run killed with SIGKILL at random moments and resumed each time: what survives, as one JSON object.

    python benchmarks/engine/kill_and_resume.py --device cuda --definition dsa_topk --kills 4 --least 8 --most 30

Checked after each kill: no event is lost, no settled evaluation has run again, the limit holds, and nobody of the process group or
of its descendants is alive two seconds later. The whole group is killed and the process alone, by turns.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from ksearch.definitions.catalog import bundled_workloads, load_definition
from ksearch.store.events import EvaluationSettled, EvaluationStarted, parse_event
from ksearch.store.log import EventLog

GRACE_S = 2.0


@dataclass
class Trial:
    """What was seen so far."""

    events: list[int] = field(default_factory=list)
    survivors: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def arguments_of(options: argparse.Namespace, folder: str) -> list[str]:
    name, kind = load_definition(options.definition).name, "cpu" if options.device == "cpu" else "cuda"
    chosen = [workload.uuid for workload in bundled_workloads(name, kind)][:: options.every]
    return [
        "run", "--definition", options.definition, "--device", options.device, "--evaluator", options.evaluator,
        "--workloads", ",".join(chosen), "--set", "evaluation.workloads=3", "--set", "evaluation.timed_calls=5", "--seed", "3",
        "--max-evaluations", str(options.evaluations), "--name", "killed", "--runs-dir", folder, "--json",
    ]  # fmt: skip


def descendants(pid: int) -> set[int]:
    """Every process below `pid`, by the parents that /proc names."""
    below: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            below.setdefault(parent, []).append(int(entry.name))
    found, line = set[int](), [pid]
    while line:
        children = below.get(line.pop(), [])
        found.update(children)
        line += children
    return found


def alive(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def look(database: Path, trial: Trial, limit: int) -> None:
    with EventLog.open_reader(database) as log:
        events = [parse_event(stored.payload) for stored in log.events()]
    if trial.events and len(events) < trial.events[-1]:
        trial.faults.append(f"{trial.events[-1] - len(events)} events lost")
    trial.events.append(len(events))
    settled = Counter((event.candidate, event.kind) for event in events if isinstance(event, EvaluationSettled))
    again = [key for key, count in settled.items() if count > 1]
    if again:
        trial.faults.append(f"ran again after they had settled: {again}")
    if sum(kind == "evaluate" for _, kind in settled) > limit:
        trial.faults.append("more evaluations than the limit")


def kill(process: subprocess.Popen[str], *, group: bool, trial: Trial) -> None:
    below = descendants(process.pid)
    (os.killpg if group else os.kill)(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(GRACE_S)
    for pid in below:
        if alive(pid):
            trial.survivors.append((Path("/proc") / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--definition", default="dsa_topk")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--evaluator", default="local")
    parser.add_argument("--evaluations", type=int, default=8)
    parser.add_argument("--every", type=int, default=12, help="take each so many-th workload")
    parser.add_argument("--kills", type=int, default=4)
    parser.add_argument("--least", type=float, default=8.0, help="seconds before a kill")
    parser.add_argument("--most", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    chance, trial, began, kills = random.Random(options.seed), Trial(), time.monotonic(), 0
    with tempfile.TemporaryDirectory() as folder:
        database, arguments = Path(folder) / "killed" / "run.sqlite", arguments_of(options, folder)
        while True:
            command, pipe = [sys.executable, "-m", "ksearch", *arguments], subprocess.PIPE
            process = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, start_new_session=True)
            patience = chance.uniform(options.least, options.most) if kills < options.kills else 600.0
            try:
                out, error = process.communicate(timeout=patience)
                break
            except subprocess.TimeoutExpired:
                kill(process, group=kills % 2 == 0, trial=trial)
                kills += 1
            if database.exists():
                look(database, trial, options.evaluations)
                arguments = ["resume", "killed", "--runs-dir", folder, "--json"]
        look(database, trial, options.evaluations)
        with EventLog.open_reader(database) as log:
            started = sum(isinstance(parse_event(stored.payload), EvaluationStarted) for stored in log.events())
    ending = json.loads(out) if out.strip() else {"error": error[-2000:]}
    kept = ("status", "reason", "evaluations", "baseline_us", "incumbent", "budget", "cost", "device_name", "error")
    print(
        json.dumps(
            {
                "exit": process.returncode, "kills": kills, "events": trial.events, "started": started, "faults": trial.faults,
                "survivors": trial.survivors, "seconds": round(time.monotonic() - began, 1),
                "ending": {key: ending[key] for key in kept if key in ending},
            }
        )
    )  # fmt: skip
    sys.exit(bool(trial.faults or trial.survivors or process.returncode))


if __name__ == "__main__":
    main()
