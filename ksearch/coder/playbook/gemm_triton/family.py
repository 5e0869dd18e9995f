"""Matrix product of 16-bit floats, C[M, N] = A[M, K] B[N, K]^T, sums in float32."""

from __future__ import annotations

from dataclasses import dataclass

from ksearch.coder.playbook.gemm_triton.rendering import source
from ksearch.coder.playbook.gemm_triton.techniques import DEFAULTS, techniques
from ksearch.coder.playbook.mechanism import Rendering, plainer
from ksearch.coder.types import Target
from ksearch.definitions.schema import Definition
from ksearch.worldmodel.catalogue import Catalogue, Config

RETREATS = ("stages", "depth", "tile", "sums", "operands", "combine", "split", "grid", "order", "warps")
"""Entries a repair may set back to their plainest value, the likeliest culprit first."""
DESCRIPTOR_ARCHITECTURES = ("sm_90", "sm_100", "sm_103", "sm_120")
"""Where the tensor copy engine is; elsewhere Triton lowers its loads to ordinary ones, which gain nothing."""


@dataclass(frozen=True)
class GemmTriton:
    """Entry points are `run(A, B, C)`, all contiguous. N and K are multiples of 1024, so that only M needs masks."""

    name: str = "gemm/triton"

    def covers(self, definition: Definition, target: Target) -> bool:
        tensors = {**definition.inputs, **definition.outputs}
        shapes = [spec.shape for spec in tensors.values()]
        axes = definition.const_axes
        return (
            target.device == "cuda"
            and "triton" in target.languages
            and definition.op_type == "gemm"
            and list(tensors) == ["A", "B", "C"]
            and shapes == [("M", "K"), ("N", "K"), ("M", "N")]
            and {spec.dtype for spec in tensors.values()} in ({"float16"}, {"bfloat16"})
            and axes.get("N", 1) % 1024 == 0
            and axes.get("K", 1) % 1024 == 0
        )

    def catalogue(self, definition: Definition, target: Target) -> Catalogue:
        descriptors = target.arch in DESCRIPTOR_ARCHITECTURES
        half = definition.outputs["C"].dtype == "float16"
        return Catalogue(self.name, DEFAULTS, techniques(descriptors=descriptors, half=half))

    def render(self, definition: Definition, target: Target, config: Config) -> Rendering:
        axes = definition.const_axes
        return Rendering("triton", "kernel.py::run", (("kernel.py", source(config, axes["N"], axes["K"])),))

    def fallbacks(self, config: Config, failed_stage: str | None) -> tuple[Config, ...]:
        return tuple(other for other in plainer(config, DEFAULTS, RETREATS) if _fits(other))


def _fits(config: Config) -> bool:
    """Whether a configuration that no plan may reach still stands for code: parts of a sum are added in float32."""
    return config["sums"] == "float32" or config["split"] == 1
