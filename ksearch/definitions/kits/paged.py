"""Decode attention over a paged cache addressed by kv_indptr and kv_indices: grouped-query and latent."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

from ksearch.definitions.kits.base import Buckets, Draw, HiddenCases, OperatorKit, Tensors
from ksearch.definitions.kits.gdn import packed_lengths, split
from ksearch.definitions.kits.work import Work, distinct, is_generated, tensor_bytes, undeclared_work, written
from ksearch.definitions.schema import Definition, Recipe, Workload
from ksearch.errors import BadInput

if TYPE_CHECKING:
    import torch

_QUERIES = ("q", "q_nope", "q_pe")


def decode_inputs(draw: Draw) -> Tensors:
    """A request's pages differ from one another; requests may share some. Lengths count pages."""
    import torch

    num_pages = draw.workload.axes["num_pages"]
    lengths = packed_lengths(draw, draw.shape("kv_indptr")[0] - 1, draw.shape("kv_indices")[0])
    if max(lengths, default=0) > num_pages:
        raise BadInput(f"workload {draw.workload.uuid}: a request needs {max(lengths)} distinct pages, the cache has {num_pages}")
    pages = [_pages(draw, num_pages)[:length] for length in lengths]
    made: dict[str, torch.Tensor] = {
        "kv_indptr": torch.tensor([0, *accumulate(lengths)], dtype=torch.int32, device=draw.device),
        "kv_indices": torch.cat(pages).to(torch.int32) if pages else torch.empty(0, dtype=torch.int32, device=draw.device),
    }
    if "kv_last_page_len" in draw.definition.inputs:
        made["kv_last_page_len"] = draw.integers(1, draw.definition.const_axes["page_size"] + 1, len(lengths)).to(torch.int32)
    return {**made, **{name: draw.activations(name) for name in _QUERIES if name in draw.definition.inputs}}


def _pages(draw: Draw, num_pages: int) -> torch.Tensor:
    import torch

    if draw.recipe.pages == "shared":
        return torch.arange(num_pages, device=draw.device)
    return torch.randperm(num_pages, generator=draw.generator, device=draw.device)


_CACHES = ("k_cache", "v_cache", "ckv_cache", "kpe_cache")


def decode_work(definition: Definition, workload: Workload) -> Work:
    """Queries and the tables whole, each page in use once. Every head that asks costs a cached element two operations.

    Grouped-query attention reads a key or value for several query heads; latent attention uses the latent twice, as key and as value.
    A request's last page may be partly filled: one token of it is counted, which is exact for pages of one token.
    """
    if not is_generated(workload, "kv_indptr"):
        return undeclared_work(definition, workload)
    axes, page = workload.axes, definition.const_axes["page_size"]
    lengths = list(workload.recipe.lengths) or split(axes["num_kv_indices"], axes["batch_size"], random.Random(workload.uuid))
    counts = [(length - 1) * page + 1 for length in lengths if length]
    used = distinct(counts, axes["num_pages"] * page, shared=workload.recipe.pages == "shared")
    caches = [name for name in _CACHES if name in definition.inputs]
    whole = tensor_bytes(definition, workload, caches)
    small = tensor_bytes(definition, workload, [name for name in definition.inputs if name not in caches])
    share = used / max(1, axes["num_pages"] * page)
    return Work(small + share * whole, written(definition, workload), (("tensor_half", _operations(definition, workload) * sum(counts)),))


def _operations(definition: Definition, workload: Workload) -> float:
    """Of all query heads on one cached token: two for each element of its key, two for each of its value."""
    if "q" in definition.inputs:
        _, heads, dim = definition.shape_of("q", workload.axes) or (0, 0, 0)
        return 4.0 * heads * dim
    _, heads, latent = definition.shape_of("q_nope", workload.axes) or (0, 0, 0)
    rotary = (definition.shape_of("q_pe", workload.axes) or (0,))[-1]
    return 2.0 * heads * (2 * latent + rotary)


def decode_hidden(cases: HiddenCases) -> Sequence[Workload]:
    """Requests without a token, of one, ragged; the same pages for all; peaked softmax."""
    rng, num_pages = cases.rng, cases.greatest("num_pages")
    most = min(num_pages, max(1, cases.greatest("num_kv_indices") // 4))

    def case(lengths: Sequence[int], recipe: Recipe | None = None) -> Workload:
        recipe = (recipe or Recipe()).model_copy(update={"lengths": tuple(min(n, most) for n in lengths)})
        axes = {"batch_size": len(lengths), "num_pages": num_pages, "len_indptr": len(lengths) + 1, "num_kv_indices": sum(recipe.lengths)}
        return cases.workload(axes, recipe)

    return (
        case([0, 1, most, 15, 16, 17]),
        case([0]),
        case([rng.randint(1, most) for _ in range(4)], Recipe(pages="shared")),
        case([rng.randint(1, most) for _ in range(3)], Recipe(values="scaled")),
        case(_ragged(rng, most)),
    )


def _ragged(rng: random.Random, most: int) -> list[int]:
    return [max(1, round(most ** rng.random())) for _ in range(rng.randint(2, 8))]


_BATCH = Buckets("batch_size", "b", (1, 16))
_AXES = frozenset({"batch_size", "num_pages", "len_indptr", "num_kv_indices"})


def _kit(name: str, inputs: set[str]) -> OperatorKit:
    return OperatorKit(
        name=name,
        work=decode_work,
        op_type=name.removesuffix("_decode"),
        axes=_AXES,
        constants=frozenset({"page_size"}),
        inputs=frozenset({*inputs, "kv_indptr", "kv_indices"}),
        generate=decode_inputs,
        regime=_BATCH.regime,
        size=lambda definition, workload: float(workload.axes["num_kv_indices"]),
        hidden=decode_hidden,
    )


KITS = (
    _kit("gqa_paged_decode", {"q", "k_cache", "v_cache"}),
    _kit("mla_paged_decode", {"q_nope", "q_pe", "ckv_cache", "kpe_cache"}),
)
