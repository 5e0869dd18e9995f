"""Row-wise operators and matrix products: rmsnorm, softmax, gemm."""

from __future__ import annotations

import math

from ksearch.definitions.kits.base import Buckets, Draw, OperatorKit, Tensors
from ksearch.definitions.kits.work import Unit, Work, streamed
from ksearch.definitions.schema import Definition, ValueKind, Workload

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


def _elements(definition: Definition, workload: Workload, tensor: str) -> int:
    return math.prod(definition.shape_of(tensor, workload.axes) or ())


def rmsnorm_work(definition: Definition, workload: Workload) -> Work:
    """Four operations an element: a square and its sum, the row's factor, the weight; one more where a residual is added."""
    each = 5 if "residual" in definition.inputs else 4
    return streamed(definition, workload, ("vector_fp32", each * float(_elements(definition, workload, "hidden_states"))))


def softmax_work(definition: Definition, workload: Workload) -> Work:
    """Four operations an element: subtract, exponential, sum, scale. (The row's largest needs no pass of its own: it can go along.)"""
    return streamed(definition, workload, ("vector_fp32", 4.0 * _elements(definition, workload, "logits")))


def gemm_work(definition: Definition, workload: Workload) -> Work:
    """2 M N K operations on the matrix units of A's element type (float32 fits the tf32 units)."""
    m, k = definition.shape_of("A", workload.axes) or (0, 0)
    n = (definition.shape_of("B", workload.axes) or (0, 0))[0]
    return streamed(definition, workload, (_UNITS.get(definition.inputs["A"].dtype, "tensor_half"), 2.0 * m * n * k))


_UNITS: dict[str, Unit] = {"float8_e4m3fn": "tensor_fp8", "float8_e5m2": "tensor_fp8", "int8": "tensor_fp8", "float32": "tensor_tf32"}

_ROWS = Buckets("batch_size", "b", (16, 1024))
_M = Buckets("M", "m", (16, 512))

KITS = (
    OperatorKit(
        name="rmsnorm",
        work=rmsnorm_work,
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
        work=softmax_work,
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
        work=gemm_work,
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
        work=gemm_work,
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
