"""Bytes and operations of a call: equal to what a hand computes, and never less for more of anything."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksearch.definitions.catalog import load_definition, workloads_for
from ksearch.definitions.kits import kit_for
from ksearch.definitions.kits.work import Work, distinct
from ksearch.definitions.schema import Definition, RandomInput, Recipe, SafetensorsInput, Workload

NAMES = (
    "dsa_topk", "dsa_attention", "gdn_decode", "gdn_prefill", "moe_fp8", "gemm_n4096_k4096", "gemm_fp8_block_scale_n4096_k4096",
    "softmax", "rmsnorm", "fused_add_rmsnorm_h4096", "gqa_paged_decode_h32_kv4_d128_ps1", "mla_paged_decode_h16_ckv512_kpe64_ps1",
)  # fmt: skip


def definition_of(name: str) -> Definition:
    return load_definition(name, None)


def work(name: str, axes: Mapping[str, int], lengths: tuple[int, ...] = (), recipe: Recipe | None = None) -> Work:
    definition = definition_of(name)
    inputs = {tensor: RandomInput() for tensor in definition.inputs}
    recipe = (recipe or Recipe()).model_copy(update={"lengths": lengths})
    return kit_for(definition).work(definition, Workload(axes=dict(axes), inputs=inputs, uuid="u", recipe=recipe))


def topk(*lengths: int, recipe: Recipe | None = None, pages: int = 11923) -> Work:
    return work("dsa_topk", {"batch_size": len(lengths), "max_num_pages": 91, "num_pages": pages}, lengths, recipe)


def test_topk_of_short_rows_reads_lengths_and_the_table_alone() -> None:
    found = topk(100, 2048)
    assert found.read_bytes == 2 * 4 + (2 + 32) * 4  # two int32 lengths; 2 and 32 pages of 64 tokens in the block table
    assert found.written_bytes == 2 * 2048 * 4
    assert found.total_operations == 0


def test_topk_of_a_long_row_reads_its_tokens_once() -> None:
    found = topk(5000, 7)
    tokens, table = 5000 * (128 + 4), (math.ceil(5000 / 64) + 1) * 4
    assert found.read_bytes == pytest.approx(2 * 4 + table + 64 * 128 + 64 * 4 + tokens)
    assert found.operations == (("tensor_fp8", 2.0 * 64 * 128 * 5000),)


def test_pages_that_rows_share_are_read_once() -> None:
    shared = topk(5000, 4000, recipe=Recipe(pages="shared"))
    apart = topk(5000, 4000)
    alone = topk(5000)
    assert shared.read_bytes - alone.read_bytes == 4 + math.ceil(4000 / 64) * 4 + 64 * 128 + 64 * 4, "only its queries and table entries"
    assert alone.read_bytes < shared.read_bytes < apart.read_bytes


def test_gemm() -> None:
    found = work("gemm_n4096_k4096", {"M": 16})
    assert found.read_bytes == 2 * (16 * 4096 + 4096 * 4096)
    assert found.written_bytes == 2 * 16 * 4096
    assert found.operations == (("tensor_half", 2.0 * 16 * 4096 * 4096),)


def test_rmsnorm_and_softmax() -> None:
    norm = work("rmsnorm", {"batch_size": 3})
    assert (norm.read_bytes, norm.written_bytes) == (2 * (3 * 4096 + 4096), 2 * 3 * 4096)
    softmax = work("softmax", {"batch_size": 3})
    assert (softmax.read_bytes, softmax.written_bytes) == (4 * 3 * 4096, 4 * 3 * 4096)
    assert softmax.operations == (("vector_fp32", 4.0 * 3 * 4096),)


def test_gdn_decode() -> None:
    found = work("gdn_decode", {"batch_size": 5})
    state = 8 * 128 * 128
    read = 5 * (2 * (4 * 128 + 4 * 128 + 8 * 128 + 8 + 8) + 4 * state) + 4 * (8 + 8)  # q, k, v, a, b; the state; A_log, dt_bias
    assert found.read_bytes == read
    assert found.written_bytes == 5 * (2 * 8 * 128 + 4 * state)
    assert dict(found.operations) == {"tensor_tf32": 4.0 * 5 * state, "vector_fp32": 3.0 * 5 * state}


def test_attention_over_chosen_entries() -> None:
    found = work("dsa_attention", {"num_tokens": 2, "num_pages": 100}, (10, 0))
    assert found.read_bytes == 4 * 2 * 2048 + 2 * 16 * (512 + 64) + 10 * 2 * (512 + 64), "indices; one token's queries; ten entries"
    assert found.operations == (("tensor_half", 2.0 * 16 * (512 + 64 + 512) * 10),)


def test_paged_attention_reads_the_tokens_in_use() -> None:
    axes = {"batch_size": 1, "num_pages": 1000, "len_indptr": 2, "num_kv_indices": 30}
    found = work("gqa_paged_decode_h32_kv4_d128_ps1", axes, (30,))
    assert found.read_bytes == pytest.approx(2 * 32 * 128 + 4 * 2 + 4 * 30 + 30 * 2 * 2 * 4 * 128)
    assert found.operations == (("tensor_half", pytest.approx(4.0 * 32 * 128 * 30)),)


def test_experts_without_a_token_are_not_read() -> None:
    few, many = work("moe_fp8", {"seq_len": 1}), work("moe_fp8", {"seq_len": 4096})
    weights = 32 * (4096 * 7168 + 7168 * 2048)
    assert few.read_bytes < 0.05 * weights, "one token comes to one local expert of 32 on average"
    assert many.read_bytes > weights


def test_recorded_lengths_are_not_guessed() -> None:
    definition = definition_of("dsa_topk")
    inputs = {name: SafetensorsInput(path="x", tensor_key=name) for name in definition.inputs}
    axes = {"batch_size": 2, "max_num_pages": 91, "num_pages": 11923}
    found = kit_for(definition).work(definition, Workload(axes=axes, inputs=inputs, uuid="u"))
    assert (found.basis, found.read_bytes) == ("outputs alone", 0.0)


def unknown(dtype: str) -> Definition:
    return Definition.model_validate(
        {
            "name": "new", "op_type": "new", "axes": {"n": {"type": "var"}},
            "inputs": {"x": {"shape": ["n"], "dtype": "float32"}, "where": {"shape": ["n"], "dtype": dtype}},
            "outputs": {"y": {"shape": ["n"], "dtype": "float16"}}, "reference": "def run(x, where):\n    return x\n",
        }
    )  # fmt: skip


def test_an_unknown_operator_is_believed_as_far_as_its_types_allow() -> None:
    workload = Workload(axes={"n": 10}, inputs={}, uuid="u")
    plain, gathering = (kit_for(d).work(d, workload) for d in (unknown("float32"), unknown("int32")))
    assert (plain.basis, plain.read_bytes, plain.written_bytes) == ("all inputs", 80.0, 20.0)
    assert (gathering.basis, gathering.read_bytes, gathering.written_bytes) == ("outputs alone", 0.0, 20.0)


@pytest.mark.parametrize("name", NAMES)
def test_every_bundled_workload_has_a_declared_count(name: str) -> None:
    definition = definition_of(name)
    for workload in workloads_for(definition, "cuda", None):
        found = kit_for(definition).work(definition, workload)
        whole = sum(math.prod(definition.shape_of(t, workload.axes) or ()) * 8 for t in definition.inputs)
        assert found.basis == "declared"
        assert 0 < found.read_bytes <= whole
        assert found.written_bytes > 0


@given(st.lists(st.integers(0, 5824), min_size=1, max_size=8), st.integers(0, 5824), st.integers(0, 7))
def test_longer_rows_and_more_of_them_never_cost_less(lengths: list[int], extra: int, index: int) -> None:
    before = topk(*lengths)
    longer = [*lengths]
    longer[index % len(lengths)] = max(longer[index % len(lengths)], extra)
    for after in (topk(*longer), topk(*lengths, extra)):
        assert after.read_bytes >= before.read_bytes - 1e-6
        assert after.written_bytes >= before.written_bytes
        assert after.total_operations >= before.total_operations


@pytest.mark.parametrize(
    ("name", "axis"),
    [
        ("gemm_n4096_k4096", "M"), ("gemm_fp8_block_scale_n4096_k4096", "M"), ("softmax", "batch_size"), ("rmsnorm", "batch_size"),
        ("gdn_decode", "batch_size"), ("moe_fp8", "seq_len"),
    ],
)  # fmt: skip
@given(small=st.integers(1, 5000), more=st.integers(0, 5000))
def test_more_rows_never_cost_less(name: str, axis: str, small: int, more: int) -> None:
    before, after = work(name, {axis: small}), work(name, {axis: small + more})
    assert after.moved_bytes >= before.moved_bytes - 1e-6
    assert after.total_operations >= before.total_operations


@given(st.lists(st.floats(0, 200), max_size=6), st.floats(1, 1000))
def test_distinct_things_lie_between_the_largest_request_and_all(parts: list[float], of: float) -> None:
    found, shared = distinct(parts, of), distinct(parts, of, shared=True)
    assert shared <= found + 1e-6
    assert found <= min(of, sum(parts)) + 1e-6
