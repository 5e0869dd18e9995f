"""How well the judge's numbers repeat: the same kernel judged again and again, a kernel against itself, and against one 3 % slower.

    python benchmarks/judge/repeat.py [--device cuda] [--out repeat.jsonl] [--seconds 440]
                                      [--judgements 20] [--trials 100] [--differences 40]

Each result is a line of the file as soon as it is there; called again with the same file it goes on where it stopped, and prints
the figures of all lines as JSON:

- judgements: of one kernel with a workload under and one over 10 us (on a GPU); p90 / p10 - 1, and p90 - p10 in us, by workload
- equal: contests of a kernel against itself; the share called a difference (an interval that excludes zero), and promoted
- slower: contests against a kernel that does 3 % more of the same; the share promoted, and what the difference truly was (median)

Judgements have fresh processes; contests keep theirs on a GPU (a context takes seconds to make), as within a promotion.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from ksearch.definitions.catalog import load_definition
from ksearch.definitions.schema import BuildSpec, Language, Solution, SourceFile, Workload
from ksearch.devices import resolve
from ksearch.judge.cascade import Cascade
from ksearch.judge.judge import Judge
from ksearch.judge.paired import Contest, cpu_sentinel, cuda_sentinel, pair
from ksearch.judge.seeds import Seeds
from ksearch.judge.session import Session
from ksearch.judge.verdict import Job, JudgedWorkload, PairedResult

DEFINITION = load_definition("rmsnorm")
TRITON = """
import triton
import triton.language as tl

@triton.jit
def kernel(x, w, out, H: tl.constexpr, TIMES):
    row, column = tl.program_id(0), tl.arange(0, H)
    value = tl.load(x + row * H + column).to(tl.float32)
    scale = tl.load(w + column).to(tl.float32)
    mean = tl.sum(value * value, axis=0) / H
    for _ in range(TIMES):
        mean = mean * 0.5 + tl.sum(value * value * (1 + 1e-12 * mean), axis=0) / H * 0.5
    tl.store(out + row * H + column, (value * tl.rsqrt(mean + 1e-5) * scale).to(tl.bfloat16))

def run(x, w, out):
    kernel[(x.shape[0],)](x, w, out, H=x.shape[1], TIMES={times}, num_warps=8)
"""
TORCH = """
import torch

def run(x, w, out):
    for _ in range({times}):
        f = x.float()
        y = f * torch.rsqrt(f.square().mean(-1, keepdim=True) + 1e-5) * w.float()
    out.copy_(y)
"""
ROWS = {"cuda": (16, 2048), "cpu": (16, 64)}
REPEATS = {"cuda": (0, 400, 412), "cpu": (1, 100, 103)}
"""How often the kernel does its work: judged, in contests, and the one 3 % slower."""


def solution(kind: str, times: int, note: str) -> Solution:
    language: Language = "triton" if kind == "cuda" else "python"
    source = (TRITON if kind == "cuda" else TORCH).replace("{times}", str(times)) + f"# {note}\n"
    spec = BuildSpec(language=language, target_hardware=(kind,), entry_point="kernel.py::run")
    return Solution(
        name=f"repeat-{times}",
        definition=DEFINITION.name,
        author="repeat",
        spec=spec,
        sources=(SourceFile(path="kernel.py", content=source),),
    )


class Bench:
    """A judge and the jobs of this benchmark."""

    def __init__(self, device: str) -> None:
        self.device, self.kind, self.judge = device, device.partition(":")[0], Judge()

    def close(self) -> None:
        self.judge.close()

    def job(self, candidate: Solution, rows: Sequence[int]) -> Job:
        inputs = {name: {"type": "random"} for name in DEFINITION.inputs}
        made = [Workload.model_validate({"axes": {"batch_size": count}, "inputs": inputs, "uuid": f"rows-{count}"}) for count in rows]
        judged = tuple(JudgedWorkload(workload=workload, regime="all", weight=1 / len(made)) for workload in made)
        return Job(
            job="repeat", kind="evaluate", definition=DEFINITION, solution=candidate, workloads=judged, device=self.device, timed_calls=20
        )

    def judgement(self) -> dict[str, Any]:
        verdict = self.judge.judge(self.job(solution(self.kind, REPEATS[self.kind][0], "judged"), ROWS[self.kind]))
        times = {row.uuid: row.latency_us for row in verdict.workloads}
        return {"status": verdict.status.value, "times_us": times, "seconds": verdict.wall_seconds}

    @contextmanager
    def contests(self, slower: bool) -> Iterator[Any]:
        """A function that holds one contest."""
        rows = ROWS[self.kind][-1:]
        _, times, more = REPEATS[self.kind]
        contestants = solution(self.kind, times, "first"), solution(self.kind, more if slower else times, "second")
        job = self.job(contestants[0], rows)
        seeds = Seeds(None)
        bench = self.judge._bench(self.device)
        cascade = Cascade(job, bench, self.judge._oracle(job, seeds, bench.device), seeds)
        cascade.deadline = math.inf
        artefacts = [cascade._compile(found).artefact for found in contestants]
        sentinel = cuda_sentinel(bench.device.index) if bench.device.cuda else cpu_sentinel()
        workloads = [item.workload for item in job.workloads]

        def open_both() -> list[Session]:
            return [cascade.open(found, path) for found, path in zip(contestants, artefacts, strict=True)]

        first = open_both()
        known = bench.clock.time(cascade.checker, first[0], workloads, 5)
        kept = first if bench.device.cuda else []
        if not kept:
            for session in first:
                session.close()
        held = 0

        def contest() -> PairedResult:
            nonlocal held
            held += 1

            def open_block(number: int) -> Contest:
                sessions = kept or open_both()
                label = held * 100 + number
                duel = bench.clock.duel
                return Contest(lambda watch: duel(cascade.checker, sessions, workloads, label, known, watch), [] if kept else sessions)

            return pair(open_block, {workload.uuid: 1.0 for workload in workloads}, "mean", sentinel)

        try:
            yield contest
        finally:
            for session in kept:
                session.close()


class Record:
    """The file of results."""

    def __init__(self, path: Path, seconds: float) -> None:
        self.path, self.end = path, time.monotonic() + seconds
        self.lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def of(self, what: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["what"] == what]

    def wants(self, what: str, count: int) -> bool:
        return len(self.of(what)) < count and time.monotonic() < self.end

    def add(self, what: str, found: dict[str, Any]) -> None:
        line = {"what": what, **found}
        self.lines.append(line)
        with self.path.open("a") as out:
            out.write(json.dumps(line) + "\n")
        print(json.dumps(line), file=sys.stderr, flush=True)


def measure(record: Record, bench: Bench, given: argparse.Namespace) -> None:
    while record.wants("judgements", given.judgements):
        record.add("judgements", bench.judgement())
    for what, slower, count in (("equal", False, given.trials), ("slower", True, given.differences)):
        if not record.wants(what, count):
            continue
        with bench.contests(slower) as contest:
            while record.wants(what, count):
                begin = time.monotonic()
                found = contest()
                record.add(what, {**found.model_dump(mode="json"), "seconds": time.monotonic() - begin})


def summary(record: Record) -> dict[str, Any]:
    return {"judgements": _spread(record.of("judgements")), "equal": _called(record.of("equal")), "slower": _called(record.of("slower"))}


def _spread(lines: Sequence[dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {"count": len(lines), "passed": sum(line["status"] == "PASSED" for line in lines)}
    passed = [line["times_us"] for line in lines if line["status"] == "PASSED"]
    for name in passed[0] if len(passed) > 1 else ():
        cuts = statistics.quantiles([times[name] for times in passed], n=10, method="inclusive")
        found[name] = {
            "median_us": statistics.median(times[name] for times in passed), "p90_over_p10": cuts[-1] / cuts[0] - 1,
            "p90_less_p10_us": cuts[-1] - cuts[0],
        }  # fmt: skip
    return found


def _called(lines: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """ln(second / first): positive where the second is slower."""
    if not lines:
        return {"count": 0}
    return {
        "count": len(lines), "promoted": sum(line["promoted"] for line in lines) / len(lines),
        "called_different": sum(line["low"] > 0 or line["high"] < 0 for line in lines) / len(lines),
        "median_ln": statistics.median(line["mean"] for line in lines),
        "blocks": statistics.fmean(len(line["log_ratios"]) for line in lines),
        "seconds": statistics.fmean(line["seconds"] for line in lines),
    }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--out", type=Path, default=Path("repeat.jsonl"))
    parser.add_argument("--seconds", type=float, default=440.0, help="stop in time; call again to go on")
    parser.add_argument("--judgements", type=int, default=20)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--differences", type=int, default=40)
    given = parser.parse_args()
    record = Record(given.out, given.seconds)
    with closing(Bench(resolve(given.device).spec)) as bench:
        measure(record, bench, given)
    asked = {"judgements": given.judgements, "equal": given.trials, "slower": given.differences}
    whole = all(len(record.of(what)) >= count for what, count in asked.items())
    print(json.dumps({"device": given.device, "whole": whole, **summary(record)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
