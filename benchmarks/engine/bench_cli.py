"""How long the commands take that a person waits for: `--help`, and those that look into a run of many nodes.

    python benchmarks/engine/bench_cli.py [--nodes 10000] [--repeats 5]

The run is made up (random gains and failures through the real tree and log); the commands are whole processes.
"""

from __future__ import annotations

import argparse
import random
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from ksearch.definitions.schema import BuildSpec, Solution, SourceFile
from ksearch.judge.verdict import JUDGE_VERSION, Evidence, Stage, Status, Verdict, WorkloadResult
from ksearch.settings import Settings
from ksearch.store.events import CandidateWritten, EvaluationSettled, Event, RootSettled, RunCreated
from ksearch.store.journal import Journal
from ksearch.store.log import EventLog
from ksearch.tree.types import Action, Failed, Measured, Propose, Proposed, Write


def make_run(folder: Path, nodes: int) -> Path:
    """A run of `nodes` plans, each with one candidate and its verdict."""
    settings, rng = Settings(definition="made-up"), random.Random(0)
    with EventLog.create(folder / "made-up" / "run.sqlite") as log:
        header = RunCreated(
            run="made-up", ksearch_version="0", judge_version=JUDGE_VERSION, settings=log.put_blob(settings.model_dump_json().encode()),
            definition="", definition_name="made-up", workloads="", subset="", baseline=None, start=None, seed=0, device="cpu",
            device_name="nothing", family=None,
        )  # fmt: skip
        journal = Journal.create(log, header, settings)
        journal.record(RootSettled(candidate=None, reward=0.0, sigma_noise=0.02))
        tree = journal.state.tree
        assert tree is not None
        texts = Texts.stored(journal)
        while len(tree) < nodes:
            asked = tree.ask(1, rng)
            journal.record_changes(asked.changes, gpu_seconds=2.0)
            for ticket in asked.tickets:
                settle(journal, ticket, rng, texts)
    return folder


@dataclass(frozen=True)
class Texts:
    """Blobs that all candidates of the made-up run share."""

    solution: str
    passed: str
    failed: str

    @classmethod
    def stored(cls, journal: Journal) -> Texts:
        spec = BuildSpec(language="cuda", target_hardware=("cuda",), entry_point="kernel.cu::run", binding="tvm-ffi")
        sources = (SourceFile(path="kernel.cu", content="// one kernel\n" * 200),)
        solution = Solution(name="made-up", definition="made-up", author="nobody", spec=spec, sources=sources)
        rows = (WorkloadResult(uuid="w", regime="all", weight=1.0, latency_us=10.0, baseline_us=20.0),)
        passed = Verdict(job="j", solution="0" * 64, status=Status.PASSED, workloads=rows, timer="cupti")
        evidence = Evidence(message="it does not compile")
        failed = Verdict(job="j", solution="0" * 64, status=Status.COMPILE_ERROR, stage=Stage.COMPILE, evidence=evidence)
        return cls(journal.put_blob(solution.model_dump_json()), journal.put_verdict(passed), journal.put_verdict(failed))


def settle(journal: Journal, ticket: Propose | Write, rng: random.Random, texts: Texts) -> None:
    tree = journal.state.tree
    assert tree is not None
    if isinstance(ticket, Propose):
        actions = tuple(
            Action(f"technique-{rng.randrange(40)}", "target", str(rng.randrange(10**9)), "intent", rng.random(), 0.3, 0.8, 2, "because")
            for _ in range(ticket.count)
        )
        journal.record_changes(tree.tell(ticket.ticket, Proposed(actions)))
        return
    passed, number = rng.random() < 0.7, len(journal.state.candidates)
    reward = (tree.own_best(tree.parent(ticket.node)) or 0.0) + rng.gauss(0, 0.1) if passed else None
    events: tuple[Event, ...] = (
        CandidateWritten(
            candidate=number, ticket=ticket.ticket, node=ticket.node, solution=texts.solution, digest=f"{number:064d}",
            name=f"candidate-{number}", language="cuda", origin="playbook",
        ),
        EvaluationSettled(
            candidate=number, kind="evaluate", verdict=texts.passed if passed else texts.failed,
            status="PASSED" if passed else "COMPILE_ERROR",
            stage=None if passed else "compile", message=None, reward=reward, latency_us=10.0 if passed else None,
            baseline_us=20.0 if passed else None, paired_gain=None, promoted=False, device_seconds=1.0, wall_seconds=1.0,
        ),
    )  # fmt: skip
    outcome = Measured(reward) if reward is not None else Failed("compile")
    journal.record(*events)
    journal.record_changes(tree.tell(ticket.ticket, outcome))


def seconds(arguments: list[str], repeats: int) -> list[float]:
    times = []
    for _ in range(repeats + 1):
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-m", "ksearch", *arguments], stdout=subprocess.DEVNULL, check=True)
        times.append(time.perf_counter() - begin)
    return sorted(times[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        runs = ["--runs-dir", str(make_run(Path(folder), options.nodes))]
        for name, arguments in {
            "ksearch --help": ["--help"],
            f"ksearch tree, {options.nodes} nodes": ["tree", "made-up", *runs],
            f"ksearch tree --best-path, {options.nodes} nodes": ["tree", "made-up", "--best-path", *runs],
            f"ksearch tree --json, {options.nodes} nodes": ["tree", "made-up", "--json", *runs],
            f"ksearch explain, {options.nodes} nodes": ["explain", "made-up", str(options.nodes // 2), *runs],
            f"ksearch inspect --json, {options.nodes} nodes": ["inspect", "made-up", "--json", *runs],
        }.items():
            times = seconds(arguments, options.repeats)
            print(f"{name:<40} median {statistics.median(times):.3f} s   min {times[0]:.3f}   max {times[-1]:.3f}")


if __name__ == "__main__":
    main()
