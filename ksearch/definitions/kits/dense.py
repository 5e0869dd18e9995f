"""Row-wise operators and matrix products: rmsnorm, softmax, gemm."""

from __future__ import annotations

from ksearch.definitions.kits.base import Buckets, Draw, OperatorKit, Tensors
from ksearch.definitions.schema import ValueKind

_KINDS: tuple[ValueKind, ...] = ("normal", "scaled", "offset", "heavy", "rows")
"""Values of the hidden workloads: a kernel that leans on mean 0 or variance 1 fails one of them."""


def rmsnorm_inputs(draw: Draw) -> Tensors:
    """Weights around 1 but never all 1: an operator that drops them must fail."""
    rows = {name: draw.activations(name) for name in ("hidden_states", "residual") if name in draw.definition.inputs}
    return {**rows, "weight": 1 + 0.3 * draw.normal(*draw.shape("weight"))}


def softmax_inputs(draw: Draw) -> Tensors:
    return {"logits": draw.activations("logits", scale=2.0)}


def gemm_inputs(draw: Draw) -> Tensors:
    """B is scaled by 1 / sqrt(K), so that C keeps A's scale and float16 doesn't overflow."""
    k = draw.shape("B")[1]
    return {"A": draw.activations("A"), "B": lambda: draw.normal(*draw.shape("B")) * k**-0.5}


def fp8_gemm_inputs(draw: Draw) -> Tensors:
    """Scales differ from block to block and by row: a kernel that drops or misplaces one must fail."""
    k = draw.shape("B")[1]
    spread = {"rows": 2.0, "heavy": 1.5}.get(draw.recipe.values, 0.5)
    return {
        "A": draw.fp8(*draw.shape("A")),
        "A_scale": 10 ** draw.uniform(-spread, spread, *draw.shape("A_scale")),
        "B": lambda: draw.fp8(*draw.shape("B")),
        "B_scale": lambda: 10 ** draw.uniform(-0.5, 0.5, *draw.shape("B_scale")) * k**-0.5,
    }


_ROWS = Buckets("batch_size", "b", (16, 1024))
_M = Buckets("M", "m", (16, 512))

KITS = (
    OperatorKit(
        name="rmsnorm",
        op_type="rmsnorm",
        axes=frozenset({"batch_size"}),
        inputs=frozenset({"hidden_states", "weight"}),
        generate=rmsnorm_inputs,
        regime=_ROWS.regime,
        size=_ROWS.size,
        hidden=lambda cases: cases.each("batch_size", _KINDS),
    ),
    OperatorKit(
        name="softmax",
        op_type="softmax",
        axes=frozenset({"batch_size"}),
        inputs=frozenset({"logits"}),
        generate=softmax_inputs,
        regime=_ROWS.regime,
        size=_ROWS.size,
        hidden=lambda cases: cases.each("batch_size", _KINDS),
    ),
    OperatorKit(
        name="gemm_fp8",
        op_type="gemm",
        axes=frozenset({"M"}),
        inputs=frozenset({"A", "A_scale", "B", "B_scale"}),
        generate=fp8_gemm_inputs,
        regime=_M.regime,
        size=_M.size,
        hidden=lambda cases: cases.each("M", _KINDS),
        invariant=("B", "B_scale"),
    ),
    OperatorKit(
        name="gemm",
        op_type="gemm",
        axes=frozenset({"M"}),
        inputs=frozenset({"A", "B"}),
        generate=gemm_inputs,
        regime=_M.regime,
        size=_M.size,
        hidden=lambda cases: cases.each("M", _KINDS),
        invariant=("B", "B_scale"),
    ),
)
