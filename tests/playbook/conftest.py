"""Small definitions, inputs and slow independent references; C++ built in-process with the judge's flags."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ksearch.coder.playbook.mechanism import Family, Rendering
from ksearch.coder.types import Target
from ksearch.definitions.schema import Definition
from ksearch.tree.types import Plan

CPU = Target(device="cpu", arch=None, languages=("python", "cpp"), threads=2)
STUB = "import torch\n\n\ndef run(*inputs):\n    EPS = 1e-6\n    return inputs[0] * EPS\n"

Tensors = dict[str, tuple[tuple[str, ...] | None, str]]


def _definition(name: str, op_type: str, axes: dict[str, int | None], inputs: Tensors, outputs: Tensors) -> Definition:
    return Definition.model_validate({
        "name": name, "op_type": op_type, "reference": STUB,
        "axes": {a: {"type": "var"} if v is None else {"type": "const", "value": v} for a, v in axes.items()},
        "inputs": {n: {"shape": s, "dtype": d} for n, (s, d) in inputs.items()},
        "outputs": {n: {"shape": s, "dtype": d} for n, (s, d) in outputs.items()},
    })


def dsa_definition() -> Definition:
    return _definition(
        "dsa_topk_indexer_fp8_h64_d128_topk2048_ps64", "dsa_paged",
        {"batch_size": None, "num_index_heads": 64, "index_head_dim": 128, "page_size": 64, "topk": 2048,
         "max_num_pages": None, "num_pages": None, "kv_cache_num_heads": 1, "head_dim_with_scale": 132},
        {"q_index_fp8": (("batch_size", "num_index_heads", "index_head_dim"), "float8_e4m3fn"),
         "k_index_cache_fp8": (("num_pages", "page_size", "kv_cache_num_heads", "head_dim_with_scale"), "int8"),
         "weights": (("batch_size", "num_index_heads"), "float32"), "seq_lens": (("batch_size",), "int32"),
         "block_table": (("batch_size", "max_num_pages"), "int32")},
        {"topk_indices": (("batch_size", "topk"), "int32")},
    )


def rmsnorm_definition(hidden: int = 4096) -> Definition:
    row = ("batch_size", "hidden_size")
    return _definition(
        f"rmsnorm_h{hidden}", "rmsnorm", {"batch_size": None, "hidden_size": hidden},
        {"hidden_states": (row, "bfloat16"), "weight": (("hidden_size",), "bfloat16")}, {"output": (row, "bfloat16")},
    )


def gdn_definition() -> Definition:
    query, value = ("batch_size", "seq_len", "num_q_heads", "head_size"), ("batch_size", "seq_len", "num_v_heads", "head_size")
    state, gate = ("batch_size", "num_v_heads", "head_size", "head_size"), ("batch_size", "seq_len", "num_v_heads")
    return _definition(
        "gdn_decode_qk4_v8_d128_k_last", "gdn",
        {"batch_size": None, "seq_len": 1, "num_q_heads": 4, "num_k_heads": 4, "num_v_heads": 8, "head_size": 128},
        {"q": (query, "bfloat16"), "k": (("batch_size", "seq_len", "num_k_heads", "head_size"), "bfloat16"),
         "v": (value, "bfloat16"), "state": (state, "float32"), "A_log": (("num_v_heads",), "float32"),
         "a": (gate, "bfloat16"), "dt_bias": (("num_v_heads",), "float32"), "b": (gate, "bfloat16"), "scale": (None, "float32")},
        {"output": (value, "bfloat16"), "new_state": (state, "float32")},
    )


def plan_of(family: Family, definition: Definition, *keys: str) -> Plan:
    """The plan of these technique keys in order; each must be legal where it stands."""
    catalogue = family.catalogue(definition, CPU)
    plan: Plan = ()
    for key in keys:
        legal = {technique.key: technique for technique in catalogue.legal(plan)}
        assert key in legal, f"{key} is not legal after {[action.key for action in plan]}"
        plan += (legal[key].action(),)
    return plan


def rendered(family: Family, definition: Definition, *keys: str) -> Rendering:
    config = family.catalogue(definition, CPU).config(plan_of(family, definition, *keys))
    return family.render(definition, CPU, config)


def load(rendering: Rendering, folder: Path, march: str = "native") -> Callable[..., Any]:
    """The entry point, callable: Python is executed, C++ compiled with the judge's flags and loaded by tvm-ffi."""
    text = rendering.sources[0][1]
    if rendering.language == "python":
        namespace: dict[str, Any] = {}
        exec(compile(text, "kernel.py", "exec"), namespace)
        return namespace["run"]
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed: C++ templates are NOT tested")
    import tvm_ffi
    from tvm_ffi import libinfo

    source, library = folder / "kernel.cpp", folder / "kernel.so"
    source.write_text(text)
    includes = [f"-I{path}" for path in (libinfo.find_include_path(), libinfo.find_dlpack_include_path())]
    flags = ["-O3", f"-march={march}", "-std=c++17", "-shared", "-fPIC", "-fopenmp-simd", "-Wall", "-Wno-ignored-attributes"]
    done = subprocess.run(["g++", *flags, *includes, str(source), "-o", str(library)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return tvm_ffi.load_module(str(library)).run


def _pairs() -> dict[str, tuple[Family, Definition]]:
    from ksearch.coder.playbook import dsa_topk_cpu, gdn_decode_cpu, rmsnorm_cpu

    return {
        "dsa": (dsa_topk_cpu.FAMILIES[0], dsa_definition()),
        "rmsnorm": (rmsnorm_cpu.FAMILIES[0], rmsnorm_definition()),
        "gdn": (gdn_decode_cpu.FAMILIES[0], gdn_definition()),
    }


@pytest.fixture(scope="session", params=["dsa", "rmsnorm", "gdn"])
def family_and_definition(request: pytest.FixtureRequest) -> tuple[Family, Definition]:
    return _pairs()[request.param]


@pytest.fixture(scope="session")
def dsa() -> tuple[Family, Definition]:
    return _pairs()["dsa"]


@pytest.fixture(scope="session")
def rmsnorm() -> tuple[Family, Definition]:
    return _pairs()["rmsnorm"]


@pytest.fixture(scope="session")
def gdn() -> tuple[Family, Definition]:
    return _pairs()["gdn"]


@pytest.fixture
def build(tmp_path: Path) -> Callable[..., Callable[..., Any]]:
    """build(family, definition, *technique keys, march=...) -> the candidate's entry point."""
    def build_one(family: Family, definition: Definition, *keys: str, march: str = "native") -> Callable[..., Any]:
        return load(rendered(family, definition, *keys), tmp_path, march)
    return build_one
