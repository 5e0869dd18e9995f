"""What a written candidate costs in tokens, planning and repairs included, counted by a server that models prefix caching.

The kernels are of a real size: the search starts from the playbook's plainest dsa_topk kernel for a GPU and every step
adds some forty lines, up to the size of the best kernel that the playbook knows.
"""

from __future__ import annotations

import itertools
import json
import random
import re
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from ksearch.coder.playbook.coder import PlaybookCoder
from ksearch.coder.playbook.registry import family_for
from ksearch.coder.types import Draft, Target
from ksearch.definitions.catalog import load_definition, workloads_for
from ksearch.definitions.regimes import stratified
from ksearch.devices import Device
from ksearch.llm.spending import spent_by_node, spent_by_role, spent_on
from ksearch.parts import Parts
from ksearch.prepare import ModelParts, Setup
from tests.llm.brain import about, plan, proposal, task_of
from tests.llm.conftest import Bench
from tests.llm.messages_server import Body, Error, Say, prompt_of, serving, text, tool

CANDIDATES = 50
MOST_TOKENS = 18_000
SECONDS_A_CALL = 12.0
"""As if four were in flight at some fifty seconds each; one at a time here, so that the count is the same every time."""
LARGEST = 27_000
"""Characters: the playbook's best kernel for this definition."""

PROSE = "Split the long row over the blocks of a cluster, each with its own histogram in shared memory, merged through the cluster. "


@dataclass
class Engineer:
    """Plans in full sentences, writes by edits of a realistic size; a fifth of its code fails, a twentieth of its answers is prose."""

    numbers: itertools.count[int] = field(default_factory=itertools.count)

    def __call__(self, body: Body) -> Say | Error:
        number = next(self.numbers)
        chance = random.Random(number)
        if chance.random() < 0.05:
            return Say([text("Let me think about this kernel. " * 20)])
        if task_of(body) == "plan":
            asked = int(re.search(r"Propose (\d+) next", prompt_of(body))[1])  # type: ignore[index]
            lesson = {"op": "insert", "kind": "question", "ids": [], "texts": [PROSE], "refuted_by": "", "nodes": []}
            return plan([proposal(f"idea_{number}_{i}", intent=PROSE * 2, rationale=PROSE * 2) for i in range(asked)], [lesson])
        fail = "RUNTIME_ERROR" if chance.random() < 0.2 else None
        return Say([tool("edit_solution", {"edits": self._edits(body, number, chance, fail), **about()})])

    def _edits(self, body: Body, number: int, chance: random.Random, fail: str | None) -> list[dict[str, str]]:
        """The toy line that says how fast it is, and forty lines of code somewhere."""
        old = next((line for line in prompt_of(body).splitlines() if line.startswith("// toy:")), "")
        speedup = json.loads(old.removeprefix("// toy:"))["speedup"] * chance.uniform(0.9, 1.4) if old else 1.5
        toy = f"// toy: {json.dumps({'speedup': round(speedup, 3)} | ({'fail': fail} if fail else {}))}"
        code = "".join(f"  const float value_{number}_{i} = scores[{i}] * scale;\n" for i in range(40))
        grown = len(prompt_of(body)) < LARGEST + 4_000
        replaced = toy + "\n" + (code if grown else f"constexpr int mark_{number} = {number};\n")
        search = old or "#include <cuda_runtime.h>"
        return [{"path": "kernel.cu", "search": search, "replace": replaced + ("" if old else search)}]


@dataclass
class RealSize(Bench):
    def setup(self) -> Setup:
        target = Target("cuda", "sm_90", ("cuda", "triton", "python"))
        definition = load_definition("dsa_topk", None)
        full = stratified(definition, workloads_for(definition, "cuda", None), 128, 0)
        device = Device("cuda:0", "NVIDIA H200", "sm_90")
        return replace(super().setup(), definition=definition, full=full, subset=full[:12], target=target, device=device)

    def parts(self, models: ModelParts | None = None) -> Parts:
        setup = self.setup()
        root = PlaybookCoder(family_for(setup.definition, setup.target)).root(setup.definition, setup.target)
        (source,) = root.sources
        spec = root.spec.model_copy(update={"entry_point": "kernel.cu::run"})
        renamed = root.model_copy(update={"sources": (source.model_copy(update={"path": "kernel.cu"}),), "spec": spec})
        return replace(super().parts(models), roots=(Draft(renamed, "playbook"),))


@pytest.mark.timeout(120)
def test_tokens_for_each_candidate_and_what_the_cache_serves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ticks = itertools.count()
    with serving(Engineer()) as server:
        server.clock = lambda: next(ticks) * SECONDS_A_CALL
        bench = RealSize(tmp_path / "run", server.url, {"budget": {"max_evaluations": CANDIDATES + 1, "max_usd": 1000.0}}, parallel=1)
        bench.search()
    state, served = bench.state, server.served
    written = sum(candidate.written.ticket is not None for candidate in state.candidates.values())
    all_calls = spent_on(state.calls.values())
    share = served.cached / (served.cached + served.written + served.input)
    with capsys.disabled():
        print(f"\n{served.total / written:,.0f} tokens and {all_calls.usd / written:.3f} US dollars for each of {written} candidates; "
              f"{share:.0%} of the input from the cache")
        for role, spent in spent_by_role(state).items():
            each, out = spent.tokens / spent.calls, spent.usage.output / spent.calls
            print(f"  {role}: {spent.calls} calls of {each:,.0f} tokens, {out:,.0f} of them out")
    assert written >= CANDIDATES
    assert all_calls.usage.total == served.total
    assert all_calls.cached_share == pytest.approx(share)
    for split in (spent_by_node(state).values(), spent_by_role(state).values()):
        assert sum(spent.tokens for spent in split) == served.total
    assert served.total / written <= MOST_TOKENS
    assert share >= 0.5
