"""DeepSeek sparse attention: the fp8 top-k indexer and the attention over its choice."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ksearch.definitions.kits.base import Buckets, Draw, HiddenCases, OperatorKit, Tensors
from ksearch.definitions.kits.work import (
    Work,
    distinct,
    drawn_lengths,
    element_bytes,
    is_generated,
    tensor_bytes,
    undeclared_work,
    written,
)
from ksearch.definitions.schema import Definition, Recipe, Workload
from ksearch.errors import BadInput

if TYPE_CHECKING:
    import torch

FP8_MAX = 448.0
"""Largest finite float8_e4m3fn."""

TURNED = 2
"""Tokens of each page that a refreshed cache changes."""
MEDIUM_LENGTH = 4096
"""Longest row of the medium regime: the recorded workloads leave a gap between 2817 and 5194."""


def packed_cache(keys: torch.Tensor) -> torch.Tensor:
    """Keys [P, page, D] in the indexer's page layout, int8 [P, page, 1, D + 4]: fp8 rows, then each token's float32 scale.

    The scale is max(|key|, 1e-4) / 448, so that no byte decodes to NaN and no scale is 0.
    """
    import torch

    num_pages, page_size, dim = keys.shape
    scales = keys.abs().amax(dim=-1).to(torch.float32).clamp_min(1e-4) / FP8_MAX
    rows = (keys / scales.unsqueeze(-1)).to(torch.float8_e4m3fn)
    pages = torch.cat((rows.view(torch.int8).flatten(1), scales.view(torch.int8)), dim=1)
    return pages.reshape(num_pages, page_size, 1, dim + 4)


def page_table(draw: Draw, rows: int, columns: int, num_pages: int) -> torch.Tensor:
    """int32 [rows, columns]: each row's pages differ from one another; columns past the cache's size repeat some."""
    import torch

    order = draw.uniform(0, 1, rows, num_pages).argsort(dim=1)
    if draw.recipe.pages == "shared":
        order = order[:1].expand(rows, -1)
    if columns > num_pages:
        order = torch.cat((order, draw.integers(0, num_pages, rows, columns - num_pages)), dim=1)
    return order[:, :columns].to(torch.int32)


def _keys(draw: Draw, num_pages: int, page_size: int, dim: int) -> torch.Tensor:
    import torch

    if draw.recipe.values == "ties":
        return draw.normal(4, dim, dtype=torch.bfloat16)[draw.integers(0, 4, num_pages, page_size)]
    return draw.normal(num_pages, page_size, dim, dtype=torch.bfloat16)


def topk_inputs(draw: Draw) -> Tensors:
    """Queries, a packed cache, weights, the recipe's lengths and a block table whose rows never repeat a page."""
    num_pages, page_size, _, packed = draw.shape("k_index_cache_fp8")
    small = _requests(draw, num_pages, page_size)
    keys = _keys(draw, num_pages, page_size, packed - 4)
    if draw.recipe.values == "clustered":
        _raise_last_pages(keys, small)
    return {**small, "k_index_cache_fp8": packed_cache(keys)}


def topk_refresh(draw: Draw, before: Tensors) -> Tensors:
    """Everything new but the cache's bytes, an eighth of which are. The other pages change places, and in each of them two tokens'
    values turn by some places under their old scale: no page, and no part of one, can be known again by less than its values."""
    import torch

    cache = before["k_index_cache_fp8"]
    num_pages, page_size, _, packed = cache.shape
    if draw.recipe.values == "clustered":
        return topk_inputs(draw)
    small = _requests(draw, num_pages, page_size)
    moved = cache[torch.randperm(num_pages, generator=draw.generator, device=draw.device)]
    for _ in range(TURNED):
        _turn_a_token(draw, moved, packed - 4)
    rewritten = -(-num_pages // 8)
    moved[:rewritten] = packed_cache(_keys(draw, rewritten, page_size, packed - 4))
    return {**small, "k_index_cache_fp8": moved}


def _turn_a_token(draw: Draw, cache: torch.Tensor, dim: int) -> None:
    """In every page: the fp8 values of one token, turned by a number of places drawn for the page."""
    import torch

    num_pages, page_size = cache.shape[:2]
    pages = torch.arange(num_pages, device=draw.device)
    tokens = cache.view(num_pages, -1)[:, : page_size * dim].unflatten(1, (page_size, dim))
    which = draw.integers(0, page_size, num_pages)
    places = (torch.arange(dim, device=draw.device) + draw.integers(1, dim, num_pages, 1)) % dim
    tokens[pages, which] = tokens[pages, which].gather(1, places)


def _requests(draw: Draw, num_pages: int, page_size: int) -> dict[str, torch.Tensor]:
    """All inputs but the cache. Queries use the whole fp8 range; their scales are folded into the weights, as in the model."""
    import torch

    batch, columns = draw.shape("block_table")
    lengths = draw.lengths(batch, 1, _most_pages(columns, num_pages, draw.recipe) * page_size)
    if (needed := -(-max(lengths, default=0) // page_size)) > num_pages:
        raise BadInput(f"workload {draw.workload.uuid}: a request needs {needed} distinct pages, the cache has {num_pages}")
    q = draw.normal(*draw.shape("q_index_fp8"))
    heads, dim = q.shape[1:]
    scales = q.abs().amax(dim=-1) / FP8_MAX
    weights = draw.normal(batch, heads) * (heads * dim) ** -0.5
    return {
        "q_index_fp8": (q / scales.unsqueeze(-1)).to(torch.float8_e4m3fn),
        "weights": scales * (weights.abs() if draw.recipe.values == "clustered" else weights),
        "seq_lens": torch.tensor(lengths, dtype=torch.int32, device=draw.device),
        "block_table": page_table(draw, batch, columns, num_pages),
    }


def _most_pages(columns: int, num_pages: int, recipe: Recipe) -> int:
    """Pages of the longest row that may be drawn: one that never repeats a page, unless the recipe asks for its lengths."""
    return columns if recipe.lengths else min(columns, num_pages)


def _raise_last_pages(keys: torch.Tensor, requests: Tensors) -> None:
    """Eightfold keys in each request's last page: the winners crowd there, past whatever a split kept from each part."""
    for row, length in zip(requests["block_table"], requests["seq_lens"].tolist(), strict=True):
        if length:
            keys[row[(length - 1) // keys.shape[1]]] *= 8


def _page_size(definition: Definition) -> int:
    return definition.const_axes["page_size"]


def _longest(definition: Definition, workload: Workload) -> int:
    """The recipe's longest row; without lengths, what the block table has room for (recorded tables are just wide enough)."""
    if workload.recipe.lengths:
        return max(workload.recipe.lengths)
    return workload.axes["max_num_pages"] * _page_size(definition)


def topk_regime(definition: Definition, workload: Workload) -> str:
    """short: every row fits in topk, no scoring needed; medium: the longest is a little over; long: far over."""
    longest = _longest(definition, workload)
    if longest <= definition.const_axes["topk"]:
        return "short"
    return "medium" if longest <= MEDIUM_LENGTH else "long"


def topk_size(definition: Definition, workload: Workload) -> float:
    """Longest row first, all tokens second: the longest decides when rows run side by side."""
    total = sum(workload.recipe.lengths) or workload.axes["batch_size"] * workload.axes["max_num_pages"] * _page_size(definition)
    return _longest(definition, workload) + total * 1e-6


def topk_work(definition: Definition, workload: Workload) -> Work:
    """Lengths, and of the block table what is in use; for rows over topk also their queries, weights and the tokens of their pages.

    A row that fits into topk needs no score: all its tokens are chosen. A token of the cache is `head_dim` bytes and its float32
    scale; tokens after a row's end needn't be read. 2 H D operations a scored token on the fp8 matrix units.
    """
    if not is_generated(workload, "seq_lens"):
        return undeclared_work(definition, workload)
    topk, page, axes = definition.const_axes["topk"], _page_size(definition), workload.axes
    _, heads, dim = definition.shape_of("q_index_fp8", axes) or (0, 0, 0)
    packed = (definition.shape_of("k_index_cache_fp8", axes) or (0,))[-1]
    most = _most_pages(axes["max_num_pages"], axes["num_pages"], workload.recipe) * page
    lengths = list(workload.recipe.lengths) or drawn_lengths(workload, axes["batch_size"], 1, most)
    scored = [length for length in lengths if length > topk]
    table = sum(math.ceil(length / page) for length in lengths) * element_bytes(definition, "block_table")
    queries = len(scored) * heads * (dim * element_bytes(definition, "q_index_fp8") + element_bytes(definition, "weights"))
    tokens = distinct(scored, axes["num_pages"] * page, shared=workload.recipe.pages == "shared")
    read = tensor_bytes(definition, workload, ["seq_lens"]) + table + queries + tokens * packed
    return Work(read, written(definition, workload), (("tensor_fp8", 2.0 * heads * dim * sum(scored)),))


def topk_hidden(cases: HiddenCases) -> Sequence[Workload]:
    """Several rows over topk at once, lengths on every boundary, ties, shared pages, the best keys in one page."""
    definition, rng = cases.definition, cases.rng
    topk, page = definition.const_axes["topk"], _page_size(definition)
    num_pages = cases.greatest("num_pages")
    columns = min(max(cases.greatest("max_num_pages"), topk // page + 1), num_pages)
    most = columns * page
    over = min(topk + 1, most)

    def case(lengths: Sequence[int], recipe: Recipe | None = None) -> Workload:
        recipe = (recipe or Recipe()).model_copy(update={"lengths": tuple(min(n, most) for n in lengths)})
        axes = {"batch_size": len(lengths), "max_num_pages": columns, "num_pages": num_pages}
        return cases.workload(axes, recipe)

    batch = rng.randint(max(cases.least("batch_size"), 3), max(cases.greatest("batch_size"), 3))
    mixed = [rng.randint(over, most) if rng.random() < 0.3 else rng.randint(0, topk) for _ in range(batch - 2)]
    return (
        case([rng.randint(over, most), most, rng.randint(over, most)]),
        case([topk - 1, topk, topk + 1, 0, 1, page - 1, page, page + 1]),
        case([*mixed, rng.randint(over, most), rng.randint(over, most)]),
        case([rng.randint(over, most), 7, topk + page], Recipe(values="ties")),
        case([most, rng.randint(over, most), topk // 2], Recipe(pages="shared")),
        case([rng.randint(over, most), rng.randint(over, most), 3 * page], Recipe(values="clustered")),
        case([0]),
    )


def attention_inputs(draw: Draw) -> Tensors:
    """Each token's indices are distinct cache positions; -1 fills the rest of its row."""
    import torch

    tokens, topk = draw.shape("sparse_indices")
    num_pages, page_size, _ = draw.shape("ckv_cache")
    indices = torch.full((tokens, topk), -1, dtype=torch.int32, device=draw.device)
    for t, count in enumerate(draw.lengths(tokens, 1, min(topk, num_pages * page_size))):
        chosen = torch.randperm(num_pages * page_size, generator=draw.generator, device=draw.device)[:count]
        indices[t, :count] = chosen.to(torch.int32)
    return {
        "sparse_indices": indices,
        "q_nope": draw.activations("q_nope"),
        "q_pe": draw.activations("q_pe"),
    }


def attention_work(definition: Definition, workload: Workload) -> Work:
    """All indices (only they tell which are valid), queries of tokens with any, and each chosen cache entry once.

    A chosen entry costs a head 2 (C + R) operations for its score and 2 C for its value, C the latent and R the rotary width.
    """
    if not is_generated(workload, "sparse_indices"):
        return undeclared_work(definition, workload)
    axes, topk = workload.axes, definition.const_axes["topk"]
    tokens, heads, latent = definition.shape_of("q_nope", axes) or (0, 0, 0)
    rotary = (definition.shape_of("q_pe", axes) or (0,))[-1]
    entries = axes["num_pages"] * _page_size(definition)
    counts = list(workload.recipe.lengths) or drawn_lengths(workload, tokens, 1, min(topk, entries))
    attending = sum(count > 0 for count in counts)
    queries = attending * heads * (latent + rotary) * element_bytes(definition, "q_nope")
    cache = distinct(counts, entries) * (latent + rotary) * element_bytes(definition, "ckv_cache")
    read = tensor_bytes(definition, workload, ["sparse_indices"]) + queries + cache
    return Work(read, written(definition, workload), (("tensor_half", 2.0 * heads * (2 * latent + rotary) * sum(counts)),))


def attention_hidden(cases: HiddenCases) -> Sequence[Workload]:
    """Tokens without any valid index, one, all; peaked softmax."""
    topk, num_pages = cases.definition.const_axes["topk"], cases.greatest("num_pages")
    most = min(topk, num_pages * _page_size(cases.definition))
    greatest = cases.greatest("num_tokens")

    def case(lengths: Sequence[int], recipe: Recipe | None = None) -> Workload:
        recipe = (recipe or Recipe()).model_copy(update={"lengths": tuple(lengths)})
        return cases.workload({"num_tokens": len(lengths), "num_pages": num_pages}, recipe)

    mixed = [cases.rng.randint(1, most) for _ in range(cases.rng.randint(1, greatest))]
    return (
        case([0, 1, most, most - 1]),
        case([0]),
        case(mixed),
        case([most] * min(greatest, 4), Recipe(values="scaled")),
        case([63, 64, 65, 127], Recipe(values="heavy")),
    )


_TOKENS = Buckets("num_tokens", "t", (2, 8))

KITS = (
    OperatorKit(
        name="dsa_topk",
        work=topk_work,
        op_type="dsa_paged",
        axes=frozenset({"batch_size", "max_num_pages", "num_pages"}),
        inputs=frozenset({"q_index_fp8", "k_index_cache_fp8", "weights", "seq_lens", "block_table"}),
        generate=topk_inputs,
        refresh=topk_refresh,
        regime=topk_regime,
        size=topk_size,
        hidden=topk_hidden,
        constants=frozenset({"topk", "page_size"}),
    ),
    OperatorKit(
        name="dsa_attention",
        work=attention_work,
        op_type="dsa_paged",
        axes=frozenset({"num_tokens", "num_pages"}),
        inputs=frozenset({"q_nope", "q_pe", "ckv_cache", "kpe_cache", "sparse_indices"}),
        generate=attention_inputs,
        regime=_TOKENS.regime,
        size=lambda definition, workload: sum(workload.recipe.lengths) or _TOKENS.size(definition, workload),
        hidden=attention_hidden,
        constants=frozenset({"topk", "page_size"}),
    ),
)
