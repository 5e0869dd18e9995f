"""References and generators on a GPU: the same answers as on the CPU, inputs made where they are needed."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from ksearch.definitions.catalog import bundled_workloads, load_definition
from ksearch.definitions.generate import make_inputs

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="NO GPU: the CUDA side of the definitions is untested"),
]

ALIASES = [
    "dsa_attention",
    "gdn_decode",
    "gdn_prefill",
    "rmsnorm",
    "fused_add_rmsnorm",
    "softmax",
    "gemm",
    "gemm_fp8",
    "gqa_decode",
    "mla_decode",
]


def run(alias: str, inputs: tuple[Any, ...]) -> tuple[torch.Tensor, ...]:
    scope: dict[str, Any] = {}
    exec(load_definition(alias).reference, scope)
    out = scope["run"](*inputs)
    return out if isinstance(out, tuple) else (out,)


def to_cpu(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(x.cpu() if isinstance(x, torch.Tensor) else x for x in inputs)


@pytest.mark.parametrize("alias", ALIASES)
def test_references_agree_across_devices(alias: str) -> None:
    definition = load_definition(alias)
    workload = bundled_workloads(definition.name, "cpu")[3]
    inputs = make_inputs(definition, workload, 1, "cuda")
    assert all(x.is_cuda for x in inputs if isinstance(x, torch.Tensor))
    for x, y in zip(run(alias, inputs), run(alias, to_cpu(inputs)), strict=True):
        assert x.is_cuda
        torch.testing.assert_close(x.cpu().float(), y.float(), rtol=2e-2, atol=2e-3)


def test_topk_chooses_the_same_tokens_where_no_choice_is_close() -> None:
    definition = load_definition("dsa_topk")
    inputs = make_inputs(definition, bundled_workloads(definition.name, "cpu")[9], 1, "cuda")
    for x, y in zip(run("dsa_topk", inputs)[0].tolist(), run("dsa_topk", to_cpu(inputs))[0].tolist(), strict=True):
        assert len(set(x) ^ set(y)) <= 4
