"""Generated inputs: valid for the operator whatever the seed and axes, new for each seed, the same for the same seed."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ksearch.definitions.catalog import bundled_workloads, load_definition
from ksearch.definitions.generate import fresh_values, make_inputs, renewed_inputs, torch_dtype
from ksearch.definitions.hidden import hidden_workloads
from ksearch.definitions.schema import Definition, RandomInput, Recipe, ScalarInput, Workload
from ksearch.errors import BadInput

SMALL = ["dsa_topk", "dsa_attention", "gdn_decode", "gdn_prefill", "rmsnorm", "fused_add_rmsnorm", "softmax", "gqa_decode", "mla_decode"]
QUICK = settings(max_examples=25, deadline=None, derandomize=True)
SEEDS = st.integers(0, 2**64 - 1)


def smallest(definition: Definition) -> Workload:
    workloads = bundled_workloads(definition.name, "cpu")
    return min(workloads, key=lambda w: sum(w.axes.values()) + sum(w.recipe.lengths))


def topk_workload(lengths: list[int], num_pages: int, columns: int, **recipe: Any) -> Workload:
    definition = load_definition("dsa_topk")
    axes = {"batch_size": len(lengths), "max_num_pages": columns, "num_pages": num_pages}
    inputs = {name: RandomInput() for name in definition.inputs}
    return Workload(axes=axes, inputs=inputs, uuid="u", recipe=Recipe(lengths=tuple(lengths), **recipe))


def equal(x: Any, y: Any) -> bool:
    if not isinstance(x, torch.Tensor):
        return bool(x == y)
    return torch.equal(x.contiguous().view(torch.uint8), y.contiguous().view(torch.uint8))


@st.composite
def topk_workloads(draw: st.DrawFn) -> Workload:
    num_pages = draw(st.integers(1, 12))
    lengths = draw(st.lists(st.integers(0, num_pages * 64), min_size=1, max_size=5))
    columns = draw(st.integers(max(1, -(-max(lengths) // 64)), 15))
    values = draw(st.sampled_from(["normal", "ties", "clustered"]))
    return topk_workload(lengths, num_pages, columns, values=values, pages=draw(st.sampled_from(["shuffled", "shared"])))


def check_topk(workload: Workload, inputs: tuple[Any, ...]) -> None:
    q, cache, weights, seq_lens, table = inputs
    num_pages = workload.axes["num_pages"]
    raw = cache.reshape(num_pages, -1)
    keys = raw[:, :8192].contiguous().view(torch.float8_e4m3fn).float()
    scales = raw[:, 8192:].contiguous().view(torch.float32)
    assert torch.isfinite(keys).all()
    assert torch.isfinite(scales).all()
    assert (scales > 0).all()
    assert torch.isfinite(q.float()).all()
    assert torch.isfinite(weights).all()
    assert tuple(seq_lens.tolist()) == workload.recipe.lengths
    assert int(table.min()) >= 0
    assert int(table.max()) < num_pages
    for row, length in zip(table.tolist(), workload.recipe.lengths, strict=True):
        used = row[: -(-length // 64)]
        assert len(set(used)) == len(used)


@QUICK
@given(topk_workloads(), SEEDS)
def test_topk_inputs_are_valid_and_stay_so_when_renewed(workload: Workload, seed: int) -> None:
    definition = load_definition("dsa_topk")
    inputs = make_inputs(definition, workload, seed)
    check_topk(workload, inputs)
    before = [x.clone() for x in inputs]
    check_topk(workload, fresh_values(definition, workload, inputs, seed + 1))
    assert all(equal(x, y) for x, y in zip(inputs, before, strict=True))


def test_shared_pages_ties_and_clusters_are_what_they_say() -> None:
    definition = load_definition("dsa_topk")
    shared = make_inputs(definition, topk_workload([200, 300], 9, 5, pages="shared"), 1)[4]
    assert torch.equal(shared[0], shared[1])
    distinct = make_inputs(definition, topk_workload([200, 300], 9, 5), 1)[4]
    assert not torch.equal(distinct[0], distinct[1])
    tied = make_inputs(definition, topk_workload([300], 9, 5, values="ties"), 1)[1].reshape(9, -1)[:, :8192].reshape(-1, 128)
    assert len(torch.unique(tied, dim=0)) == 4
    _, cache, _, _, table = make_inputs(definition, topk_workload([300], 9, 5, values="clustered"), 1)
    scales = cache.reshape(9, -1)[:, 8192:].contiguous().view(torch.float32).mean(dim=1)
    assert int(scales.argmax()) == int(table[0, 4])


@pytest.mark.parametrize("alias", SMALL)
@settings(max_examples=3, deadline=None, derandomize=True)
@given(seed=SEEDS)
def test_inputs_follow_the_definition_and_the_seed(alias: str, seed: int) -> None:
    definition = load_definition(alias)
    workload = smallest(definition)
    first, again, other = (make_inputs(definition, workload, s) for s in (seed, seed, seed ^ 1))
    for (name, spec), x, y, z in zip(definition.inputs.items(), first, again, other, strict=True):
        assert equal(x, y)
        if spec.shape is None:
            assert isinstance(x, float)
            continue
        assert tuple(x.shape) == definition.shape_of(name, workload.axes)
        assert x.dtype == torch_dtype(spec.dtype)
        assert x.is_contiguous()
        if x.is_floating_point():
            assert torch.isfinite(x.float()).all()
            assert not equal(x, z)


@pytest.mark.parametrize("alias", SMALL)
def test_fresh_values_renew_what_they_say_in_new_storage(alias: str) -> None:
    definition = load_definition(alias)
    workload = smallest(definition)
    inputs = make_inputs(definition, workload, 1)
    fresh = fresh_values(definition, workload, inputs, 2)
    renewed = renewed_inputs(definition)
    for (name, spec), old, new in zip(definition.inputs.items(), inputs, fresh, strict=True):
        if spec.shape is not None and name in renewed:
            assert old.data_ptr() != new.data_ptr() or old.numel() == 0
            assert not (old.is_floating_point() and equal(old, new)), name
        else:
            assert old is new or old == new


def test_weights_of_a_product_stay_from_call_to_call() -> None:
    definition = load_definition("gemm_fp8")
    assert renewed_inputs(definition) == ("A", "A_scale")
    workload = bundled_workloads(definition.name, "cpu")[0]
    inputs = make_inputs(definition, workload, 1)
    fresh = fresh_values(definition, workload, inputs, 2)
    assert fresh[2] is inputs[2]
    assert torch.isfinite(inputs[2].float()).all()
    assert 0.55 < float(inputs[2].float().square().mean().sqrt()) < 0.65
    assert not equal(fresh[0], inputs[0])


@QUICK
@given(SEEDS, st.lists(st.integers(0, 9), min_size=1, max_size=5))
def test_packed_sequences_have_the_recipe_s_lengths(seed: int, lengths: list[int]) -> None:
    definition = load_definition("gdn_prefill")
    axes = {"total_seq_len": sum(lengths), "num_seqs": len(lengths), "len_cu_seqlens": len(lengths) + 1}
    inputs = {name: RandomInput() if spec.shape else ScalarInput(value=0.1) for name, spec in definition.inputs.items()}
    workload = Workload(axes=axes, inputs=inputs, uuid="u", recipe=Recipe(lengths=tuple(lengths)))
    made = dict(zip(definition.inputs, make_inputs(definition, workload, seed), strict=True))
    assert made["cu_seqlens"].diff().tolist() == lengths
    assert made["cu_seqlens"].dtype == torch.int64
    torch.testing.assert_close(made["k"].float().norm(dim=-1), torch.ones(made["k"].shape[:2]), rtol=0.01, atol=0.01)


def test_lengths_left_out_depend_on_the_workload_alone() -> None:
    definition = load_definition("gdn_prefill")
    workload = bundled_workloads(definition.name, "cuda")[-1].model_copy(
        update={"axes": {"total_seq_len": 20, "num_seqs": 3, "len_cu_seqlens": 4}, "recipe": Recipe()}
    )
    first, second = (make_inputs(definition, workload, seed)[8] for seed in (1, 2))
    assert torch.equal(first, second)
    assert first[-1] == 20


@QUICK
@given(SEEDS, st.lists(st.integers(0, 30), min_size=1, max_size=5))
def test_paged_indices_point_into_the_cache_once_each(seed: int, lengths: list[int]) -> None:
    definition = load_definition("gqa_decode")
    axes = {"batch_size": len(lengths), "num_pages": 30, "len_indptr": len(lengths) + 1, "num_kv_indices": sum(lengths)}
    inputs = {name: RandomInput() if spec.shape else ScalarInput(value=0.1) for name, spec in definition.inputs.items()}
    made = make_inputs(definition, Workload(axes=axes, inputs=inputs, uuid="u", recipe=Recipe(lengths=tuple(lengths))), seed)
    _, _, _, indptr, indices, _ = made
    assert indptr.diff().tolist() == lengths
    for start, end in zip(indptr[:-1].tolist(), indptr[1:].tolist(), strict=True):
        own = indices[start:end].tolist()
        assert len(set(own)) == len(own)
        assert all(0 <= page < 30 for page in own)


@pytest.mark.parametrize("alias", [*SMALL, "gemm", "gemm_fp8", "moe_fp8"])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_hidden_workloads_stay_within_what_is_known(alias: str, device: Any) -> None:
    definition = load_definition(alias)
    base = bundled_workloads(definition.name, device)
    hidden = hidden_workloads(definition, base, seed=77)
    assert len(hidden) >= 4
    assert hidden == hidden_workloads(definition, base, seed=77)
    others = [hidden_workloads(definition, base, seed) for seed in range(5)]
    assert len({str([(w.axes, w.recipe) for w in found]) for found in others}) > 1, "another seed must give other workloads"
    assert not {w.uuid for w in hidden} & {w.uuid for w in base}
    assert "77" not in hidden[0].uuid.split("-")
    for workload in hidden:
        assert set(workload.axes) == set(definition.var_axes)
        cache = workload.axes.get("num_pages", 0)
        assert cache <= max((w.axes.get("num_pages", 0) for w in base), default=0)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_hidden_topk_has_several_long_rows_borders_and_ties(device: Any) -> None:
    definition = load_definition("dsa_topk")
    hidden = hidden_workloads(definition, bundled_workloads(definition.name, device), seed=3)
    lengths = [w.recipe.lengths for w in hidden]
    assert sum(sum(n > 2048 for n in row) >= 2 for row in lengths) >= 3
    assert {0, 2047, 2048, 2049} <= {n for row in lengths for n in row}
    assert {"ties", "clustered"} <= {w.recipe.values for w in hidden}
    assert "shared" in {w.recipe.pages for w in hidden}


@pytest.mark.parametrize("alias", ["dsa_topk", "dsa_attention", "gdn_prefill", "gqa_decode", "mla_decode"])
def test_hidden_workloads_can_be_made(alias: str) -> None:
    definition = load_definition(alias)
    for workload in hidden_workloads(definition, bundled_workloads(definition.name, "cpu"), seed=5):
        inputs = make_inputs(definition, workload, 1)
        if alias == "dsa_topk":
            check_topk(workload, inputs)


def custom(dtype: str, op_type: str = "mine") -> Definition:
    return Definition.model_validate(
        {
            "name": "mine",
            "op_type": op_type,
            "axes": {"n": {"type": "var"}},
            "inputs": {"x": {"shape": ["n"], "dtype": dtype}, "s": {"shape": None, "dtype": "float32"}},
            "outputs": {"y": {"shape": ["n"], "dtype": "float32"}},
            "reference": "def run(x, s):\n    return x",
        }
    )


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "int8", "bool"])
def test_an_unknown_operator_gets_values_by_dtype(dtype: str) -> None:
    definition = custom(dtype)
    workload = Workload(axes={"n": 500}, inputs={"x": RandomInput(), "s": RandomInput()}, uuid="u")
    x, s = make_inputs(definition, workload, 1)
    assert x.dtype == torch_dtype(dtype)
    assert torch.isfinite(x.float()).all()
    assert len(x.float().unique()) >= 2
    assert 0.5 <= s <= 1.5
    assert hidden_workloads(definition, [workload], 1)


@pytest.mark.parametrize("dtype", ["int32", "int64", "int16", "float4_e2m1"])
def test_indices_of_an_unknown_operator_are_refused(dtype: str) -> None:
    workload = Workload(axes={"n": 5}, inputs={"x": RandomInput(), "s": ScalarInput(value=1.0)}, uuid="u")
    with pytest.raises(BadInput, match=r"'x'.*safetensors"):
        make_inputs(custom(dtype), workload, 1)
    assert hidden_workloads(custom(dtype), [workload], 1) == ()


def test_bad_workloads_are_refused_with_their_name() -> None:
    definition = load_definition("dsa_topk")
    with pytest.raises(BadInput, match="num_pages"):
        make_inputs(definition, Workload(axes={"batch_size": 1, "max_num_pages": 1}, inputs={}, uuid="w"), 1)
    with pytest.raises(BadInput, match="2 distinct pages"):
        make_inputs(definition, topk_workload([100], 1, 2), 1)
    with pytest.raises(BadInput, match="lengths must be"):
        make_inputs(definition, topk_workload([100], 5, 1), 1)
