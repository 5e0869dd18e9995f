"""Every setting decides something: two of its values lead to different jobs, parts, limits or refusals.

The table must name each setting there is, so that one which nothing reads can't be added.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ksearch.briefing.view import search_view
from ksearch.budget import Ledger
from ksearch.definitions.schema import BuildSpec, Solution, SourceFile
from ksearch.errors import BadInput
from ksearch.evaluators.fake import FakeEvaluator
from ksearch.forecasting.choice import choose_forecaster
from ksearch.judge.verdict import Job
from ksearch.llm.desk import Desk as ModelDesk
from ksearch.llm.prices import FREE
from ksearch.llm.setup import asker_of, choose, model_of
from ksearch.llm.types import Role
from ksearch.memory.run import remembers
from ksearch.parts import Parts
from ksearch.prepare import jobs_of, model_parts, parallel_of, parts_of, prepare
from ksearch.profiling.run import is_at_floor
from ksearch.settings import Settings, all_keys, merge, parse_assignment, resolve
from ksearch.store.events import RunCreated, SurrogateOpened
from ksearch.store.fold import Books, RunState
from ksearch.store.forecasts import SurrogateState
from ksearch.tree import Tree, policy_named
from ksearch.tree.types import ROOT
from ksearch.worldmodel.types import Belief

Observe = Callable[[Settings], object]

HEADER = RunCreated.model_validate(
    dict.fromkeys(RunCreated.model_fields, "")
    | {"type": "run_created", "baseline": None, "start": None, "seed": 0, "family": None, "branched": None}
)
KERNEL = "import torch\ndef run(hidden_states, weight, output):\n    output.zero_()\n"


def job(settings: Settings) -> Job:
    setup = prepare(settings)
    spec = BuildSpec(language="python", target_hardware=("cpu",), entry_point="k.py::run")
    source = SourceFile(path="k.py", content=KERNEL)
    solution = Solution(name="s", definition=setup.definition.name, author="t", spec=spec, sources=(source,))
    return jobs_of(setup).job("j", "evaluate", solution)


def parts(settings: Settings) -> Iterator[Parts]:
    made = parts_of(prepare(settings))
    try:
        yield made
    finally:
        made.evaluator.close()


def evaluator(settings: Settings) -> object:
    made = next(parts(settings)).evaluator
    return made.name, made.delay_s if isinstance(made, FakeEvaluator) else None


def limit(resource: str) -> Observe:
    return lambda settings: getattr(RunState.begin(HEADER, settings).ledger.limits, resource)


def refusal(settings: Settings) -> object:
    """The device's name, or why it is refused."""
    try:
        return prepare(settings).device.spec
    except BadInput as error:
        return str(error)


def rent(settings: Settings) -> object:
    """What is set aside for a candidate at Modal."""
    rented = settings.model_copy(update={"evaluator": "modal"})
    return jobs_of(replace(prepare(settings), settings=rented)).usd_reservation


def begun_surrogate(settings: Settings) -> object:
    return SurrogateState.begin(SurrogateOpened(forecaster="x"), 0.02, settings.surrogate_budget).setting


def chosen(settings: Settings) -> object:
    """Who plans and writes, or why not."""
    try:
        return choose(settings, {})
    except BadInput as error:
        return str(error)


def connection(settings: Settings) -> object:
    """All that decides how models are asked."""
    environ = {"ANTHROPIC_API_KEY": "one", "OPENAI_API_KEY": "two", "MY_API_KEY": "three"}
    asker = asker_of(settings.llm, (Role.PLANNER, Role.CODER), ModelDesk(), environ)
    try:
        lines = [
            (line.name, line.price, line.max_output_tokens, line.effort, _plain(line.provider))
            for line in asker.lines.values()
        ]
        return lines, asker.backoff, asker.slots._value
    finally:
        asker.close()


def _plain(provider: object) -> list[str]:
    """What a connection holds, a client by where it goes."""
    fields = getattr(provider, "__dict__", {"provider": provider}).values()
    return [str(getattr(value, "base_url", value)) for value in fields if hasattr(value, "base_url") or " at 0x" not in repr(value)]


def view(settings: Settings) -> object:
    """What a planner is shown of the search, and what it may do."""
    folded = RunState.begin(HEADER, settings)
    folded.tree = Tree(root_reward=0.0, sigma_noise=0.01, policy=policy_named(settings.policy))
    folded.books = Books(Ledger(), {"tile": Belief("tile", 0.1, 0.1)})
    return search_view(folded, ROOT)


def openai(settings: Settings) -> Settings:
    return settings.model_copy(update={"llm": settings.llm.model_copy(update={"model": "openai:gpt-x", "prices": {"gpt-x": FREE}})})


ROWS: dict[str, tuple[Any, Any, Observe]] = {
    "definition": ("rmsnorm", "softmax", lambda s: prepare(s).definition.name),
    "dataset": (None, "DATASET", lambda s: [w.workload.uuid for w in prepare(s).full]),
    "start": (None, "KERNEL", lambda s: next(parts(s)).roots[0].origin),
    "baseline": (None, "KERNEL", lambda s: job(s).baseline),
    "workloads": ("all", "b1-16", lambda s: len(prepare(s).full)),
    "objective": ("mean", "geomean", lambda s: job(s).objective),
    "device": ("cpu", "cuda:63", refusal),
    "languages": (["python"], ["cpp"], lambda s: prepare(s).target.languages),
    "allow_libraries": (False, True, lambda s: job(s).allow_libraries),
    "planner": ("playbook", "llm", chosen),
    "coder": ("playbook", "llm", chosen),
    "world_model": (True, False, view),
    "memory": (True, False, lambda s: remembers(s.model_copy(update={"planner": "llm", "evaluator": "local"}))),
    "merge": (True, False, view),
    "llm.model": ("anthropic:claude-opus-5-5", "command:cat", connection),
    "llm.planner_model": (None, "command:cat", connection),
    "llm.coder_model": (None, "command:cat", connection),
    "llm.surrogate_model": (None, "command:cat", lambda s: model_of(s.llm, Role.SURROGATE)),
    "llm.effort": ("medium", "high", connection),
    "llm.max_output_tokens": (1000, 2000, connection),
    "llm.context_tokens": (1000, 2000, lambda s: model_parts(prepare(s)).coder.budget_tokens),
    "llm.anthropic_url": (None, "http://127.0.0.1:1", connection),
    "llm.openai_url": (None, "http://127.0.0.1:1", lambda s: connection(openai(s))),
    "llm.key_variable": (None, "MY_API_KEY", connection),
    "llm.prices": ({}, {"claude-opus-5-5": {"input": 1, "cached": 1, "written": 1, "output": 1}}, connection),
    "llm.concurrency": (1, 2, connection),
    "llm.tries": (1, 2, connection),
    "llm.backoff_s": (1.0, 2.0, connection),
    "llm.stall_s": (1.0, 2.0, connection),
    "llm.timeout_s": (1.0, 2.0, connection),
    "policy": ("puct", "random", lambda s: policy_named(s.policy)),
    "surrogate": ("neighbours", "none", lambda s: choose_forecaster(s).name),
    "surrogate_budget": (0.5, 0.75, begun_surrogate),
    "stop_above_floor": (0.03, 0.3, lambda s: is_at_floor(0.2, s.stop_above_floor)),
    "evaluator": ("local", "fake", evaluator),
    "seed": (0, 1, lambda s: next(parts(s)).evaluator.seed),  # type: ignore[attr-defined]
    "budget.max_evaluations": (4, 5, limit("evaluations")),
    "budget.max_gpu_seconds": (4.0, 5.0, limit("gpu_seconds")),
    "budget.max_usd": (4.0, 5.0, limit("usd")),
    "budget.max_tokens": (4, 5, limit("tokens")),
    "budget.max_time_s": (4.0, 5.0, limit("wall_seconds")),
    "evaluation.workloads": (5, 6, lambda s: len(job(s).workloads)),
    "evaluation.timed_calls": (5, 6, lambda s: job(s).timed_calls),
    "evaluation.timeout_s": (5.0, 6.0, lambda s: job(s).limits.timeout_s),
    "evaluation.compile_s": (5.0, 6.0, lambda s: job(s).limits.compile_s),
    "evaluation.total_s": (5.0, 6.0, lambda s: job(s).limits.total_s),
    "evaluation.parallel": (1, 7, lambda s: parallel_of(prepare(s))),
    "evaluation.fake_delay_s": (0.0, 0.1, evaluator),
    "modal.gpu": ("T4", "L4", rent),
    "modal.usd_per_second": (None, 0.25, rent),
    "evaluation.unsafe_runner": (False, True, lambda s: job(s).unsafe_runner),
}


def settings(key: str, value: object, places: dict[str, Path]) -> Settings:
    text = str(places[value]) if isinstance(value, str) and value in places else json.dumps(value)
    fake = {} if key in ("device", "evaluator") else {"evaluator": "fake"}
    return resolve([merge(({"definition": "rmsnorm", "device": "cpu"}, fake)), parse_assignment(f"{key}={text}")])


@pytest.fixture
def places(tmp_path: Path) -> dict[str, Path]:
    kernel, dataset = tmp_path / "mine.py", tmp_path / "dataset"
    kernel.write_text(KERNEL)
    folder = dataset / "workloads" / "rmsnorm"
    folder.mkdir(parents=True)
    definition = prepare(Settings(definition="rmsnorm", device="cpu")).definition
    (dataset / "definitions" / "rmsnorm").mkdir(parents=True)
    (dataset / "definitions" / "rmsnorm" / f"{definition.name}.json").write_text(definition.model_dump_json(exclude_none=True))
    inputs = {"hidden_states": {"type": "random"}, "weight": {"type": "random"}}
    workload = {"uuid": "theirs", "axes": {"batch_size": 3}, "inputs": inputs}
    line = {"definition": definition.name, "workload": workload, "solution": None, "evaluation": None}
    (folder / f"{definition.name}.jsonl").write_text(json.dumps(line) + "\n")
    return {"KERNEL": kernel, "DATASET": dataset}


def test_no_setting_is_left_out() -> None:
    assert set(ROWS) == set(all_keys())


@pytest.mark.parametrize("key", ROWS)
def test_two_values_make_a_difference(key: str, places: dict[str, Path]) -> None:
    one, other, observe = ROWS[key]
    assert observe(settings(key, one, places)) != observe(settings(key, other, places))
