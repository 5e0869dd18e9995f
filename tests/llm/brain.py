"""A made-up model that does its job: it plans distinct steps and writes code whose speed the fake evaluator reads from it."""

from __future__ import annotations

import itertools
import json
import random
import re
from dataclasses import dataclass, field
from typing import Any

from tests.llm.messages_server import Body, Error, Say, prompt_of, tool


def proposal(name: str, **changes: Any) -> dict[str, Any]:
    return {
        "technique": name, "target": "code", "parameter": "", "intent": f"do {name}", "rationale": "because", "regime": "",
        "speedup_low": 0.9, "speedup_likely": 1.2, "speedup_high": 1.6, "p_success": 0.8, "difficulty": 2, "merge_node": None, **changes,
    }  # fmt: skip


def plan(proposals: list[dict[str, Any]], edits: list[dict[str, Any]] | None = None) -> Say:
    return Say([tool("propose", {"edits": edits or [], "proposals": proposals})])


def about(**changes: Any) -> dict[str, Any]:
    return {"followed": True, "did": "", "tunables": [], **changes}


def code(speedup: float, mark: str, fail: str | None = None, lines: int = 4) -> str:
    toy: dict[str, Any] = {"speedup": speedup} | ({"fail": fail} if fail else {})
    body = "".join(f"    step_{number} = {number}\n" for number in range(lines))
    return f"# toy: {json.dumps(toy)}\nMARK = {mark!r}\n\n\ndef run(*tensors):\n{body}    return None\n"


def write(content: str, **changes: Any) -> Say:
    files = [{"path": "kernel.py", "content": content}]
    return Say([tool("write_solution", {"language": "python", "entry_point": "kernel.py::run", "files": files, **about(**changes)})])


def task_of(body: Body) -> str:
    found = re.search(r"^# Your task: (\w+)", prompt_of(body), re.MULTILINE)
    assert found is not None, prompt_of(body)[-500:]
    return found[1]


@dataclass
class Diligent:
    """Answers every task; each plan step makes the code a little faster or slower, some fail."""

    seed: int = 0
    failing: float = 0.2
    lines: int = 4
    numbers: itertools.count[int] = field(default_factory=itertools.count)

    def __call__(self, body: Body) -> Say | Error:
        number = next(self.numbers)
        chance = random.Random(f"{self.seed} {prompt_of(body)}")
        if task_of(body) == "plan":
            count = int(re.search(r"Propose (\d+) next", prompt_of(body))[1])  # type: ignore[index]
            return plan([proposal(f"idea_{number}_{index}") for index in range(count)])
        failed = "RUNTIME_ERROR" if chance.random() < self.failing else None
        return write(code(round(chance.uniform(0.8, 2.5), 3), f"m{number}", failed, self.lines))
