"""Each reference against a second implementation in float64 loops, on small sizes and the edges where kernels break."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

from ksearch.definitions.catalog import load_definition
from ksearch.definitions.generate import make_inputs
from ksearch.definitions.schema import Definition, InputSpec, RandomInput, Recipe, ScalarInput, Workload

Tensor = torch.Tensor


def decode_token(cache: Tensor, page: int, offset: int) -> Tensor:
    """One key of the packed indexer cache, byte by byte."""
    raw = cache[page].reshape(-1).view(torch.uint8)
    row = raw[offset * 128 : (offset + 1) * 128].clone().view(torch.float8_e4m3fn).double()
    scale = raw[64 * 128 + 4 * offset : 64 * 128 + 4 * offset + 4].clone().view(torch.float32).double()
    return row * scale


def topk_scores(q: Tensor, cache: Tensor, weights: Tensor, seq_lens: Tensor, table: Tensor) -> list[dict[int, float]]:
    """For each request: global index -> score, for all its tokens."""
    q = q.double()
    found = []
    for b in range(q.shape[0]):
        scores = {}
        for t in range(int(seq_lens[b])):
            page = int(table[b, t // 64])
            key = decode_token(cache, page, t % 64)
            dots = (q[b] * key).sum(dim=1).clamp_min(0)
            scores[page * 64 + t % 64] = float((weights[b].double() * dots).sum())
        found.append(scores)
    return found


def attention(queries: Sequence[Tensor], keys: Sequence[Tensor], values: Tensor, scale: float) -> tuple[Tensor, float]:
    """One head: softmax of the summed products of query and key parts, times the values; and the base-2 log-sum-exp."""
    if len(values) == 0:
        return torch.zeros(values.shape[1:], dtype=torch.float64), -math.inf
    logits = [scale * sum(float(q.double() @ k[t].double()) for q, k in zip(queries, keys, strict=True)) for t in range(len(values))]
    peak = max(logits)
    parts = [math.exp(x - peak) for x in logits]
    out = sum(p / sum(parts) * values[t].double() for t, p in enumerate(parts))
    assert isinstance(out, Tensor)
    return out, (peak + math.log(sum(parts))) / math.log(2)


def delta_rule(
    q: Tensor, k: Tensor, v: Tensor, state: Tensor, A_log: Tensor, a: Tensor, dt_bias: Tensor, b: Tensor, scale: float
) -> tuple[Tensor, Tensor]:
    """One sequence [L, heads, ...] from one state [value heads, V, K]."""
    state = state.double().clone()
    out = torch.zeros(v.shape, dtype=torch.float64)
    for t in range(v.shape[0]):
        for h in range(v.shape[1]):
            key, query = k[t, h // 2].double(), q[t, h // 2].double()
            softplus = math.log1p(math.exp(float(a[t, h]) + float(dt_bias[h])))
            decay = math.exp(-math.exp(float(A_log[h])) * softplus)
            beta = 1 / (1 + math.exp(-float(b[t, h])))
            state[h] *= decay
            error = v[t, h].double() - state[h] @ key
            state[h] += torch.outer(beta * error, key)
            out[t, h] = scale * (state[h] @ query)
    return out, state


def choose_experts(logits: Tensor, bias: Tensor, factor: float) -> dict[int, float]:
    """DeepSeek-V3 routing of one token: expert -> weight."""
    s = [1 / (1 + math.exp(-float(x))) for x in logits]
    biased = [x + float(y) for x, y in zip(s, bias, strict=True)]
    group_score = [sum(sorted(biased[32 * g : 32 * g + 32])[-2:]) for g in range(8)]
    groups = sorted(range(8), key=lambda g: group_score[g])[-4:]
    allowed = [e for e in range(256) if e // 32 in groups]
    chosen = sorted(allowed, key=lambda e: biased[e])[-8:]
    total = sum(s[e] for e in chosen)
    return {e: factor * s[e] / total for e in chosen}


def reference(definition: Definition) -> Callable[..., Any]:
    scope: dict[str, Any] = {}
    exec(compile(definition.reference, definition.name, "exec"), scope)
    run: Callable[..., Any] = scope["run"]
    return run


def workload(definition: Definition, axes: dict[str, int], recipe: Recipe | None = None, **scalars: float) -> Workload:
    inputs: dict[str, InputSpec] = {n: ScalarInput(value=scalars[n]) if n in scalars else RandomInput() for n in definition.inputs}
    return Workload(axes=axes, inputs=inputs, uuid="test", recipe=recipe or Recipe())


def assert_rows_close(out: torch.Tensor, expected: torch.Tensor, relative: float) -> None:
    """Each row's error is small beside the row: 2^-9 is half a bfloat16 step."""
    error = (out.double() - expected).norm(dim=-1)
    assert (error <= relative * expected.norm(dim=-1) + 1e-12).all(), (error / expected.norm(dim=-1)).max()


def topk_case(lengths: list[int], num_pages: int, columns: int, recipe: Recipe | None = None) -> None:
    definition = load_definition("dsa_topk")
    recipe = (recipe or Recipe()).model_copy(update={"lengths": tuple(lengths)})
    axes = {"batch_size": len(lengths), "max_num_pages": columns, "num_pages": num_pages}
    inputs = make_inputs(definition, workload(definition, axes, recipe), seed=5)
    out = reference(definition)(*inputs)
    assert out.dtype == torch.int32
    assert out.shape == (len(lengths), 2048)
    for row, length, scores in zip(out.tolist(), lengths, topk_scores(*inputs), strict=True):
        chosen = [index for index in row if index != -1]
        assert len(chosen) == len(set(chosen)) == min(2048, length)
        assert row[len(chosen) :] == [-1] * (2048 - len(chosen))
        best = sorted(scores.values(), reverse=True)[: len(chosen)]
        got = sorted((scores[index] for index in chosen), reverse=True)
        assert got == pytest.approx(best, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("lengths", [[0], [1, 0, 63, 64, 65], [130, 128]])
def test_topk_short(lengths: list[int]) -> None:
    topk_case(lengths, num_pages=5, columns=3)


@pytest.mark.parametrize(("lengths", "values"), [([2047, 2048, 2049, 0], "normal"), ([2300], "ties"), ([2113, 2200], "clustered")])
def test_topk_around_and_over_topk(lengths: list[int], values: Any) -> None:
    topk_case(lengths, num_pages=40, columns=37, recipe=Recipe(values=values))


def test_topk_decoding_is_not_the_per_token_layout() -> None:
    """The scales stand after the page's keys; a layout with a scale after each key decodes to something else."""
    definition = load_definition("dsa_topk")
    cache = make_inputs(definition, workload(definition, {"batch_size": 1, "max_num_pages": 1, "num_pages": 2}), seed=1)[1]
    scope: dict[str, Any] = {}
    exec(definition.reference, scope)
    keys = scope["unpack"](cache)
    for offset in (0, 1, 63):
        assert torch.equal(keys[1, offset].double().float(), decode_token(cache, 1, offset).float())


def paged_case(alias: str, lengths: list[int]) -> None:
    definition = load_definition(alias)
    axes = {"batch_size": len(lengths), "num_pages": 40, "len_indptr": len(lengths) + 1, "num_kv_indices": sum(lengths)}
    inputs = make_inputs(definition, workload(definition, axes, Recipe(lengths=tuple(lengths)), sm_scale=0.08), seed=3)
    by_name = dict(zip(definition.inputs, inputs, strict=True))
    out, lse = reference(definition)(*inputs)
    expected = torch.zeros(out.shape, dtype=torch.float64)
    for b, length in enumerate(lengths):
        start = int(by_name["kv_indptr"][b])
        tokens = by_name["kv_indices"][start : start + length].long()
        for h in range(out.shape[1]):
            if alias == "gqa_decode":
                keys, values = by_name["k_cache"][tokens, 0, h // 8], by_name["v_cache"][tokens, 0, h // 8]
                expected[b, h], log2 = attention([by_name["q"][b, h]], [keys], values, 0.08)
            else:
                ckv, kpe = by_name["ckv_cache"][tokens, 0], by_name["kpe_cache"][tokens, 0]
                expected[b, h], log2 = attention([by_name["q_nope"][b, h], by_name["q_pe"][b, h]], [ckv, kpe], ckv, 0.08)
            assert float(lse[b, h]) == pytest.approx(log2, rel=1e-4, abs=1e-4)
    assert_rows_close(out, expected, 2**-8)


@pytest.mark.parametrize("alias", ["gqa_decode", "mla_decode"])
def test_paged_decode(alias: str) -> None:
    paged_case(alias, [3, 0, 1, 17])


def test_paged_decode_without_any_token() -> None:
    paged_case("mla_decode", [0])


def test_sparse_attention() -> None:
    definition = load_definition("dsa_attention")
    lengths = (0, 1, 70, 2048)
    axes = {"num_tokens": 4, "num_pages": 33}
    inputs = make_inputs(definition, workload(definition, axes, Recipe(lengths=lengths), sm_scale=0.07), seed=9)
    q_nope, q_pe, ckv_cache, kpe_cache, indices, scale = inputs
    out, lse = reference(definition)(*inputs)
    assert torch.equal(out[0], torch.zeros_like(out[0]))
    assert torch.equal(lse[0], torch.full((16,), -math.inf))
    for t, h in ((1, 0), (2, 5), (2, 15), (3, 7)):
        chosen = [int(i) for i in indices[t] if i >= 0]
        ckv = torch.stack([ckv_cache[i // 64, i % 64] for i in chosen])
        kpe = torch.stack([kpe_cache[i // 64, i % 64] for i in chosen])
        expected, log2 = attention([q_nope[t, h], q_pe[t, h]], [ckv, kpe], ckv, scale)
        assert_rows_close(out[t, h], expected, 2**-8)
        assert float(lse[t, h]) == pytest.approx(log2, rel=1e-4)


def test_sparse_attention_skips_padding_anywhere() -> None:
    definition = load_definition("dsa_attention")
    w = workload(definition, {"num_tokens": 1, "num_pages": 2}, Recipe(lengths=(9,)), sm_scale=0.07)
    inputs = list(make_inputs(definition, w, seed=9))
    out, lse = reference(definition)(*inputs)
    inputs[4] = inputs[4].flip(1).contiguous()
    flipped, flipped_lse = reference(definition)(*inputs)
    torch.testing.assert_close(flipped, out)
    torch.testing.assert_close(flipped_lse, lse)


def test_gdn_decode() -> None:
    definition = load_definition("gdn_decode")
    inputs = make_inputs(definition, workload(definition, {"batch_size": 3}, scale=0.09), seed=2)
    q, k, v, state, A_log, a, dt_bias, b, scale = inputs
    out, new_state = reference(definition)(*inputs)
    for n in range(3):
        expected, expected_state = delta_rule(q[n], k[n], v[n], state[n], A_log, a[n], dt_bias, b[n], scale)
        assert_rows_close(out[n], expected, 2**-7)
        torch.testing.assert_close(new_state[n].double(), expected_state, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("lengths", [[5], [3, 0, 7, 1], [0, 2], [0]])
def test_gdn_prefill(lengths: list[int]) -> None:
    definition = load_definition("gdn_prefill")
    axes = {"total_seq_len": sum(lengths), "num_seqs": len(lengths), "len_cu_seqlens": len(lengths) + 1}
    inputs = make_inputs(definition, workload(definition, axes, Recipe(lengths=tuple(lengths)), scale=0.09), seed=2)
    q, k, v, state, A_log, a, dt_bias, b, cu, scale = inputs
    before = state.clone()
    out, new_state = reference(definition)(*inputs)
    assert torch.equal(state, before)
    for n in range(len(lengths)):
        rows = slice(int(cu[n]), int(cu[n + 1]))
        expected, expected_state = delta_rule(q[rows], k[rows], v[rows], state[n], A_log, a[rows], dt_bias, b[rows], scale)
        assert_rows_close(out[rows], expected, 2**-7)
        torch.testing.assert_close(new_state[n].double(), expected_state, rtol=1e-4, atol=1e-5)


def test_moe_on_small_experts() -> None:
    """Hidden 256, intermediate 128, the full routing; the bundled sizes hold 1.4 GB of weights and differ in nothing else."""
    definition = load_definition("moe_fp8")
    torch.manual_seed(0)
    tokens, hidden, inter, first, factor = 6, 256, 128, 64, 2.5

    def fp8(*shape: int) -> torch.Tensor:
        return torch.randn(shape).to(torch.float8_e4m3fn)

    logits, bias = torch.randn(tokens, 256), (0.3 * torch.randn(256)).bfloat16()
    logits[:4, first : first + 32] += 2
    logits[5, first : first + 32] -= 9
    x, x_scale = fp8(tokens, hidden), torch.rand(2, tokens) + 0.5
    w1, s1 = fp8(32, 2 * inter, hidden), 0.1 * (torch.rand(32, 2, 2) + 0.5)
    w2, s2 = fp8(32, hidden, inter), 0.1 * (torch.rand(32, 2, 1) + 0.5)
    out = reference(definition)(logits, bias, x, x_scale, w1, s1, w2, s2, first, factor)
    expected = torch.zeros(tokens, hidden, dtype=torch.float64)
    for t in range(tokens):
        row = torch.tensor([float(x[t, i]) * float(x_scale[i // 128, t]) for i in range(hidden)], dtype=torch.float64)
        for expert, weight in choose_experts(logits[t], bias, factor).items():
            e = expert - first
            if not 0 <= e < 32:
                continue
            full1 = w1[e].double() * s1[e].double().repeat_interleave(128, 0).repeat_interleave(128, 1)
            full2 = w2[e].double() * s2[e].double().repeat_interleave(128, 0).repeat_interleave(128, 1)
            up = full1 @ row
            x1, x2 = up[:inter], up[inter:]
            expected[t] += weight * (full2 @ (x1 * x2 / (1 + torch.exp(-x2))))
    assert expected[:4].abs().sum() > 0
    assert torch.equal(out[5], torch.zeros(hidden, dtype=torch.bfloat16))
    assert_rows_close(out[:4], expected[:4], 2**-8)


def test_rmsnorm_and_fused_add() -> None:
    for alias in ("rmsnorm", "fused_add_rmsnorm"):
        definition = load_definition(alias)
        inputs = make_inputs(definition, workload(definition, {"batch_size": 3}), seed=4)
        x = sum(t.double() for t in inputs[:-1])
        assert isinstance(x, torch.Tensor)
        x[1] = 0
        zeroed = [t.index_fill(0, torch.tensor([1]), 0) for t in inputs[:-1]]
        expected = torch.stack([row / math.sqrt(float((row * row).mean()) + 1e-5) for row in x]) * inputs[-1].double()
        assert_rows_close(reference(definition)(*zeroed, inputs[-1]), expected, 2**-8)


def test_softmax_of_huge_logits() -> None:
    definition = load_definition("softmax")
    logits = torch.randn(3, 4096) * 3
    logits[1] = 3e4
    logits[2, 7] = 2e4
    rows = [[math.exp(x - max(row)) for x in row] for row in logits.double().tolist()]
    expected = torch.tensor([[x / sum(row) for x in row] for row in rows], dtype=torch.float64)
    torch.testing.assert_close(reference(definition)(logits).double(), expected, rtol=1e-5, atol=1e-9)


def test_gemms() -> None:
    torch.manual_seed(1)
    a, b = torch.randn(3, 256).half(), torch.randn(128, 256).half()
    expected = torch.tensor([[float((x.double() * y.double()).sum()) for y in b] for x in a], dtype=torch.float64)
    assert_rows_close(reference(load_definition("gemm"))(a, b), expected, 2**-10)
    fa, fb = a.to(torch.float8_e4m3fn), b.to(torch.float8_e4m3fn)
    sa, sb = torch.rand(3, 2) + 0.5, torch.rand(1, 2) + 0.5
    scaled_a = torch.stack([fa[:, j].double() * sa[:, j // 128].double() for j in range(256)], dim=1)
    scaled_b = torch.stack([fb[:, j].double() * sb[0, j // 128].double() for j in range(256)], dim=1)
    assert_rows_close(reference(load_definition("gemm_fp8"))(fa, sa, fb, sb), scaled_a @ scaled_b.T, 2**-8)


@pytest.mark.parametrize("alias", ["dsa_topk", "gdn_prefill", "rmsnorm"])
def test_references_are_deterministic(alias: str) -> None:
    definition = load_definition(alias)
    axes = {
        "dsa_topk": {"batch_size": 2, "max_num_pages": 40, "num_pages": 48},
        "gdn_prefill": {"total_seq_len": 9, "num_seqs": 2, "len_cu_seqlens": 3},
        "rmsnorm": {"batch_size": 5},
    }[alias]
    inputs = make_inputs(definition, workload(definition, axes, scale=0.1), seed=8)
    first, second = (reference(definition)(*inputs) for _ in range(2))
    for x, y in zip(first if isinstance(first, tuple) else (first,), second if isinstance(second, tuple) else (second,), strict=True):
        assert torch.equal(x, y)
