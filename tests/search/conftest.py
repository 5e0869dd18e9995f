"""A small real search: a catalogue of toy techniques, the real tree, log and loop, and the packaged fake evaluator."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ksearch.coder.types import Draft, NothingToWrite, Target, WriteRequest
from ksearch.definitions.schema import BuildSpec, Definition, Solution, SourceFile, Workload
from ksearch.evaluators.base import Evaluator
from ksearch.evaluators.fake import FakeEvaluator
from ksearch.jobs import JobFactory
from ksearch.judge.verdict import JUDGE_VERSION, JudgedWorkload
from ksearch.parts import Parts
from ksearch.search import Search
from ksearch.settings import BudgetSettings, EvaluationSettings, Settings
from ksearch.store.events import Opened, RunCreated, RunEnded
from ksearch.store.journal import Journal
from ksearch.store.log import EventLog
from ksearch.worldmodel.catalogue import Catalogue, Technique
from ksearch.worldmodel.playbook import PlaybookPlanner

DEFINITION = Definition.model_validate(
    {
        "name": "toy", "op_type": "toy", "axes": {"n": {"type": "var"}},
        "inputs": {"x": {"shape": ["n"], "dtype": "float32"}}, "outputs": {"y": {"shape": ["n"], "dtype": "float32"}},
        "reference": "def run(x):\n    return x\n",
    }
)  # fmt: skip
TARGET = Target("cpu", None, ("python",))


def technique(name: str, needs: tuple[str, ...] = ()) -> Technique:
    return Technique(
        id=name, target="code", sets={name: True}, intent=name, rationale=name, gain_mean=0.3, gain_sd=0.3,
        p_success=0.8, difficulty=1, needs=dict.fromkeys(needs, (True,)),
    )  # fmt: skip


CATALOGUE = Catalogue(
    "toy",
    dict.fromkeys("abcdefg", False),
    (*map(technique, "abcd"), technique("e", ("a",)), technique("f", ("b",)), technique("g", ("e",))),
)


@dataclass(frozen=True)
class ToyCoder:
    """Code that names its configuration; `same` makes some techniques leave the code as it is."""

    same: frozenset[str] = frozenset()
    name: str = "toy"

    def write(self, request: WriteRequest) -> Draft | NothingToWrite:
        if request.attempt > 1:
            return NothingToWrite("one code for each plan")
        config = CATALOGUE.config(request.plan)
        return Draft(solution_of("".join(sorted(key for key, value in config.items() if value and key not in self.same))), self.name)


def solution_of(text: str) -> Solution:
    spec = BuildSpec(language="python", target_hardware=("cpu",), entry_point="kernel.py::run")
    source = SourceFile(path="kernel.py", content=f"# {text or 'plain'}\ndef run(x, y):\n    y.copy_(x)\n")
    return Solution(name=f"toy-{text or 'plain'}", definition="toy", author="test", spec=spec, sources=(source,))


@dataclass
class Bench:
    """Makes searches over one folder; `reopen` continues the same log."""

    folder: Path
    settings: Settings
    coder: ToyCoder = field(default_factory=ToyCoder)
    parallel: int = 1
    evaluator: Callable[[], Evaluator] = field(default_factory=lambda: lambda: FakeEvaluator(seed=5, failure_rate=0.2))
    stop: threading.Event = field(default_factory=threading.Event)
    journal: Journal | None = None
    name: str = "r"

    def parts(self) -> Parts:
        workloads = tuple(
            JudgedWorkload(workload=Workload(axes={"n": n}, inputs={"x": {"type": "random"}}, uuid=f"w{n}"), regime="all", weight=0.5)  # type: ignore[dict-item]
            for n in (1, 2)
        )
        jobs = JobFactory(DEFINITION, workloads, workloads[:1], None, "cpu", TARGET, self.settings, None)
        return Parts(PlaybookPlanner(CATALOGUE), self.coder, self.evaluator(), jobs, (Draft(solution_of(""), "playbook"),), self.parallel)

    def create(self) -> Journal:
        log = EventLog.create(self.folder / "run.sqlite")
        header = RunCreated(
            run=self.name, ksearch_version="0", judge_version=JUDGE_VERSION,
            settings=log.put_blob(self.settings.model_dump_json().encode()),
            definition="", definition_name="toy", workloads="", subset="", baseline=None, start=None, seed=1, device="cpu",
            device_name="cpu", family="toy",
        )  # fmt: skip
        self.journal = Journal.create(log, header, self.settings)
        return self.journal

    def reopen(self) -> Journal:
        assert self.journal is not None
        self.journal.log.close()
        self.journal = Journal.reopen(EventLog.open_writer(self.folder / "run.sqlite"))
        return self.journal

    def search(self) -> RunEnded:
        journal = self.journal or self.create()
        parts = self.parts()
        try:
            journal.record(Opened(pid=1, resumed=False, environment={}))
            return Search(journal, parts, self.stop).run()
        finally:
            parts.evaluator.close()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    settings = Settings(definition="toy", budget=BudgetSettings(max_evaluations=20), evaluation=EvaluationSettings())
    return Bench(tmp_path / "run", settings)
