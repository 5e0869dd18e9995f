"""What the CUDA C++ templates of rmsnorm and gdn_decode compute, run on the CPU thread by thread, and that nvcc takes them."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ksearch.coder.playbook.gdn_decode_cuda import FAMILIES as GDN_DECODE
from ksearch.coder.playbook.mechanism import Family
from ksearch.coder.playbook.rmsnorm_cuda import FAMILIES as RMSNORM
from ksearch.coder.types import Target
from ksearch.definitions.schema import AxisConst, Definition
from ksearch.tree.types import Plan

HERE = Path(__file__).parent
TARGET = Target("cuda", "sm_90", ("cuda",))


def rendered(family: Family, definition: Definition, plan: Plan) -> str:
    catalogue = family.catalogue(definition, TARGET)
    return family.render(definition, TARGET, catalogue.config(plan)).sources[0][1]


def plan_of(family: Family, definition: Definition, *keys: str) -> Plan:
    """The plan of these technique keys in order; each must be legal where it stands."""
    catalogue = family.catalogue(definition, TARGET)
    plan: Plan = ()
    for key in keys:
        plan = (*plan, next(technique for technique in catalogue.legal(plan) if technique.key == key).action())
    return plan


@pytest.fixture(scope="module")
def small_rmsnorm(rmsnorm: tuple[Family, Definition]) -> tuple[Family, Definition]:
    """Rows of 192: no team divides them, and they cost little."""
    axes = {**rmsnorm[1].axes, "hidden_size": AxisConst(value=192)}
    return RMSNORM[0], rmsnorm[1].model_copy(update={"axes": axes})


RMSNORM_PLANS = (
    (),
    ("vector_loads|memory|bits=128", "shuffle|reduction|", "warp_per_row|row|", "keep_row|row|", "persistent|grid|programs=264"),
    ("vector_loads|memory|bits=32", "threads|block|threads=128", "keep_row|row|", "early_weights|weights|", "shuffle|reduction|",
     "persistent|grid|programs=264", "stream_writes|stores|"),
)
GDN_PLANS = (
    ("joint_products|state|", "threads|block|threads=256"),
    ("warp_per_row|state|", "vector_loads|state|bits=128", "rows_at_once|state|rows=4",
     "lanes_per_row|state|lanes=8", "threads|block|threads=64"),
    ("warp_per_row|state|", "vector_loads|state|bits=64", "rows_at_once|state|rows=2", "joint_products|state|", "stream_reads|state|"),
)


def faults(jobs: list[dict[str, Any]]) -> list[str | None]:
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed: CUDA C++ templates are NOT run")
    root = str(HERE.parents[1])
    done = subprocess.run(
        [sys.executable, str(HERE / "cuda_worker.py")], input=json.dumps(jobs), cwd=root, env={**os.environ, "PYTHONPATH": root},
        capture_output=True, text=True, timeout=110,
    )
    answers = [json.loads(line)["fault"] for line in done.stdout.splitlines()]
    assert len(answers) == len(jobs), done.stderr[-2000:]
    return answers


def test_rmsnorm_is_right_thread_by_thread(small_rmsnorm: tuple[Family, Definition]) -> None:
    family, definition = small_rmsnorm
    sources = [rendered(family, definition, plan_of(family, definition, *keys)) for keys in RMSNORM_PLANS]
    # With a program for every row they would never take turns.
    sources = [source.replace("PROGRAMS = 264", "PROGRAMS = 2") for source in sources]
    jobs = [{"source": source, "operator": "rmsnorm", "case": {"rows": 5, "hidden": 192}} for source in sources]
    assert faults(jobs) == [None] * len(jobs)


def test_gdn_decode_is_right_thread_by_thread(gdn: tuple[Family, Definition]) -> None:
    family, definition = GDN_DECODE[0], gdn[1]
    sources = [rendered(family, definition, plan_of(family, definition, *keys)) for keys in GDN_PLANS]
    wrong = sources[0].replace("gate.decay * by_query", "by_query")
    assert wrong != sources[0]
    jobs = [{"source": source, "operator": "gdn_decode", "case": {"requests": 1}} for source in (*sources, wrong)]
    *right, last = faults(jobs)
    assert right == [None] * len(sources)
    assert last is not None


@pytest.mark.slow
@pytest.mark.parametrize("operator", ["rmsnorm", "gdn_decode"])
def test_nvcc_compiles_them(operator: str, rmsnorm: tuple[Family, Definition], gdn: tuple[Family, Definition], tmp_path: Path) -> None:
    """One file for Hopper and Blackwell, with every warning, and no register spilled."""
    if shutil.which("nvcc") is None or importlib.util.find_spec("tvm_ffi") is None:
        pytest.skip("nvcc or tvm_ffi is not installed: CUDA C++ templates are NOT compiled")
    from tvm_ffi import libinfo

    family, definition, keys = {
        "rmsnorm": (RMSNORM[0], rmsnorm[1], RMSNORM_PLANS[1]), "gdn_decode": (GDN_DECODE[0], gdn[1], GDN_PLANS[1]),
    }[operator]
    code = tmp_path / "kernel.cu"
    code.write_text(rendered(family, definition, plan_of(family, definition, *keys)))
    includes = [f"-I{path}" for path in (libinfo.find_include_path(), libinfo.find_dlpack_include_path())]
    targets = ["-gencode=arch=compute_90a,code=sm_90a", "-gencode=arch=compute_100,code=sm_100"]
    done = subprocess.run(
        ["nvcc", "-std=c++17", "-O3", "-Xptxas=-v", "-Werror=all-warnings", *includes, *targets, "--shared", "-Xcompiler=-fPIC",
         "-o", str(tmp_path / "kernel.so"), str(code)],
        capture_output=True, text=True, timeout=110,
    )
    assert done.returncode == 0, done.stderr
    spills = [line for line in done.stderr.splitlines() if "spill stores" in line]
    assert len(spills) == 2
    assert all("0 bytes spill stores" in line for line in spills)
