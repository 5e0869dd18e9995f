"""Whatever a model answers, no plan is tried more often than its cap and the search moves on or ends.

The model here is a packaged-size fake: an oracle that answers from a script which hypothesis writes.
"""

from __future__ import annotations

import itertools
import json
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from ksearch.coder.model.coder import ModelCoder
from ksearch.llm.desk import Desk
from ksearch.prepare import ModelParts
from ksearch.store.events import CandidateWritten, NothingWritten, TicketIssued, parse_event
from ksearch.store.journal import read_state
from ksearch.tree.constants import DEFAULTS
from ksearch.worldmodel.oracle import Filled, Question, Unanswered
from ksearch.worldmodel.planner import ModelPlanner
from tests.llm.brain import about, code, proposal
from tests.llm.conftest import Bench

WRITES = st.sampled_from(["good", "slow", "failing", "same", "half", "prose", "refusal", "no such place", "wrong entry"])
PLANS = st.sampled_from(["fresh", "again", "none", "half", "wrong", "refusal", "boast"])


@dataclass
class Script:
    """Answers in the script's order, over and over."""

    writes: list[str]
    plans: list[str]
    numbers: itertools.count[int] = field(default_factory=itertools.count)

    def ask(self, question: Question) -> Filled:
        number = next(self.numbers)
        if "propose" in question.forms:
            return self._plan(self.plans[number % len(self.plans)], number)
        return self._write(self.writes[number % len(self.writes)], number, question.forms)

    def _plan(self, kind: str, number: int) -> Filled:
        names = {"fresh": f"idea_{number}", "boast": f"boast_{number}", "again": "the_same"}
        if kind == "refusal":
            raise Unanswered("declined")
        if kind == "half":
            return Filled("propose", '{"proposals": [')
        if kind == "wrong":
            return Filled("propose", json.dumps({"proposals": [{"technique": 3}], "edits": []}))
        boast = {"speedup_likely": 900, "speedup_high": 1000} if kind == "boast" else {}
        return Filled("propose", json.dumps({"edits": [], "proposals": [proposal(names[kind], **boast)] if kind in names else []}))

    def _write(self, kind: str, number: int, forms: tuple[str, ...]) -> Filled:
        if kind == "refusal":
            raise Unanswered("declined")
        if kind == "prose":
            raise Unanswered("prose", again=True)
        if kind == "half":
            return Filled(forms[0], '{"edits": [{"path": "ker')
        if kind == "no such place":
            rows = [{"path": "kernel.py", "search": "nowhere", "replace": "x"}]
            return Filled("edit_solution", json.dumps({"edits": rows, **about()}))
        contents = {"good": code(1.5, f"{number}"), "slow": code(0.5, f"{number}"), "failing": code(1.0, f"{number}", "RUNTIME_ERROR")}
        content = contents.get(kind, code(1.0, "constant", "COMPILE_ERROR"))
        entry = "elsewhere.py::run" if kind == "wrong entry" else "kernel.py::run"
        files = [{"path": "kernel.py", "content": content}]
        return Filled("write_solution", json.dumps({"language": "python", "entry_point": entry, "files": files, **about()}))


@settings(max_examples=6, deadline=None)
@given(st.lists(WRITES, min_size=1, max_size=6), st.lists(PLANS, min_size=1, max_size=4), st.integers(1, 4))
def test_no_plan_is_chosen_for_ever(writes: list[str], plans: list[str], parallel: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder) / "run", "http://127.0.0.1:9", {"budget": {"max_evaluations": 14}}, parallel)
        script = Script(writes, plans)
        bench.create()
        limit = Limit(bench, 30)
        assert bench.journal is not None
        bench.journal.observers.append(limit.observe)
        bench.search(ModelParts(Desk(), ModelPlanner(script, 2000), ModelCoder(script, 2000)))
        events = [parse_event(stored.payload) for stored in bench.journal.log.events()]
        state = read_state(bench.journal.log)
        attempts = Counter(event.node for event in events if isinstance(event, TicketIssued) and event.kind == "write")
        assert max(attempts.values(), default=0) <= DEFAULTS.attempts
        answered = sum(isinstance(event, CandidateWritten | NothingWritten) for event in events) - 1
        assert answered <= sum(attempts.values()) <= answered + parallel, "an attempt without an answer"
        assert state.tree is not None
        assert state.evaluations <= 14
        if not limit.reached:
            assert not state.open_tickets
        fruitless = [view.fruitless for view in state.tree.nodes()]
        assert max(fruitless) <= DEFAULTS.fruitless_limit
        bench.journal.log.close()


@dataclass
class Limit:
    """Ends a search whose planner never runs dry although its coder never succeeds: only a budget of tokens would."""

    bench: Bench
    most: int
    seen: int = 0

    @property
    def reached(self) -> bool:
        return self.seen >= self.most

    def observe(self, event: object, state: object) -> None:
        self.seen += isinstance(event, TicketIssued)
        if self.reached:
            self.bench.stop.set()
