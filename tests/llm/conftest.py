"""Searches whose planner and coder ask a loopback server through the real SDK; the evaluator is the packaged fake."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ksearch.coder.types import Draft, Target
from ksearch.definitions.schema import BuildSpec, Definition, Solution, SourceFile, Workload
from ksearch.devices import Device
from ksearch.evaluators.fake import FakeEvaluator
from ksearch.judge.verdict import JUDGE_VERSION, JudgedWorkload
from ksearch.parts import Parts
from ksearch.prepare import ModelParts, Setup, jobs_of, model_parts
from ksearch.search import Search
from ksearch.settings import Settings
from ksearch.store.events import Opened, RunCreated, RunEnded
from ksearch.store.fold import RunState
from ksearch.store.journal import Journal
from ksearch.store.log import EventLog
from tests.llm.messages_server import Server

KEY = "sk-loopback-0123456789"
DEFINITION = Definition.model_validate(
    {
        "name": "toy", "op_type": "toy", "axes": {"n": {"type": "var"}},
        "inputs": {"x": {"shape": ["n"], "dtype": "float32"}}, "outputs": {"y": {"shape": ["n"], "dtype": "float32"}},
        "reference": "def run(x):\n    return x\n",
    }
)  # fmt: skip
TARGET = Target("cpu", None, ("python",))
ROOT = Solution(
    name="plain", definition="toy", author="test",
    spec=BuildSpec(language="python", target_hardware=("cpu",), entry_point="kernel.py::run"),
    sources=(SourceFile(path="kernel.py", content='# toy: {"speedup": 1.0}\ndef run(x, y):\n    y.copy_(x)\n'),),
)  # fmt: skip


@dataclass
class Bench:
    """One run's folder; `search` goes on with it, over a desk and connections of its own."""

    folder: Path
    url: str
    changes: dict[str, Any] = field(default_factory=dict)
    parallel: int = 2
    name: str = "r"
    stop: threading.Event = field(default_factory=threading.Event)
    journal: Journal | None = None

    def settings(self) -> Settings:
        llm = {"anthropic_url": self.url, "backoff_s": 0.002, "stall_s": 5.0, **self.changes.get("llm", {})}
        rest = {name: value for name, value in self.changes.items() if name != "llm"}
        base = {"definition": "toy", "planner": "llm", "coder": "llm", "evaluator": "fake", "budget": {"max_evaluations": 12}}
        return Settings.model_validate({**base, **rest, "llm": llm})

    def setup(self) -> Setup:
        members = tuple(
            JudgedWorkload(workload=Workload(axes={"n": n}, inputs={"x": {"type": "random"}}, uuid=f"w{n}"), regime="all", weight=0.5)  # type: ignore[dict-item]
            for n in (1, 2)
        )
        return Setup(self.settings(), DEFINITION, members, members[:1], None, ROOT, Device("cpu", "test cpu", None), TARGET, ())

    def parts(self, models: ModelParts | None = None) -> Parts:
        setup = self.setup()
        models = models or model_parts(setup)
        roots = (Draft(ROOT, "start"),)
        return Parts(models.planner, models.coder, FakeEvaluator(seed=5), jobs_of(setup), roots, self.parallel, models=models.desk)

    def create(self) -> Journal:
        log, settings = EventLog.create(self.folder / "run.sqlite"), self.settings()
        header = RunCreated(
            run=self.name, ksearch_version="0", judge_version=JUDGE_VERSION, settings=log.put_blob(settings.model_dump_json().encode()),
            definition=log.put_blob(DEFINITION.model_dump_json().encode()), definition_name="toy",
            workloads="", subset="", baseline=None, start=None, seed=1, device="cpu",
            device_name="cpu", family=None,
        )  # fmt: skip
        self.journal = Journal.create(log, header, settings)
        return self.journal

    def reopen(self) -> Journal:
        assert self.journal is not None
        self.journal.log.close()
        self.journal = Journal.reopen(EventLog.open_writer(self.folder / "run.sqlite"))
        return self.journal

    def search(self, models: ModelParts | None = None) -> RunEnded:
        journal, parts = self.journal or self.create(), self.parts(models)
        try:
            journal.record(Opened(pid=1, resumed=False, environment={}))
            return Search(journal, parts, self.stop).run()
        finally:
            parts.evaluator.close()

    @property
    def state(self) -> RunState:
        assert self.journal is not None
        return self.journal.state


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)


def bench_of(folder: Path, server: Server, **changes: Any) -> Bench:
    return Bench(folder / "run", server.url, changes)
