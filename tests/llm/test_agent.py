"""The single conversation: same judge, same budget, no plans; it remembers what it said and what came of it."""

from __future__ import annotations

import json
import re
from pathlib import Path

from ksearch.judge.verdict import JUDGE_VERSION
from ksearch.prepare import parallel_of
from ksearch.store.fold import tree_policy
from tests.llm.brain import code, write
from tests.llm.conftest import bench_of
from tests.llm.messages_server import Body, Error, Say, prompt_of, serving
from tests.llm.test_replay import replay_of


def rewriter(body: Body) -> Say | Error:
    """Each turn a little faster than the kernel shown; every third fails."""
    last = body["messages"][-1]["content"]
    number = sum(message["role"] == "assistant" for message in body["messages"])
    shown = re.search(r'"speedup": ([\d.]+)', last[0]["text"])
    assert shown is not None
    return write(code(float(shown[1]) + 0.5, f"turn {number}", "RUNTIME_ERROR" if number % 3 == 2 else None))


def test_one_conversation_rewrites_its_best_kernel(tmp_path: Path) -> None:
    with serving(rewriter) as server:
        bench = bench_of(tmp_path, server, policy="single-agent", budget={"max_evaluations": 8, "max_usd": 100.0})
        assert parallel_of(bench.setup()) == 1
        bench.parallel = 1
        assert bench.search().status == "budget"
    bodies = server.served.bodies
    assert len(bodies) == 7, "one call a candidate: nobody plans"
    assert [len(body["messages"]) for body in bodies] == [1, 3, 5, 7, 9, 11, 13]
    assert "MARK = 'turn 0'" in json.dumps(bodies[-1]["messages"][1])
    assert "Your last kernel failed" in prompt_of(bodies[3])
    assert "Stage smoke: RUNTIME_ERROR" in prompt_of(bodies[3])
    assert "Your last kernel passed" in prompt_of(bodies[1])
    best = bodies[-1]["messages"][-1]["content"][0]["text"]
    assert '"speedup": 3.0' in best, "it starts from its best, not from its last"
    assert {call.started.role for call in bench.state.calls.values()} == {"agent"}
    assert server.served.cached > 0
    replay_of(bench, tmp_path)


def test_its_turns_stand_side_by_side() -> None:
    assert tree_policy("single-agent", JUDGE_VERSION) == "best-of-n"
    assert tree_policy("puct", JUDGE_VERSION) == "puct"
