"""Knowledge that crosses runs: told with where it comes from, added once, never by a stranger."""

from __future__ import annotations

import re
import shutil
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ksearch.cli.main import app
from ksearch.errors import BadInput
from ksearch.memory.base import KnowledgeBase, base_path
from ksearch.memory.listing import add_run, forget_run
from ksearch.memory.run import add_from, recall_into
from ksearch.search import Search
from ksearch.store.events import Opened
from ksearch.store.journal import Journal, read_state
from ksearch.store.log import EventLog
from tests.llm.brain import code, plan, proposal, task_of, write
from tests.llm.conftest import Bench
from tests.llm.messages_server import Body, Error, Say, Server, prompt_of, serving
from tests.llm.test_replay import replay_of

LESSON = {"op": "insert", "kind": "lesson", "ids": [], "texts": ["wide tiles pay"], "refuted_by": "", "nodes": [1]}


def brain(body: Body) -> Say | Error:
    text = prompt_of(body)
    if task_of(body) == "plan":
        lessons: list[dict[str, Any]] = [LESSON] if re.search(r"node 1: .*?measured \d", text, re.DOTALL) else []
        return plan([proposal("tiling", parameter=str(len(text)))], lessons if "wide tiles pay [nodes" not in text else [])
    return write(code(2.0 + len(text) / 1e5, f"m{len(text)}"))


class Remembering(Bench):
    """As a session has it: told of earlier runs at the beginning, added to them at the end. Latencies pass for real."""

    def sitting(self, runs: Path) -> Journal:
        journal, parts = self.create(), self.parts()
        journal.record(Opened(pid=1, resumed=False, environment={}))
        recall_into(journal, self.setup(), runs)
        Search(journal, parts, threading.Event()).run()
        add_from(journal, self.setup(), runs)
        return journal


def remembering(runs: Path, name: str, server: Server, **changes: Any) -> Remembering:
    settings = {"evaluator": "local", "budget": {"max_evaluations": 5}, **changes}
    return Remembering(runs / name, server.url, settings, parallel=1, name=name)


def told(served: list[Body]) -> list[str]:
    return [part for part in map(prompt_of, served) if "## From earlier runs" in part]


def test_a_second_run_is_told_what_the_first_learnt_and_replays_without_it(tmp_path: Path) -> None:
    with serving(brain) as server:
        remembering(tmp_path, "first", server).sitting(tmp_path)
        assert not told(server.served.bodies), "there was nothing to tell"
        before = len(server.served.bodies)
        second = remembering(tmp_path, "second", server)
        second.sitting(tmp_path)
    prompts = told(server.served.bodies[before:])
    assert prompts
    assert "- wide tiles pay [first: toy, cpu]" in prompts[0]
    assert re.search(r"- tiling: passed \d of \d, on average \d\.\d\dx \[first\]", prompts[0])
    belief = second.state.beliefs.belief("tiling")
    assert belief.prior_mean != 0.0
    assert belief.gains == sum(c.settled is not None for c in second.state.candidates.values()) - 1, "only its own measurements count"
    (tmp_path / "knowledge.jsonl").unlink()
    replay_of(second, tmp_path)


def test_adding_again_counts_once_and_copies_are_the_same_run(tmp_path: Path) -> None:
    with serving(brain) as server:
        bench = remembering(tmp_path, "first", server)
        journal = bench.sitting(tmp_path)
    base = KnowledgeBase(base_path(tmp_path, {}))
    once = base.contributions()
    add_from(journal, bench.setup(), tmp_path)
    journal.log.close()
    shutil.copytree(tmp_path / "first", tmp_path / "copy")
    add_run("copy", tmp_path)
    assert len(once) == 1
    assert [replace(one, run="") for one in base.contributions()] == [replace(one, run="") for one in once]


def test_a_stranger_enters_only_when_asked(tmp_path: Path) -> None:
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    with serving(brain) as server:
        bench = remembering(theirs, "stranger", server)
        bench.sitting(theirs).log.close()
        shutil.copytree(theirs / "stranger", ours / "stranger")
        remembering(ours, "mine", server).sitting(ours).log.close()
        base = KnowledgeBase(base_path(ours, {}))
        with EventLog.open_writer(ours / "stranger" / "run.sqlite") as log:
            add_from(Journal(log, read_state(log)), bench.setup(), ours)
    assert [one.run for one in base.contributions()] == ["mine"], "resumed here, it still is not ours"
    assert "1 lessons" in add_run("stranger", ours)
    assert sorted(one.run for one in base.contributions()) == ["mine", "stranger"]
    forget_run("stranger", ours)
    assert [one.run for one in base.contributions() if not one.forgotten] == ["mine"]
    add_run("stranger", ours)
    assert sorted(one.run for one in base.contributions() if not one.forgotten) == ["mine", "stranger"], "asked for again"


@pytest.mark.parametrize("changes", [{"memory": False}, {"evaluator": "fake"}])
def test_without_memory_nothing_is_read_or_written(tmp_path: Path, changes: dict[str, Any]) -> None:
    with serving(brain) as server:
        bench = remembering(tmp_path, "quiet", server, **changes)
        bench.sitting(tmp_path)
        assert not told(server.served.bodies)
    assert bench.state.recalled is None
    assert not (tmp_path / "knowledge.jsonl").exists()


def test_made_up_latencies_teach_nothing(tmp_path: Path) -> None:
    with serving(brain) as server:
        remembering(tmp_path, "fake", server, evaluator="fake").sitting(tmp_path).log.close()
    with pytest.raises(BadInput, match="made up"):
        add_run("fake", tmp_path)


def test_the_list_says_where_and_what(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KSEARCH_KNOWLEDGE", raising=False)
    assert f"{tmp_path / 'knowledge.jsonl'}: 0 runs" in CliRunner().invoke(app, ["memory", "list", "--runs-dir", str(tmp_path)]).output
    with serving(brain) as server:
        remembering(tmp_path, "first", server).sitting(tmp_path).log.close()
    shown = CliRunner().invoke(app, ["memory", "list", "--runs-dir", str(tmp_path)]).output
    assert "first  toy (toy, cpu)" in shown
    assert "wide tiles pay" in shown
    monkeypatch.setenv("KSEARCH_KNOWLEDGE", str(tmp_path / "elsewhere.jsonl"))
    assert "elsewhere.jsonl: 0 runs" in CliRunner().invoke(app, ["memory", "list", "--runs-dir", str(tmp_path)]).output


def test_a_torn_or_foreign_file(tmp_path: Path) -> None:
    with serving(brain) as server:
        remembering(tmp_path, "first", server).sitting(tmp_path).log.close()
    path = tmp_path / "knowledge.jsonl"
    base, whole = KnowledgeBase(path), path.read_text("utf-8")
    path.write_text(whole + whole.splitlines()[1][:40], "utf-8")
    assert len(base.contributions()) == 1, "a writer that died half-way takes nothing away"
    add_run("first", tmp_path)
    path.write_text("not ours\n", "utf-8")
    with pytest.raises(BadInput, match="no knowledge base"):
        base.contributions()
