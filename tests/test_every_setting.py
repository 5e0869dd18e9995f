"""Every setting decides something: two of its values lead to different jobs, parts, limits or refusals.

The table must name each setting there is, so that one which nothing reads can't be added.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ksearch.definitions.schema import BuildSpec, Solution, SourceFile
from ksearch.errors import BadInput
from ksearch.evaluators.fake import FakeEvaluator
from ksearch.forecasting.choice import choose_forecaster
from ksearch.judge.verdict import Job
from ksearch.prepare import jobs_of, parallel_of, parts_of, prepare
from ksearch.settings import Settings, all_keys, merge, parse_assignment, resolve
from ksearch.steps import Parts
from ksearch.store.events import RunCreated, SurrogateOpened
from ksearch.store.fold import RunState
from ksearch.store.forecasts import SurrogateState
from ksearch.tree import policy_named

Observe = Callable[[Settings], object]

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
    known = {"type": "run_created", "baseline": None, "start": None, "seed": 0, "family": None, "branched": None}
    created = RunCreated.model_validate(dict.fromkeys(RunCreated.model_fields, "") | known)
    return lambda settings: getattr(RunState.begin(created, settings).ledger.limits, resource)


def refusal(settings: Settings) -> object:
    """The device's name, or why it is refused."""
    try:
        return prepare(settings).device.spec
    except BadInput as error:
        return str(error)


def begun_surrogate(settings: Settings) -> object:
    return SurrogateState.begin(SurrogateOpened(forecaster="x"), 0.02, settings.surrogate_budget).setting


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
    "policy": ("puct", "random", lambda s: policy_named(s.policy)),
    "surrogate": ("neighbours", "none", lambda s: choose_forecaster(s).name),
    "surrogate_budget": (0.5, 0.75, begun_surrogate),
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
    "evaluation.unsafe_runner": (False, True, lambda s: job(s).unsafe_runner),
}
ONE_CHOICE = {"planner": {"auto", "playbook"}}
"""Settings whose values mean the same as yet: 'auto' and the one thing it can choose."""


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
    assert set(ROWS) | set(ONE_CHOICE) == set(all_keys())


@pytest.mark.parametrize("key", ROWS)
def test_two_values_make_a_difference(key: str, places: dict[str, Path]) -> None:
    one, other, observe = ROWS[key]
    assert observe(settings(key, one, places)) != observe(settings(key, other, places))


@pytest.mark.parametrize("key", ONE_CHOICE)
def test_a_setting_with_one_choice_has_no_other(key: str) -> None:
    allowed = Settings.model_fields[key].annotation
    assert set(allowed.__args__) == ONE_CHOICE[key]  # type: ignore[union-attr]
