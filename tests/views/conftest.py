"""A searched run with the packaged fake judge, and one made event by event with text that means harm."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ksearch.definitions.untrusted import BIDI
from ksearch.judge.verdict import JUDGE_VERSION, Evidence, Stage, Status, Verdict
from ksearch.records.reading import StoredRun
from ksearch.settings import BudgetSettings, Settings
from ksearch.store.events import CandidateWritten, EvaluationSettled, Opened, RootSettled, RunCreated
from ksearch.store.journal import Journal
from ksearch.store.log import EventLog
from ksearch.tree.types import Action, Failed, Proposed
from tests.search.conftest import Bench

HOSTILE = "a\x1b[31mred\x1b]0;owned\x07\r\n\x9b2J\u202eevil\u2066\u200b<script>alert(1)</script>[bold]=cmd|' /C calc'!A1\"\\N"
"""Terminal escapes (7 and 8 bit), a carriage return, direction overrides, HTML, rich markup, a formula, a DOT escape."""


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Read only: all tests share it."""
    return searched(tmp_path_factory.mktemp("searched"), 20)


def searched(folder: Path, evaluations: int, name: str = "r", **settings: object) -> Path:
    """A finished search with the packaged fake judge."""
    chosen = Settings.model_validate({"definition": "toy", "budget": BudgetSettings(max_evaluations=evaluations), **settings})
    bench = Bench(folder, chosen, name=name)
    bench.search()
    assert bench.journal is not None
    bench.journal.log.close()
    return folder


@pytest.fixture
def run(folder: Path) -> Iterator[StoredRun]:
    with StoredRun.open(str(folder)) as opened:
        yield opened


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A run of two nodes in which every text that a stranger controls is HOSTILE."""
    folder = tmp_path / "hostile"
    folder.mkdir()
    settings = Settings(definition="toy")
    with EventLog.create(folder / "run.sqlite") as log:
        header = RunCreated(
            run=HOSTILE, ksearch_version="0", judge_version=JUDGE_VERSION, settings=log.put_blob(settings.model_dump_json().encode()),
            definition="", definition_name=HOSTILE, workloads="", subset="", baseline=None, start=None, seed=0, device="cpu",
            device_name=HOSTILE, family=None,
        )  # fmt: skip
        journal = Journal.create(log, header, settings)
        journal.record(
            Opened(pid=1, resumed=False, environment={"driver": HOSTILE}), RootSettled(candidate=None, reward=0.0, sigma_noise=0.02)
        )
        tree = journal.state.tree
        assert tree is not None
        action = Action(HOSTILE, HOSTILE, HOSTILE, HOSTILE, 0.5, 0.3, 0.8, 2, HOSTILE, HOSTILE)
        (ask,) = _asked(journal)
        journal.record_changes(tree.tell(ask, Proposed((action,))))
        (write,) = _asked(journal)
        solution = _solution_json()
        verdict = Verdict(
            job="j", solution="0" * 64, status=Status.COMPILE_ERROR, stage=Stage.COMPILE,
            evidence=Evidence(message=HOSTILE, workload=HOSTILE, element=HOSTILE, log=HOSTILE, reproduce=HOSTILE),
        )  # fmt: skip
        journal.record(
            CandidateWritten(
                candidate=0, ticket=write, node=1, solution=log.put_blob(solution.encode()), digest="0" * 64, name=HOSTILE,
                language=HOSTILE, origin=HOSTILE,
            ),
            EvaluationSettled(
                candidate=0, kind="evaluate", verdict=journal.put_verdict(verdict), status=HOSTILE, stage=HOSTILE,
                message=HOSTILE, reward=None, latency_us=None, baseline_us=None, paired_gain=None, promoted=False,
                device_seconds=1.0, wall_seconds=1.0,
            ),
        )  # fmt: skip
        journal.record_changes(tree.tell(write, Failed("compile")))
    return folder


def _asked(journal: Journal) -> list[int]:
    import random

    assert journal.state.tree is not None
    asked = journal.state.tree.ask(1, random.Random(0))
    journal.record_changes(asked.changes)
    return [ticket.ticket for ticket in asked.tickets]


def _solution_json() -> str:
    from ksearch.definitions.schema import BuildSpec, Solution, SourceFile

    spec = BuildSpec(language="python", target_hardware=("cpu",), entry_point="kernel.py::run")
    shown = "".join(letter for letter in HOSTILE if letter not in BIDI)  # sources with those are refused wherever they are read
    source = SourceFile(path="kernel.py", content=f"# {shown}\ndef run(x, y):\n    pass\n")
    name = "".join(filter(str.isprintable, HOSTILE))
    return Solution(name=name, definition="toy", author=name, spec=spec, sources=(source,)).model_dump_json()


def printable(text: str) -> bool:
    """Nothing but printable characters and line ends."""
    return all(line.isprintable() for line in text.split("\n"))
