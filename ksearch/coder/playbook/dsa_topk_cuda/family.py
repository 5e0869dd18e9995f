"""The family: which definitions and targets it covers, its space, and how a configuration becomes code."""

from __future__ import annotations

from dataclasses import dataclass

from ksearch.coder.playbook.dsa_topk_cuda.rendering import source
from ksearch.coder.playbook.dsa_topk_cuda.techniques import DEFAULTS, RETREATS, techniques
from ksearch.coder.playbook.mechanism import Rendering, plainer
from ksearch.coder.types import Target
from ksearch.definitions.schema import Definition
from ksearch.worldmodel.catalogue import Catalogue, Config

TENSORS = {
    "q_index_fp8": "float8_e4m3fn", "k_index_cache_fp8": "int8", "weights": "float32", "seq_lens": "int32",
    "block_table": "int32", "topk_indices": "int32",
}
AXES = {"num_index_heads": 64, "index_head_dim": 128, "page_size": 64, "head_dim_with_scale": 132, "kv_cache_num_heads": 1}


@dataclass(frozen=True)
class DsaTopkCuda:
    """Entry points are `run(q, cache, weights, seq_lens, block_table, topk_indices)`; scales may have either sign."""

    name: str = "dsa_topk/cuda"

    def covers(self, definition: Definition, target: Target) -> bool:
        """Clusters, bulk copies and fp8 products need sm_90 or later; a thread block's stores need topk a multiple of 1024."""
        axes = definition.const_axes
        tensors = {name: spec.dtype for name, spec in (*definition.inputs.items(), *definition.outputs.items())}
        return (
            target.device == "cuda"
            and "cuda" in target.languages
            and _generation(target.arch) >= 90
            and tensors == TENSORS
            and all(axes.get(name) == value for name, value in AXES.items())
            and axes.get("topk") in (1024, 2048)
        )

    def catalogue(self, definition: Definition, target: Target) -> Catalogue:
        return Catalogue(self.name, DEFAULTS, techniques(target))

    def render(self, definition: Definition, target: Target, config: Config) -> Rendering:
        text = source(config, definition.const_axes["topk"])
        return Rendering("cuda", "kernel.cu::run", (("kernel.cu", text),), binding="tvm-ffi")

    def fallbacks(self, config: Config, failed_stage: str | None) -> tuple[Config, ...]:
        return plainer(config, DEFAULTS, RETREATS)


def _generation(arch: str | None) -> int:
    """90 of 'sm_90' or 'sm_90a'; 0 for anything else."""
    digits = (arch or "").removeprefix("sm_").rstrip("af")
    return int(digits) if digits.isdigit() else 0
