"""Gated delta net, decode and prefill."""

from __future__ import annotations

import random
from collections.abc import Sequence

from ksearch.definitions.kits.base import Buckets, Draw, HiddenCases, OperatorKit, Tensors
from ksearch.definitions.kits.work import Work, streamed
from ksearch.definitions.schema import Definition, Recipe, Workload
from ksearch.errors import BadInput


def recurrence_inputs(draw: Draw) -> Tensors:
    """Keys of length 1, because longer ones make the delta rule diverge; decays from 0.3 to nearly 1 a step.

    "long_memory" keeps every decay above 0.999, so that a kernel which forgets early tokens is far off.
    """
    import torch

    q, k = (torch.nn.functional.normalize(draw.normal(*draw.shape(name)), dim=-1) for name in ("q", "k"))
    rate = (
        draw.uniform(-9.0, -8.0, *draw.shape("A_log"))
        if draw.recipe.values == "long_memory"
        else draw.uniform(-5.0, 0.5, *draw.shape("A_log"))
    )
    return {
        "q": q * q.shape[-1] ** 0.5,
        "k": k,
        "v": draw.activations("v"),
        "state": 0.3 * draw.normal(*draw.shape("state")),
        "A_log": rate,
        "a": draw.normal(*draw.shape("a")),
        "dt_bias": 0.5 * draw.normal(*draw.shape("dt_bias")),
        "b": draw.normal(*draw.shape("b")),
    }


def split(total: int, parts: int, rng: random.Random) -> list[int]:
    """Lengths of `parts` sequences of `total` tokens together, each at least 1 where they suffice."""
    if parts == 0:
        return []
    if total < parts:
        return [1] * total + [0] * (parts - total)
    cuts = sorted(rng.sample(range(1, total), parts - 1))
    return [end - start for start, end in zip([0, *cuts], [*cuts, total], strict=True)]


def packed_lengths(draw: Draw, sequences: int, total: int) -> list[int]:
    lengths = list(draw.recipe.lengths) or split(total, sequences, random.Random(draw.workload.uuid))
    if len(lengths) != sequences or sum(lengths) != total:
        raise BadInput(f"workload {draw.workload.uuid}: the recipe's lengths must be {sequences} numbers of sum {total}, got {lengths}")
    return lengths


def prefill_inputs(draw: Draw) -> Tensors:
    import torch

    offsets = [0]
    for length in packed_lengths(draw, draw.shape("cu_seqlens")[0] - 1, draw.shape("q")[0]):
        offsets.append(offsets[-1] + length)
    return {**recurrence_inputs(draw), "cu_seqlens": torch.tensor(offsets, dtype=torch.int64, device=draw.device)}


def decode_work(definition: Definition, workload: Workload) -> Work:
    """Everything read and written once. On each state of V x K: two products with it (S k, S q), then decay and a rank-one update."""
    batch, heads, v, k = definition.shape_of("state", workload.axes) or (0, 0, 0, 0)
    state = float(batch * heads * v * k)
    return streamed(definition, workload, ("tensor_tf32", 4 * state), ("vector_fp32", 3 * state))


def prefill_work(definition: Definition, workload: Workload) -> Work:
    """Everything read and written once. For each token and head, whatever the chunking, a product with the state before it and an outer
    product into the state after it: 4 V K, on the units of the queries' type. What chunks cost among themselves isn't counted."""
    _, _, v, k = definition.shape_of("state", workload.axes) or (0, 0, 0, 0)
    tokens, heads, _ = definition.shape_of("v", workload.axes) or (0, 0, 0)
    return streamed(definition, workload, ("tensor_half", 4.0 * tokens * heads * v * k))


def decode_hidden(cases: HiddenCases) -> Sequence[Workload]:
    return cases.each("batch_size", ("normal", "long_memory", "scaled", "heavy", "normal"))


def prefill_hidden(cases: HiddenCases) -> Sequence[Workload]:
    """Ragged packings: empty and one-token sequences, chunk borders, one sequence alone, many; memory over the whole length."""
    rng = cases.rng
    most = min(cases.greatest("total_seq_len"), 2048)
    many = min(cases.greatest("num_seqs"), 24)

    def case(lengths: Sequence[int], recipe: Recipe | None = None) -> Workload:
        recipe = (recipe or Recipe()).model_copy(update={"lengths": tuple(lengths)})
        axes = {"total_seq_len": sum(lengths), "num_seqs": len(lengths), "len_cu_seqlens": len(lengths) + 1}
        return cases.workload(axes, recipe)

    ragged = split(rng.randint(most // 2, most), rng.randint(2, max(many, 2)), rng)
    return (
        case([63, 0, 1, 64, 65] if most >= 193 else [3, 0, 1, 4, 5]),
        case([most], Recipe(values="long_memory")),
        case(ragged),
        case([1] * many, Recipe(values="scaled")),
        case([rng.randint(2, most)], Recipe(values="heavy")),
    )


_BATCH = Buckets("batch_size", "b", (1, 16))
_LENGTH = Buckets("total_seq_len", "l", (256, 4096))
_SHARED_INPUTS = frozenset({"q", "k", "v", "state", "A_log", "a", "dt_bias", "b"})

KITS = (
    OperatorKit(
        name="gdn_prefill",
        work=prefill_work,
        op_type="gdn",
        axes=frozenset({"total_seq_len", "num_seqs", "len_cu_seqlens"}),
        inputs=_SHARED_INPUTS | {"cu_seqlens"},
        generate=prefill_inputs,
        regime=_LENGTH.regime,
        size=_LENGTH.size,
        hidden=prefill_hidden,
        invariant=("A_log", "dt_bias"),
    ),
    OperatorKit(
        name="gdn_decode",
        work=decode_work,
        op_type="gdn",
        axes=frozenset({"batch_size"}),
        inputs=_SHARED_INPUTS,
        generate=recurrence_inputs,
        regime=_BATCH.regime,
        size=_BATCH.size,
        hidden=decode_hidden,
        invariant=("A_log", "dt_bias"),
    ),
)
