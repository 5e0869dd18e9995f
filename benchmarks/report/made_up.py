"""Made-up runs for the page: random gains and failures through the real tree and log, with kernels that differ as real ones do."""

from __future__ import annotations

import random
import time
from pathlib import Path

from ksearch.definitions.schema import BuildSpec, Solution, SourceFile
from ksearch.judge.verdict import JUDGE_VERSION, Evidence, Stage, Status, Verdict, WorkloadResult
from ksearch.settings import Settings
from ksearch.store.events import CandidateWritten, EvaluationSettled, Event, IncumbentChanged, RootSettled, RunCreated
from ksearch.store.journal import Journal
from ksearch.store.log import EventLog
from ksearch.tree.types import Action, Failed, Measured, Propose, Proposed, Write

LINES = 380
REGIMES = ("short", "medium", "long")
BASELINE_US = 4000.0


def make_run(folder: Path, nodes: int) -> Path:
    """Writes a run `made-up` of `nodes` plans below `folder`; each plan has a kernel of its own and its verdict."""
    settings, rng = Settings(definition="made-up"), random.Random(0)
    with EventLog.create(folder / "made-up" / "run.sqlite") as log:
        header = RunCreated(
            run="made-up", ksearch_version="0", judge_version=JUDGE_VERSION, settings=log.put_blob(settings.model_dump_json().encode()),
            definition="", definition_name="made-up", workloads="", subset="", baseline=None, start=None, seed=0, device="cuda:0",
            device_name="no device", family=None,
        )  # fmt: skip
        journal = Journal.create(log, header, settings)
        journal.record(RootSettled(candidate=None, reward=0.0, sigma_noise=0.02))
        maker = Maker(journal, rng)
        while len(maker.tree) < nodes:
            maker.step()
    return folder


def grow(folder: Path, pause_s: float, seconds: float) -> None:
    """Goes on with the run, a ticket at a time with a pause after each."""
    with EventLog.open_writer(folder / "made-up" / "run.sqlite") as log:
        maker, end = Maker(Journal.reopen(log), random.Random(1)), time.monotonic() + seconds
        while time.monotonic() < end:
            maker.step()
            time.sleep(pause_s)


class Maker:
    """Settles tickets: seven in ten kernels pass, with gains around nothing."""

    def __init__(self, journal: Journal, rng: random.Random) -> None:
        assert journal.state.tree is not None
        self.journal, self.rng, self.tree = journal, rng, journal.state.tree
        self.plain = [f"  acc_{line} = fma(a[{line}], b[{line * 7 % 64}], acc_{line % 16});" for line in range(LINES)]
        self.codes: dict[int, list[str]] = {}

    def step(self) -> None:
        asked = self.tree.ask(1, self.rng)
        self.journal.record_changes(asked.changes, gpu_seconds=2.0)
        for ticket in asked.tickets:
            self.settle(ticket)

    def settle(self, ticket: Propose | Write) -> None:
        if isinstance(ticket, Propose):
            actions = tuple(self._action() for _ in range(ticket.count))
            self.journal.record_changes(self.tree.tell(ticket.ticket, Proposed(actions)))
            return
        passed = self.rng.random() < 0.7
        reward = (self.tree.own_best(self.tree.parent(ticket.node)) or 0.0) + self._gain(ticket) if passed else None
        best = self.tree.incumbent_reward
        number = len(self.journal.state.candidates)
        self.journal.record(*self._judged(ticket, number, reward))
        self.journal.record_changes(self.tree.tell(ticket.ticket, Failed("compile") if reward is None else Measured(reward)))
        if reward is not None and reward > best:
            self.journal.record(IncumbentChanged(candidate=number, latency_us=BASELINE_US * 2.7**-reward, baseline_us=BASELINE_US))

    def _gain(self, ticket: Write) -> float:
        """The longer a plan, the less is left to gain: the first steps gain some 15 %, from the fifth on they mostly cost."""
        return self.rng.gauss(0.2 - 0.05 * len(ticket.plan), 0.1)

    def _action(self) -> Action:
        rng = self.rng
        return Action(
            f"technique-{rng.randrange(40)}", "target", str(rng.randrange(10**9)), "say in a few words what the step does",
            rng.random() / 2, 0.3, 0.8, 2, "Because something about the kernel says so, in a sentence of a usual length.",
        )  # fmt: skip

    def _judged(self, ticket: Write, number: int, reward: float | None) -> tuple[Event, ...]:
        solution = self._solution(ticket)
        log, latency = self.journal.log, None if reward is None else BASELINE_US * 2.7**-reward
        verdict = self._verdict(solution, latency)
        return (
            CandidateWritten(
                candidate=number, ticket=ticket.ticket, node=ticket.node, solution=log.put_blob(solution.model_dump_json().encode()),
                digest=solution.digest, name=solution.name, language="cuda", origin="playbook",
            ),
            EvaluationSettled(
                candidate=number, kind="evaluate", verdict=log.put_blob(verdict.model_dump_json().encode()), status=verdict.status.value,
                stage=None if latency else "compile", message=None if latency else "error: no such register", reward=reward,
                latency_us=latency, baseline_us=BASELINE_US if latency else None, paired_gain=None, promoted=False,
                device_seconds=1.0, wall_seconds=1.0,
            ),
        )  # fmt: skip

    def _solution(self, ticket: Write) -> Solution:
        """The parent's lines with a few of them rewritten in two places."""
        code = list(self.codes.get(self.tree.parent(ticket.node), self.plain))
        for start in self.rng.sample(range(LINES - 8), 2):
            for line in range(start, start + self.rng.randrange(1, 8)):
                code[line] = f"  acc_{line} = mma_{self.rng.randrange(64)}(tile[{self.rng.randrange(512)}], acc_{line % 16});"
        self.codes[ticket.node] = code
        spec = BuildSpec(language="cuda", target_hardware=("cuda",), entry_point="kernel.cu::run")
        text = f"// {ticket.ticket}\n" + "\n".join(code) + "\n"
        sources = (SourceFile(path="kernel.cu", content=text),)
        return Solution(name=f"made-up-{ticket.ticket}", definition="made-up", author="nobody", spec=spec, sources=sources)

    def _verdict(self, solution: Solution, latency: float | None) -> Verdict:
        if latency is None:
            evidence = Evidence(message="error: no such register", log="kernel.cu(17): error: no such register\n" * 12)
            return Verdict(job="j", solution=solution.digest, status=Status.COMPILE_ERROR, stage=Stage.COMPILE, evidence=evidence)
        rows = tuple(
            WorkloadResult(
                uuid=f"{index:08d}-0000-4000-8000-000000000000", regime=REGIMES[index % 3], weight=0.1,
                latency_us=latency * (1 + index / 10) * self.rng.uniform(0.98, 1.02), baseline_us=BASELINE_US, max_abs_error=1e-3,
            )
            for index in range(10)
        )  # fmt: skip
        return Verdict(job="j", solution=solution.digest, status=Status.PASSED, workloads=rows, timer="cupti", noise_ln=0.01)
