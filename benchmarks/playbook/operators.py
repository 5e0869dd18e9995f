"""Operators the checks of GPU templates run on: definitions, inputs of a case, and what makes an output right.

Arguments and faults need torch alone, so that a machine without the package can check and time. Inputs follow the
operators' own rules: packed caches come from quantised normals, keys of the delta rule have unit length, pages of one
request are distinct.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from ksearch.definitions.schema import Definition

TO_NEAREST = 2**-8
"""Largest relative error of a float32 rounded to bfloat16."""

Case = Mapping[str, Any]
"""Sizes of one call, as JSON values."""

TOPK, PAGE, HEADS, DIM = 2048, 64, 64, 128
HIDDEN, EPSILON = 4096, 1e-5


@dataclass(frozen=True)
class Operator:
    """`arguments` makes a call's inputs and outputs (outputs last, filled with rubbish); `fault` says what is wrong, given
    the relative error of a rounding to bfloat16 (2**-8 to nearest)."""

    definition: Callable[[], Definition]
    arguments: Callable[[Case, torch.device, int], list[Any]]
    fault: Callable[[list[Any], float], str | None]
    small: tuple[Case, ...]
    timed: tuple[Case, ...]


def _definition(name: str, op_type: str, axes: dict[str, int | None], inputs: dict[str, Any], outputs: dict[str, Any]) -> Definition:
    from ksearch.definitions.schema import Definition

    reference = f"def run(*inputs):\n    eps = {EPSILON}\n    raise NotImplementedError('{name} is checked by its own code')\n"
    return Definition.model_validate({
        "name": name, "op_type": op_type, "reference": reference,
        "axes": {axis: {"type": "var"} if size is None else {"type": "const", "value": size} for axis, size in axes.items()},
        "inputs": {tensor: {"shape": shape, "dtype": dtype} for tensor, (shape, dtype) in inputs.items()},
        "outputs": {tensor: {"shape": shape, "dtype": dtype} for tensor, (shape, dtype) in outputs.items()},
    })


def _topk_definition() -> Definition:
    return _definition(
        "dsa_topk_indexer_fp8_h64_d128_topk2048_ps64", "dsa_paged",
        {"batch_size": None, "num_index_heads": HEADS, "index_head_dim": DIM, "page_size": PAGE, "topk": TOPK,
         "max_num_pages": None, "num_pages": None, "kv_cache_num_heads": 1, "head_dim_with_scale": DIM + 4},
        {"q_index_fp8": (("batch_size", "num_index_heads", "index_head_dim"), "float8_e4m3fn"),
         "k_index_cache_fp8": (("num_pages", "page_size", "kv_cache_num_heads", "head_dim_with_scale"), "int8"),
         "weights": (("batch_size", "num_index_heads"), "float32"), "seq_lens": (("batch_size",), "int32"),
         "block_table": (("batch_size", "max_num_pages"), "int32")},
        {"topk_indices": (("batch_size", "topk"), "int32")},
    )


def _topk_arguments(case: Case, device: torch.device, seed: int) -> list[Any]:
    """`lengths`, `pages` (the table's width) and `cache` (pages in the cache); `tied` draws every key from only three."""
    draw = torch.Generator(device).manual_seed(seed)
    lengths, width, total = list(case["lengths"]), int(case["pages"]), int(case["cache"])
    keys = torch.randn((total, PAGE, DIM), generator=draw, device=device).bfloat16().float()
    if case.get("tied"):
        keys = keys[0, :3][torch.randint(0, 3, (total, PAGE), generator=draw, device=device)]
    scales = keys.abs().amax(dim=-1).clamp_min(1e-4) / 448
    quantised = (keys / scales[..., None]).to(torch.float8_e4m3fn)
    packed = torch.empty((total, PAGE * (DIM + 4)), dtype=torch.int8, device=device)
    packed[:, : PAGE * DIM] = quantised.reshape(total, -1).view(torch.int8)
    packed[:, PAGE * DIM:] = scales.contiguous().view(torch.int8)
    q = torch.randn((len(lengths), HEADS, DIM), generator=draw, device=device).to(torch.float8_e4m3fn)
    weights = torch.randn((len(lengths), HEADS), generator=draw, device=device)
    table = torch.stack([torch.randperm(total, generator=draw, device=device)[:width] for _ in lengths]).to(torch.int32)
    rubbish = torch.randint(-5, 5, (len(lengths), TOPK), generator=draw, dtype=torch.int32, device=device)
    seq_lens = torch.tensor(lengths, dtype=torch.int32, device=device)
    return [q, packed.reshape(total, PAGE, 1, DIM + 4), weights, seq_lens, table, rubbish]


def _topk_fault(arguments: list[Any], rounding: float) -> str | None:
    for row, length in enumerate(arguments[3].tolist()):
        if fault := _topk_row_fault(arguments, row, length):
            return f"row {row} of {length} tokens: {fault}"
    return None


def _topk_row_fault(arguments: list[Any], row: int, length: int) -> str | None:
    q, cache, weights, _, table, out = arguments
    indices = out[row][out[row] != -1].long()
    wanted = min(length, TOPK)
    if indices.numel() != wanted:
        return f"{indices.numel()} indices in place of {wanted}"
    if wanted == 0:
        return None
    pages = table[row, : (length + PAGE - 1) // PAGE].long()
    position = torch.full((cache.shape[0] * PAGE,), -1, dtype=torch.long, device=out.device)
    reachable = (pages[:, None] * PAGE + torch.arange(PAGE, device=out.device)).flatten()[:length]
    position[reachable] = torch.arange(length, device=out.device)
    if indices.min() < 0 or indices.max() >= position.numel() or (position[indices] < 0).any():
        return "an index outside the row"
    if indices.unique().numel() != wanted:
        return "an index twice"
    flat = cache[pages].reshape(len(pages), -1)
    keys = flat[:, : PAGE * DIM].contiguous().view(torch.float8_e4m3fn).float().reshape(-1, DIM)
    scales = flat[:, PAGE * DIM:].contiguous().view(torch.float32).reshape(-1, 1)
    scores = (torch.relu(q[row].float() @ (keys * scales).T) * weights[row][:, None]).sum(0)[:length]
    chosen, best = scores[position[indices]].sort().values, scores.topk(wanted).values.sort().values
    worst = ((chosen - best).abs() / best.abs().clamp_min(1.0)).max().item()
    return f"scores off by {worst:.3g}" if worst > 1e-2 else None


def _rmsnorm_definition() -> Definition:
    row = ("batch_size", "hidden_size")
    return _definition(
        f"rmsnorm_h{HIDDEN}", "rmsnorm", {"batch_size": None, "hidden_size": HIDDEN},
        {"hidden_states": (row, "bfloat16"), "weight": (("hidden_size",), "bfloat16")}, {"output": (row, "bfloat16")},
    )


def _rmsnorm_arguments(case: Case, device: torch.device, seed: int) -> list[Any]:
    """`rows`, and `hidden` where it isn't the definition's."""
    draw, rows, width = torch.Generator(device).manual_seed(seed), int(case["rows"]), int(case.get("hidden", HIDDEN))
    spread = torch.rand((rows, 1), generator=draw, device=device) * 10 + 0.01
    hidden = (torch.randn((rows, width), generator=draw, device=device) * spread).bfloat16()
    weight = torch.randn((width,), generator=draw, device=device).bfloat16()
    return [hidden, weight, torch.full_like(hidden, 7.25)]


def _rmsnorm_fault(arguments: list[Any], rounding: float) -> str | None:
    hidden, weight, out = arguments
    x = hidden.double()
    exact = x / (x.square().mean(-1, keepdim=True) + EPSILON).sqrt() * weight.double()
    return _off(out, exact, relative=rounding * 1.05, absolute=1e-6)


def _gdn_definition() -> Definition:
    query, value = ("batch_size", "seq_len", "num_q_heads", "head_size"), ("batch_size", "seq_len", "num_v_heads", "head_size")
    state, gate = ("batch_size", "num_v_heads", "head_size", "head_size"), ("batch_size", "seq_len", "num_v_heads")
    return _definition(
        "gdn_decode_qk4_v8_d128_k_last", "gdn",
        {"batch_size": None, "seq_len": 1, "num_q_heads": 4, "num_k_heads": 4, "num_v_heads": 8, "head_size": 128},
        {"q": (query, "bfloat16"), "k": (("batch_size", "seq_len", "num_k_heads", "head_size"), "bfloat16"),
         "v": (value, "bfloat16"), "state": (state, "float32"), "A_log": (("num_v_heads",), "float32"), "a": (gate, "bfloat16"),
         "dt_bias": (("num_v_heads",), "float32"), "b": (gate, "bfloat16"), "scale": (None, "float32")},
        {"output": (value, "bfloat16"), "new_state": (state, "float32")},
    )


def _gdn_arguments(case: Case, device: torch.device, seed: int) -> list[Any]:
    """`requests`."""
    draw, n = torch.Generator(device).manual_seed(seed), int(case["requests"])

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=draw, device=device)

    q, k = (torch.nn.functional.normalize(normal(n, 1, 4, 128), dim=-1).bfloat16() for _ in range(2))
    v, state = normal(n, 1, 8, 128).bfloat16(), normal(n, 8, 128, 128)
    a, b = normal(n, 1, 8).bfloat16(), normal(n, 1, 8).bfloat16()
    A_log, dt_bias = torch.rand((8,), generator=draw, device=device), normal(8)
    return [q, k, v, state, A_log, a, dt_bias, b, 128**-0.5, torch.full_like(v, 7.25), torch.full_like(state, 7.25)]


def _gdn_fault(arguments: list[Any], rounding: float) -> str | None:
    q, k, v, state, A_log, a, dt_bias, b, scale, out, new_state = arguments
    q, k = (tensor[:, 0].double().repeat_interleave(2, dim=1) for tensor in (q, k))
    gate = torch.exp(-torch.exp(A_log.double()) * torch.nn.functional.softplus(a[:, 0].double() + dt_bias.double()))
    decayed = state.double() * gate[..., None, None]
    delta = torch.sigmoid(b[:, 0].double())[..., None] * (v[:, 0].double() - torch.einsum("bhvk,bhk->bhv", decayed, k))
    exact = decayed + torch.einsum("bhv,bhk->bhvk", delta, k)
    output = scale * torch.einsum("bhvk,bhk->bhv", exact, q)
    if fault := _off(new_state, exact, relative=1e-5, absolute=1e-5):
        return f"new_state: {fault}"
    fault = _off(out[:, 0], output, relative=rounding * 1.05, absolute=1e-5)
    return f"output: {fault}" if fault else None


def _off(out: torch.Tensor, exact: torch.Tensor, relative: float, absolute: float) -> str | None:
    error = (out.double() - exact).abs()
    outside = ~(error <= relative * exact.abs() + absolute)
    if not outside.any():
        return None
    return f"{int(outside.sum())} of {out.numel()} elements off, worst by {error.max().item():.3g}"


def _topk_case(lengths: list[int], pages: int, cache: int, **more: Any) -> Case:
    return {"lengths": lengths, "pages": pages, "cache": cache, **more}


OPERATORS: Mapping[str, Operator] = {
    "dsa_topk": Operator(
        _topk_definition, _topk_arguments, _topk_fault,
        small=(
            _topk_case([5, 64, 0], 2, 4), _topk_case([2048, 1], 32, 40), _topk_case([2049, 0, 2240], 35, 40),
            _topk_case([2100, 2047], 33, 36, tied=True),
        ),
        timed=(
            _topk_case([33, 52, 72, 1037], 17, 11923), _topk_case([17 * i % 2000 for i in range(30)] + [2047], 32, 11923),
            _topk_case([18, 11, 2161, 20], 34, 11923), _topk_case([97 * i % 1500 for i in range(29)] + [5806], 91, 11923),
            _topk_case([5800, 2049, 100, 4000, 3000, 2048, 0, 5194], 91, 11923), _topk_case([5000, 4999], 91, 4096, tied=True),
        ),
    ),
    "rmsnorm": Operator(
        _rmsnorm_definition, _rmsnorm_arguments, _rmsnorm_fault, small=({"rows": 1}, {"rows": 5}),
        timed=tuple({"rows": rows} for rows in (1, 7, 64, 1024, 14107)),
    ),
    "gdn_decode": Operator(
        _gdn_definition, _gdn_arguments, _gdn_fault, small=({"requests": 1}, {"requests": 3}),
        timed=tuple({"requests": requests} for requests in (1, 3, 8, 16, 64)),
    ),
}
