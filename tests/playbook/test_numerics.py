"""Configurations that between them use every section of every template, against slow references of their own."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from ksearch.coder.playbook.mechanism import Family
from ksearch.definitions.schema import Definition

Build = Callable[..., Callable[..., Any]]
Pair = tuple[Family, Definition]

CPP = ("gather_pages|cache|", "rewrite_in|language|cpp")
ROW, ALL = "skip_short|scoring|row", "skip_short|scoring|all"
DSA_PYTHON = {
    "plainest": (),
    "pages": ("gather_pages|cache|", ALL, "decode|fp8|table", "select|selection|topk"),
    "tuned": ("gather_pages|cache|", ROW, "decode|fp8|bits", "fold_scale|scoring|", "reduce_by_matmul|scoring|",
              "select|selection|topk-unsorted", "fuse_mapping|mapping|"),
    "batched": ("gather_pages|cache|", "batch|requests|", "reduce_by_matmul|scoring|"),
    "batched-long": ("gather_pages|cache|", ROW, "batch|requests|", "fold_scale|scoring|", "fuse_mapping|mapping|"),
}
AMX = (*CPP, ROW, "fold_scale|scoring|", "score|dot products|amx", "decode|fp8|permute", "tree_sum|scoring|",
       "fuse_decode|scoring|", "token_block|scoring|block=32", "amx_blocking|scoring|2x2", "select|selection|linear",
       "histogram_bins|selection|bins=256", "emit|selection|compress", "fuse_mapping|mapping|", "prefetch|memory|pages=2")
DSA_CPP = {
    "plainest": CPP,
    "heads": (*CPP, ALL, "score|dot products|heads", "register_tile|scoring|tile=2", "fuse_decode|scoring|",
              "token_block|scoring|block=16", "decode|fp8|table", "select|selection|nth", "prefetch|memory|pages=1"),
    "bf16": (*CPP, ROW, "fold_scale|scoring|", "score|dot products|bf16", "register_tile|scoring|tile=4", "tree_sum|scoring|",
             "select|selection|radix", "emit|selection|branchless", "fill_runs|output|", "keep_scratch|memory|"),
    "packed-threads": (*CPP, "decode|fp8|bits", "fold_scale|scoring|", "score|dot products|amx", "select|selection|packed",
                       "threads|scoring|threads=2"),
    "linear": (*CPP, "score|dot products|heads", "register_tile|scoring|tile=4", "select|selection|linear"),
    "amx": AMX,
}


def dsa_inputs(lengths: list[int], seed: int = 0, ties: bool = False) -> list[torch.Tensor]:
    """A valid packed cache of 80 pages that requests share, and queries; `ties` makes all scores 0."""
    random = torch.Generator().manual_seed(seed)
    pages, width, batch = 80, 48, len(lengths)
    keys = torch.randn(pages, 64, 128, generator=random)
    scales = keys.abs().amax(-1).clamp(min=1e-4) / 448
    codes = (keys / scales.unsqueeze(-1)).to(torch.float8_e4m3fn).view(torch.uint8).reshape(pages, -1)
    cache = torch.cat([codes, scales.contiguous().view(torch.uint8)], dim=1).view(pages, 64, 1, 132).view(torch.int8)
    weights = torch.zeros(batch, 64) if ties else torch.randn(batch, 64, generator=random)
    table = torch.stack([torch.randperm(pages, generator=random)[:width] for _ in range(batch)]).to(torch.int32)
    query = torch.randn(batch, 64, 128, generator=random).to(torch.float8_e4m3fn)
    return [query, cache, weights, torch.tensor(lengths, dtype=torch.int32), table]


def e4m3(codes: np.ndarray) -> np.ndarray:
    """fp8 e4m3 by its definition."""
    exponent, mantissa = (codes >> 3) & 15, codes & 7
    size = np.where(exponent > 0, (8.0 + mantissa) * 2.0 ** (exponent - 10.0), mantissa * 2.0**-9)
    return np.where(codes & 128, -size, size)


def check_dsa(inputs: list[torch.Tensor], chosen: torch.Tensor) -> None:
    query, weights = e4m3(inputs[0].view(torch.uint8).numpy().astype(int)), inputs[2].double().numpy()
    raw = inputs[1].view(torch.uint8).reshape(inputs[1].shape[0], -1).numpy()
    keys, scales = e4m3(raw[:, :8192].astype(int)).reshape(-1, 128), raw[:, 8192:].copy().view(np.float32).reshape(-1)
    for b, length in enumerate(inputs[3].tolist()):
        row, count = chosen[b].numpy(), min(2048, length)
        assert (row == -1).sum() == 2048 - count
        valid = (inputs[4][b].numpy().repeat(64) * 64 + np.tile(np.arange(64), inputs[4].shape[1]))[:length].astype(int)
        picked = row[row != -1]
        assert len(set(picked.tolist())) == count
        assert set(picked.tolist()) <= set(valid.tolist())
        if count == length:
            continue
        score = {
            int(at): weights[b] @ np.maximum(query[b] @ (keys[at] * scales[at]), 0.0) for at in valid
        }
        best = np.sort(list(score.values()))[::-1][:count]
        got = np.sort([score[int(at)] for at in picked])[::-1]
        assert np.isclose(got, best, rtol=1e-4, atol=1e-4).all()


def run_dsa(kernel: Callable[..., Any], inputs: list[torch.Tensor]) -> torch.Tensor:
    """The output of one call on a buffer of junk; inputs must come out as they went in."""
    out = torch.randint(-5, 5000, (len(inputs[3]), 2048), dtype=torch.int32)
    before = [tensor.view(torch.uint8).clone() if tensor.element_size() == 1 else tensor.clone() for tensor in inputs]
    kernel(*inputs, out)
    for tensor, copy in zip(inputs, before, strict=True):
        assert torch.equal(tensor.view(copy.dtype), copy)
    return out


def check_all_dsa(kernel: Callable[..., Any]) -> None:
    edges = dsa_inputs([0, 1, 64, 65, 2047, 2048, 2049, 2600])
    check_dsa(edges, run_dsa(kernel, edges))
    several_long = dsa_inputs([3072, 2111, 5], seed=1)
    check_dsa(several_long, run_dsa(kernel, several_long))
    all_short = dsa_inputs([7, 2048], seed=2)
    check_dsa(all_short, run_dsa(kernel, all_short))
    ties = dsa_inputs([2500, 3072], ties=True)
    check_dsa(ties, run_dsa(kernel, ties))


@pytest.mark.parametrize("keys", [*DSA_PYTHON.values(), *DSA_CPP.values()], ids=[*DSA_PYTHON, *(f"cpp-{name}" for name in DSA_CPP)])
def test_dsa_topk(dsa: Pair, build: Build, keys: tuple[str, ...]) -> None:
    check_all_dsa(build(*dsa, *keys))


def test_dsa_topk_on_a_machine_without_wide_vectors(dsa: Pair, build: Build) -> None:
    check_all_dsa(build(*dsa, *AMX, march="x86-64-v2"))


RMS_CPP = "rewrite_in|language|cpp"
RMSNORM = {
    "plainest": (),
    "in-place": ("reuse_temporaries|temporaries|", "norm_of_row|reduction|"),
    "library": ("library_op|operator|",),
    "cpp": (RMS_CPP, "keep_row|row|"),
    "cpp-simd": (RMS_CPP, "vectorise|loops|simd", "widen_weights_once|weights|", "prefetch|input|"),
    "cpp-lanes": (RMS_CPP, "vectorise|loops|lanes", "independent_sums|reduction|sums=4"),
    "cpp-streamed": (RMS_CPP, "vectorise|loops|lanes", "keep_row|row|", "narrow_instruction|conversion|", "stream_writes|output|"),
}


@pytest.mark.parametrize("keys", RMSNORM.values(), ids=RMSNORM)
def test_rmsnorm(rmsnorm: Pair, build: Build, keys: tuple[str, ...]) -> None:
    kernel = build(*rmsnorm, *keys)
    random = torch.Generator().manual_seed(3)
    for scale, shift in ((1.0, 0.0), (1e-4, 0.0), (10.0, 5.0)):
        x = (torch.randn(3, 4096, generator=random) * scale + shift).to(torch.bfloat16)
        weight, out = torch.randn(4096, generator=random).to(torch.bfloat16), torch.full((3, 4096), 7.0, dtype=torch.bfloat16)
        kernel(x, weight, out)
        rows = x.double().numpy()
        expected = rows / np.sqrt((rows**2).mean(-1, keepdims=True) + 1e-6) * weight.double().numpy()
        assert np.allclose(out.double().numpy(), expected, rtol=2**-8, atol=1e-6)


@pytest.mark.parametrize("march", ["native", "x86-64-v2"])
def test_bfloat16_rounds_to_nearest_even_and_keeps_nan(rmsnorm: Pair, build: Build, march: str) -> None:
    """Rows of equal elements: each normalises to its sign, so that the weights come out as they went in."""
    kernel = build(*rmsnorm, RMS_CPP, "vectorise|loops|lanes", march=march)
    x, out = torch.full((2, 4096), 1.0), torch.empty(2, 4096, dtype=torch.bfloat16)
    x[1] = math.nan
    weight = torch.randn(4096).to(torch.bfloat16)
    kernel(x.to(torch.bfloat16), weight, out)
    expected = (weight.float() / math.sqrt(1 + 1e-6)).to(torch.bfloat16)
    assert torch.equal(out[0], expected)
    assert out[1].isnan().all()


GDN_CPP = "rewrite_in|language|cpp"
GDN = {
    "plainest": (),
    "request": ("batch|heads|request", "joint_products|state|python"),
    "batch": ("batch|heads|batch", "update_in_place|state|"),
    "batch-joint": ("batch|heads|batch", "update_in_place|state|", "joint_products|state|python"),
    "cpp": (GDN_CPP,),
    "cpp-two": (GDN_CPP, "fuse_passes|state|two", "vectorise|loops|simd"),
    "cpp-row": (GDN_CPP, "fuse_passes|state|row", "vectorise|loops|simd", "joint_products|state|cpp", "prefetch|state|rows=8"),
    "cpp-row-sequential": (GDN_CPP, "fuse_passes|state|row"),
    "cpp-lanes": (GDN_CPP, "fuse_passes|state|row", "vectorise|loops|lanes", "rows_at_once|state|rows=2"),
    "cpp-streamed": (GDN_CPP, "fuse_passes|state|row", "vectorise|loops|lanes", "joint_products|state|cpp",
                     "rows_at_once|state|rows=4", "stream_writes|state|"),
}


@pytest.mark.parametrize("keys", GDN.values(), ids=GDN)
def test_gdn_decode(gdn: Pair, build: Build, keys: tuple[str, ...]) -> None:
    kernel = build(*gdn, *keys)
    random = np.random.default_rng(5)
    batch, dim, scale = 2, 128, 0.3
    bf16 = {"q": (batch, 1, 4, dim), "k": (batch, 1, 4, dim), "v": (batch, 1, 8, dim), "a": (batch, 1, 8), "b": (batch, 1, 8)}
    t = {name: torch.from_numpy(random.standard_normal(shape)).to(torch.bfloat16) for name, shape in bf16.items()}
    t["a"][0] = 30.0  # beyond the softplus's linear threshold
    state = torch.from_numpy(random.standard_normal((batch, 8, dim, dim))).float()
    rates, bias = torch.linspace(-4, 0.5, 8), torch.linspace(-1, 1, 8)
    t["k"] = torch.nn.functional.normalize(t["k"].float(), dim=-1).to(torch.bfloat16)
    out, new = torch.full((batch, 1, 8, dim), 9.0, dtype=torch.bfloat16), torch.full_like(state, 9.0)
    kernel(t["q"], t["k"], t["v"], state, rates, t["a"], bias, t["b"], scale, out, new)
    for i in range(batch):
        for h in range(8):
            q, k, v = (t[name][i, 0, h // 2 if name != "v" else h].double().numpy() for name in "qkv")
            x = float(t["a"][i, 0, h]) + float(bias[h])
            g = math.exp(-math.exp(float(rates[h])) * math.log1p(math.exp(x)))
            beta = 1 / (1 + math.exp(-float(t["b"][i, 0, h])))
            S = g * state[i, h].double().numpy()
            S = S + np.outer(beta * (v - S @ k), k)
            assert np.allclose(new[i, h].numpy(), S, rtol=1e-5, atol=1e-5)
            assert np.allclose(out[i, 0, h].double().numpy(), scale * S @ q, rtol=2**-7, atol=1e-3)
