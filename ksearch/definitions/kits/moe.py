"""Mixture of experts with DeepSeek-V3 routing and fp8 block scales."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ksearch.definitions.kits.base import Buckets, Draw, HiddenCases, OperatorKit, Tensors
from ksearch.definitions.kits.work import Work, distinct, tensor_bytes, written
from ksearch.definitions.schema import Definition, ScalarInput, Workload


def moe_inputs(draw: Draw) -> Tensors:
    """Scales keep both products near the input's size and differ between blocks by up to 3, so that none can be dropped."""
    hidden, intermediate = draw.shape("gemm2_weights")[1:]
    return {
        "routing_logits": _logits(draw),
        "routing_bias": 0.1 * draw.normal(*draw.shape("routing_bias")),
        "hidden_states": draw.fp8(*draw.shape("hidden_states")),
        "hidden_states_scale": 10 ** draw.uniform(-0.25, 0.25, *draw.shape("hidden_states_scale")),
        "gemm1_weights": lambda: draw.fp8(*draw.shape("gemm1_weights")),
        "gemm1_weights_scale": 4 * hidden**-0.5 * 10 ** draw.uniform(-0.25, 0.25, *draw.shape("gemm1_weights_scale")),
        "gemm2_weights": lambda: draw.fp8(*draw.shape("gemm2_weights")),
        "gemm2_weights_scale": 2 * intermediate**-0.5 * 10 ** draw.uniform(-0.25, 0.25, *draw.shape("gemm2_weights_scale")),
    }


def _logits(draw: Draw) -> Any:
    """Normals, the first token drawn to the local experts: they may be one routing group that half of all tokens pass by,
    and an output of zeros would test nothing. "clustered" sends nearly all tokens to eight of them."""
    logits = draw.activations("routing_logits")
    offset = draw.workload.inputs.get("local_expert_offset")
    first = int(offset.value) if isinstance(offset, ScalarInput) else 0
    logits[:1, first : first + draw.shape("gemm1_weights")[0]] += 3
    if draw.recipe.values == "clustered":
        logits[:, first : first + 8] += 6
    return logits


CHOSEN = 8
"""Experts that a token is routed to."""


def moe_work(definition: Definition, workload: Workload) -> Work:
    """Routing whole; hidden states of tokens with a local expert, weights of experts with a token: both as expected of even routing.

    A token comes to a local expert with probability 8 / E for each, E the number of experts. Generated inputs send the first token to
    local experts, which only adds to this. 2 (2 I + I) H operations a routed token on the fp8 matrix units, for I the intermediate and
    H the hidden width.
    """
    tokens, experts = definition.shape_of("routing_logits", workload.axes) or (0, 0)
    local, hidden, intermediate = definition.shape_of("gemm2_weights", workload.axes) or (0, 0, 0)
    if not tokens or not experts:
        return Work(0.0, written(definition, workload))
    hit = distinct([local * min(1.0, CHOSEN / experts)] * tokens, local)
    weights = ("gemm1_weights", "gemm1_weights_scale", "gemm2_weights", "gemm2_weights_scale")
    reached = tokens * (1.0 - (1.0 - min(1.0, local / experts)) ** CHOSEN)
    states = reached / tokens * tensor_bytes(definition, workload, ("hidden_states", "hidden_states_scale"))
    routing = tensor_bytes(definition, workload, ("routing_logits", "routing_bias"))
    read = routing + states + tensor_bytes(definition, workload, weights) * hit / max(local, 1)
    routed = tokens * CHOSEN * local / experts
    return Work(read, written(definition, workload), (("tensor_fp8", 6.0 * routed * intermediate * hidden),))


def moe_hidden(cases: HiddenCases) -> Sequence[Workload]:
    """Token counts at the ends, beside them and between; all tokens on few experts, so that groups are ragged."""
    return cases.each("seq_len", ("normal", "clustered", "heavy", "scaled"))


_TOKENS = Buckets("seq_len", "t", (16, 128))

_INPUTS = frozenset(
    {
        *("routing_logits", "routing_bias", "hidden_states", "hidden_states_scale"),
        *("gemm1_weights", "gemm1_weights_scale", "gemm2_weights", "gemm2_weights_scale"),
    }
)

KITS = (
    OperatorKit(
        name="moe_fp8",
        work=moe_work,
        op_type="moe",
        axes=frozenset({"seq_len"}),
        inputs=_INPUTS,
        generate=moe_inputs,
        regime=_TOKENS.regime,
        size=_TOKENS.size,
        hidden=moe_hidden,
        invariant=("gemm1_weights", "gemm1_weights_scale", "gemm2_weights", "gemm2_weights_scale"),
    ),
)
