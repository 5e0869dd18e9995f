"""What the Triton templates compute, in the interpreter, and that they compile for GPUs, on a machine without one."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ksearch.coder.playbook.dsa_topk_triton import FAMILIES as DSA_TOPK
from ksearch.coder.playbook.gdn_decode_cuda import FAMILIES as GDN_DECODE
from ksearch.coder.playbook.mechanism import Family
from ksearch.coder.playbook.rmsnorm_cuda import FAMILIES as RMSNORM
from ksearch.coder.types import Target
from ksearch.definitions.schema import AxisConst, Definition
from ksearch.tree.types import Plan

HERE = Path(__file__).parent
TARGET = Target("cuda", "sm_90", ("triton",))
FAMILY: dict[str, Family] = {"dsa_topk": DSA_TOPK[0], "rmsnorm": RMSNORM[0], "gdn_decode": GDN_DECODE[0]}
SHORT, LONG = {"lengths": [5, 64, 0], "pages": 2, "cache": 4}, {"lengths": [2049, 2047], "pages": 33, "cache": 40}
TIED = {"lengths": [2112], "pages": 33, "cache": 36, "tied": True}
CASES: dict[str, list[dict[str, Any]]] = {
    "dsa_topk": [SHORT, LONG, TIED], "rmsnorm": [{"rows": 1}, {"rows": 5}], "gdn_decode": [{"requests": 1}],
}


def plans_module() -> ModuleType:
    path = HERE.parents[1] / "benchmarks" / "playbook" / "plans.py"
    spec = importlib.util.spec_from_file_location("playbook_plans", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def definitions(
    dsa: tuple[Family, Definition], rmsnorm: tuple[Family, Definition], gdn: tuple[Family, Definition]
) -> dict[str, Definition]:
    return {"dsa_topk": dsa[1], "rmsnorm": rmsnorm[1], "gdn_decode": gdn[1]}


def sources(operator: str, definition: Definition) -> list[tuple[Plan, str]]:
    """A few plans that use every technique between them, the root first."""
    family = FAMILY[operator]
    catalogue = family.catalogue(definition, TARGET)
    plans = plans_module().covering(catalogue)
    return [(plan, family.render(definition, TARGET, catalogue.config(plan)).sources[0][1]) for plan in plans]


def ask(mode: str, jobs: list[dict[str, Any]], cache: Path) -> list[dict[str, Any]]:
    """Answers of a worker process, which may set what triton reads when it is imported. No more than 110 s."""
    root = str(HERE.parents[1])
    environment = {**os.environ, "PYTHONPATH": root, "TRITON_CACHE_DIR": str(cache), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(HERE / "triton_worker.py"), mode], input=json.dumps(jobs), env=environment, cwd=root,
        capture_output=True, text=True, timeout=110,
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(jobs), done.stderr[-2000:]
    return answers


def narrow_rmsnorm(definition: Definition) -> Definition:
    """Rows of 192, which fill no power of two."""
    return definition.model_copy(update={"axes": {**definition.axes, "hidden_size": AxisConst(value=192)}})


@pytest.mark.parametrize("operators", [("dsa_topk",), ("rmsnorm", "gdn_decode")], ids="+".join)
def test_every_technique_is_right_in_the_interpreter(
    operators: tuple[str, ...], definitions: dict[str, Definition], tmp_path: Path
) -> None:
    work = [(operator, plan, source, case) for operator in operators
            for plan, source in sources(operator, definitions[operator]) for case in CASES[operator]]
    if "rmsnorm" in operators:
        narrow = sources("rmsnorm", narrow_rmsnorm(definitions["rmsnorm"]))
        work += [("rmsnorm", plan, source, {"rows": 3, "hidden": 192}) for plan, source in narrow]
    answers = ask("interpret", [{"source": source, "operator": operator, "case": case} for operator, _, source, case in work], tmp_path)
    assert not [
        (answer["fault"], case, [action.key for action in plan])
        for (_, plan, _, case), answer in zip(work, answers, strict=True) if answer["fault"] is not None
    ]


def test_the_interpreter_would_find_a_wrong_kernel(definitions: dict[str, Definition], tmp_path: Path) -> None:
    """One token too few, ties in the same places, a sum 2 % too large, a decay left out: each must be seen."""
    roots = {operator: sources(operator, definition)[0][1] for operator, definition in definitions.items()}
    wrong = [
        ("dsa_topk", LONG, "search(row, length, tl.minimum(length, TOPK))", "search(row, length, 2047)"),
        ("dsa_topk", TIED, "more + level_seen + tie", "more + tie"),
        ("rmsnorm", {"rows": 5}, "tl.sum(squares) / HIDDEN", "tl.sum(squares) * 1.02 / HIDDEN"),
        ("gdn_decode", {"requests": 1}, "value - decay * product", "value - product"),
    ]
    jobs = []
    for operator, case, before, after in wrong:
        assert before in roots[operator]
        jobs.append({"source": roots[operator].replace(before, after), "operator": operator, "case": case})
    answers = ask("interpret", jobs, tmp_path)
    assert not [change for change, answer in zip(wrong, answers, strict=True) if answer["fault"] is None]


@pytest.mark.slow
@pytest.mark.parametrize("operators", [("dsa_topk",), ("rmsnorm", "gdn_decode")], ids="+".join)
def test_every_technique_compiles_for_hopper_or_blackwell(
    operators: tuple[str, ...], definitions: dict[str, Definition], tmp_path: Path
) -> None:
    """Every launch that `run` makes, to machine code; plans take turns between the two architectures."""
    jobs = [
        {"source": source, "operator": operator, "case": CASES[operator][1 if operator == "dsa_topk" else 0],
         "archs": [(90, 100)[number % 2]]}
        for operator in operators for number, (_, source) in enumerate(sources(operator, definitions[operator]))
    ]
    answers = ask("compile", jobs, tmp_path)
    assert not [answer["fault"] for answer in answers if "fault" in answer]
    made = [launch for answer in answers for launch in answer["launches"]]
    assert {launch["arch"] for launch in made} == {90, 100}
    assert all(launch["shared"] <= 227 * 1024 and launch["cubin"] > 0 for launch in made)
