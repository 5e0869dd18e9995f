"""What a run's records say of its world model, its predictions and its models' spending."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from ksearch.records.model import RunRecord
from ksearch.records.reading import StoredRun
from ksearch.report.compare import comparison_lines
from ksearch.report.comparison import comparison_of
from ksearch.report.explain import story_lines
from ksearch.report.story import story_of
from ksearch.store.log import EventLog
from tests.llm.brain import code, plan, proposal, task_of, write
from tests.llm.conftest import Bench
from tests.llm.messages_server import Body, Error, Say, prompt_of, serving

HYPOTHESIS: dict[str, Any] = {
    "op": "insert", "kind": "hypothesis", "ids": [], "texts": ["bound by launches"], "refuted_by": "one launch is no faster", "nodes": [],
}  # fmt: skip
UNFOUNDED: dict[str, Any] = {"op": "insert", "kind": "lesson", "ids": [], "texts": ["tiles pay"], "refuted_by": "", "nodes": [99]}


def brain(body: Body) -> Say | Error:
    """Each plan but the first draws a lesson from the measured nodes it is shown."""
    text = prompt_of(body)
    if task_of(body) != "plan":
        step = re.search(r"## The step to take now\n\n(\w+)", text)
        assert step is not None
        return write(code(1.0 + 0.1 * int(step[1].rpartition("_")[2]), step[1], "RUNTIME_ERROR" if step[1].endswith("4") else None))
    measured = [int(node) for node in re.findall(r"node (\d+): [^\n]*measured \d", text)]
    lesson = {"op": "insert", "kind": "lesson", "ids": [], "texts": [f"from {measured}"], "refuted_by": "", "nodes": measured}
    edits = [HYPOTHESIS, UNFOUNDED] if "bound by launches" not in text else [lesson] if measured and "from [" not in text else []
    first = len(re.findall("idea_", text))
    return plan([proposal(f"idea_{first + i}") for i in range(1, 7)], edits)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with serving(brain) as server:
        bench = Bench(tmp_path / "run", server.url, {"budget": {"max_evaluations": 14}}, parallel=1)
        bench.search()
    assert bench.journal is not None
    bench.journal.log.close()
    return bench.folder


def test_each_revision_is_kept_with_its_evidence(folder: Path) -> None:
    with StoredRun(_log(folder)) as run:
        record = run.record()
        first, second = record.world_model_history[:2]
        assert [entry.text for entry in first.entries] == ["bound by launches"]
        assert first.entries[0].refuted_by == "one launch is no faster"
        assert [change.op for change in first.changes] == ["insert"]
        assert len(first.refused) == 1
        assert "99" in first.refused[0]
        lesson = second.entries[1]
        assert lesson.kind == "lesson"
        assert lesson.evidence, "a lesson rests on plans"
        for cited in lesson.evidence:
            node = record.nodes[cited.node]
            assert node.action is not None
            assert cited.key == node.action.key
            assert cited.gain is not None
        assert first.evaluations < second.evaluations
        earlier = run.record(second.seq - 1)
    assert earlier.world_model_history == record.world_model_history[:1], "nothing later shows"
    assert RunRecord.model_validate_json(record.model_dump_json()) == record


def test_predictions_are_scored_beside_constants(folder: Path) -> None:
    with StoredRun(_log(folder)) as run:
        record = run.record()
    said = record.predictions
    assert said is not None
    gains = [node.gain for node in record.nodes if node.gain is not None and node.action is not None]
    assert said.claims == len(gains)
    assert said.crps is not None
    assert said.constant_crps is not None
    assert said.constant_crps < said.crps, "this planner always claims the same, and not what comes"
    passed = [node for node in record.nodes[1:] if node.own_best is not None]
    closed = [node for node in record.nodes[1:] if node.status == "closed"]
    assert said.decided == len(passed) + len(closed)
    assert said.brier == pytest.approx((len(passed) * 0.2**2 + len(closed) * 0.8**2) / said.decided)


def test_spending_by_role_adds_up_to_the_ledger(folder: Path) -> None:
    with StoredRun(_log(folder)) as run:
        record, calls = run.record(), run.state().calls
    assert {role.role for role in record.spending} == {"planner", "coder"}
    assert sum(role.calls for role in record.spending) == len(calls)
    tokens = sum(role.input + role.cached + role.written + role.output + role.unseen for role in record.spending)
    assert tokens == record.budget["tokens"].spent
    assert sum(role.usd for role in record.spending) == pytest.approx(record.budget["usd"].spent)


def test_a_story_and_a_comparison_tell_the_score(folder: Path) -> None:
    with StoredRun(_log(folder)) as run:
        record = run.record()
        node = next(node for node in record.nodes if node.gain is not None and node.action is not None)
        story = story_of(run, node.id)
        assert story.predictions == record.predictions
        assert "the claim's CRPS is" in "\n".join(story_lines(story))


def test_runs_are_compared_with_what_they_went_without(tmp_path: Path) -> None:
    runs = []
    for name, changes in (("whole", {}), ("bare", {"world_model": False, "merge": False})):
        with serving(brain) as server:
            bench = Bench(tmp_path / name, server.url, {"budget": {"max_evaluations": 5}, **changes}, parallel=1, name=name)
            bench.search()
        assert bench.journal is not None
        bench.journal.log.close()
        runs.append(StoredRun(_log(bench.folder)))
    lines = "\n".join(comparison_lines(comparison_of(runs)))
    for run in runs:
        run.close()
    assert "puct, no world model, no merge" in lines
    assert "CRPS" in lines


def _log(folder: Path) -> EventLog:
    return EventLog.open_reader(folder / "run.sqlite")
