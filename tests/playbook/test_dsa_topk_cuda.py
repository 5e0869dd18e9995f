"""The CUDA templates: every reachable configuration is text of its own, and a sample of them compiles."""

from __future__ import annotations

import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ksearch.coder.playbook.dsa_topk_cuda import FAMILIES
from ksearch.coder.playbook.mechanism import Family, fallbacks_of
from ksearch.coder.types import Target
from ksearch.definitions.schema import Definition
from ksearch.tree.types import Plan

HOPPER = Target("cuda", "sm_90", ("cuda",))
BLACKWELL = Target("cuda", "sm_100", ("cuda",))

TO_CLUSTER = ("skip_short|scoring|host", "fuse_mapping|mapping|", "select|selection|radix")
BEST = (
    *TO_CLUSTER, "score|dot products|wgmma", "one_launch|launch|cluster", "share_selection|selection|", "bulk_copies|pages|",
    "async_exchange|synchronisation|", "relax_opening|synchronisation|", "persist|cluster|clusters=8",
)
COMPILED = (
    (HOPPER, ()),
    (HOPPER, BEST),
    (HOPPER, (*TO_CLUSTER, "score|dot products|wgmma", "one_launch|launch|cluster", "early_table|block table|", "in_flight|pages|pages=2")),
    (HOPPER, ("score|dot products|wgmma", "select|selection|linear", "overlap_launches|launch|")),
    (BLACKWELL, ("score|dot products|mma16", "select|selection|bisect")),
    (BLACKWELL, (
        *TO_CLUSTER, "score|dot products|mma8", "one_launch|launch|cluster", "share_selection|selection|", "bulk_copies|pages|",
        "early_table|block table|", "async_exchange|synchronisation|", "relu_by_abs|dot products|",
    )),
)
"""Plans that between them use every section at least once, bar a few."""


@pytest.fixture(scope="module")
def family() -> Family:
    return FAMILIES[0]


@pytest.fixture(scope="module")
def definition() -> Definition:
    tensors = {
        "q_index_fp8": (["batch_size", "num_index_heads", "index_head_dim"], "float8_e4m3fn"),
        "k_index_cache_fp8": (["num_pages", "page_size", "kv_cache_num_heads", "head_dim_with_scale"], "int8"),
        "weights": (["batch_size", "num_index_heads"], "float32"), "seq_lens": (["batch_size"], "int32"),
        "block_table": (["batch_size", "max_num_pages"], "int32"),
    }
    consts = {
        "num_index_heads": 64, "index_head_dim": 128, "page_size": 64, "topk": 2048, "kv_cache_num_heads": 1,
        "head_dim_with_scale": 132,
    }
    return Definition.model_validate({
        "name": "dsa_topk", "op_type": "dsa_paged", "reference": "import torch\n\n\ndef run(*inputs):\n    return inputs[0]\n",
        "axes": {n: {"type": "const", "value": v} for n, v in consts.items()}
        | {n: {"type": "var"} for n in ("batch_size", "max_num_pages", "num_pages")},
        "inputs": {n: {"shape": shape, "dtype": dtype} for n, (shape, dtype) in tensors.items()},
        "outputs": {"topk_indices": {"shape": ["batch_size", "topk"], "dtype": "int32"}},
    })


def plan_of(family: Family, definition: Definition, target: Target, keys: tuple[str, ...]) -> Plan:
    catalogue = family.catalogue(definition, target)
    plan: Plan = ()
    for key in keys:
        legal = {technique.key: technique for technique in catalogue.legal(plan)}
        assert key in legal, f"{key} is not legal after {[action.key for action in plan]}"
        plan += (legal[key].action(),)
    return plan


def text_of(family: Family, definition: Definition, target: Target, plan: Plan) -> str:
    return family.render(definition, target, family.catalogue(definition, target).config(plan)).sources[0][1]


def test_covers_its_definition_on_recent_gpus_only(family: Family, definition: Definition) -> None:
    assert family.covers(definition, HOPPER)
    assert family.covers(definition, BLACKWELL)
    assert not family.covers(definition, Target("cuda", "sm_80", ("cuda",)))
    assert not family.covers(definition, Target("cuda", "sm_90", ("triton",)))
    assert not family.covers(definition, Target("cpu", None, ("cpp",)))


@settings(max_examples=60, deadline=None)
@given(data=st.data(), target=st.sampled_from((HOPPER, BLACKWELL)))
def test_every_step_of_a_random_walk_changes_the_code(
    family: Family, definition: Definition, data: st.DataObject, target: Target
) -> None:
    catalogue = family.catalogue(definition, target)
    plan: Plan = ()
    text = text_of(family, definition, target, plan)
    for _ in range(data.draw(st.integers(1, 16))):
        legal = catalogue.legal(plan)
        if not legal:
            break
        plan = (*plan, data.draw(st.sampled_from(legal)).action())
        child = text_of(family, definition, target, plan)
        assert child != text, f"{plan[-1].key} changes nothing after {[a.key for a in plan[:-1]]}"
        check_source(child)
        for other in fallbacks_of(family, catalogue.config(plan), "numerics"):
            check_source(family.render(definition, target, other).sources[0][1])
        text = child


def check_source(text: str) -> None:
    assert text.count("TVM_FFI_DLL_EXPORT_TYPED_FUNC(run") == 1
    assert "//%" not in text
    for opening, closing in ("{}", "()", "[]"):
        assert text.count(opening) == text.count(closing)


def test_the_order_of_independent_steps_does_not_matter(family: Family, definition: Definition) -> None:
    one = text_of(family, definition, HOPPER, plan_of(family, definition, HOPPER, BEST))
    other = text_of(family, definition, HOPPER, plan_of(family, definition, HOPPER, (BEST[3], *BEST[:3], *BEST[4:6], *reversed(BEST[6:]))))
    assert one == other


def test_every_technique_can_be_reached_and_choices_stay_few(family: Family, definition: Definition) -> None:
    catalogue = family.catalogue(definition, HOPPER)
    reached: set[str] = set()
    frontier: list[Plan] = [()]
    seen = {frozenset(catalogue.defaults.items())}
    while frontier:
        plan = frontier.pop()
        legal = catalogue.legal(plan)
        assert len(legal) <= 16
        for technique in legal:
            child = (*plan, technique.action())
            state = frozenset(catalogue.config(child).items())
            if state not in seen and len(seen) < 2000:
                frontier.append(child)
            reached.add(technique.key)
            seen.add(state)
    assert reached == {technique.key for technique in catalogue.techniques}


def test_claims_are_sane(family: Family, definition: Definition) -> None:
    techniques = family.catalogue(definition, HOPPER).techniques
    assert all(0 < t.p_success < 1 and t.gain_sd > 0 and 1 <= t.difficulty <= 5 for t in techniques)
    assert all(t.intent and t.rationale for t in techniques)


def test_hopper_instructions_are_offered_on_hopper_only(family: Family, definition: Definition) -> None:
    offered = [{t.parameter for t in family.catalogue(definition, target).techniques} for target in (HOPPER, BLACKWELL)]
    assert "wgmma" in offered[0]
    assert "wgmma" not in offered[1]


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_sample_compiles(family: Family, definition: Definition, tmp_path: Path) -> None:
    if shutil.which("nvcc") is None:
        pytest.skip("nvcc is not installed: CUDA templates are NOT compiled")
    pytest.importorskip("tvm_ffi", reason="tvm_ffi is not installed: CUDA templates are NOT compiled")
    from tvm_ffi import libinfo

    includes = [f"-I{path}" for path in (libinfo.find_include_path(), libinfo.find_dlpack_include_path())]

    def compiled(number: int) -> str:
        target, keys = COMPILED[number]
        source = tmp_path / f"{number}.cu"
        source.write_text(text_of(family, definition, target, plan_of(family, definition, target, keys)))
        arch = "arch=compute_90a,code=sm_90a" if target is HOPPER else "arch=compute_100,code=sm_100"
        # The pass over host code costs twice as much as the device's, which parses all of the file too: one is compiled in full.
        passes = ["-c"] if keys == BEST else ["-cubin"]
        flags = ["-std=c++17", "-O1", f"-gencode={arch}", *passes, "-o", str(source.with_suffix(".o"))]
        done = subprocess.run(["nvcc", *flags, *includes, str(source)], capture_output=True, text=True)
        return "" if done.returncode == 0 else f"{target.arch} {keys}:\n{done.stderr}"

    with ThreadPoolExecutor(2) as pool:
        failures = [failure for failure in pool.map(compiled, range(len(COMPILED))) if failure]
    assert not failures, "\n".join(failures)
