"""One decode step of a gated delta net: S' = g S + beta (v - g S k) k^T, out = scale S' q, state rows by value."""

from __future__ import annotations

from dataclasses import dataclass

from ksearch.coder.playbook.gdn_decode_cuda.rendering import cuda_source, triton_source
from ksearch.coder.playbook.gdn_decode_cuda.techniques import PLAIN, defaults, techniques
from ksearch.coder.playbook.mechanism import Rendering, plainer
from ksearch.coder.types import Target
from ksearch.definitions.schema import Definition
from ksearch.worldmodel.catalogue import Catalogue, Config

TENSORS = {
    "q": "bfloat16", "k": "bfloat16", "v": "bfloat16", "state": "float32", "A_log": "float32", "a": "bfloat16",
    "dt_bias": "float32", "b": "bfloat16", "scale": "float32", "output": "bfloat16", "new_state": "float32",
}
RETREATS = ("stages", "tiles", "held", "lanes", "reads", "writes", "products", "tile_rows", "warps", "threads")
"""Entries a repair may set back to their plainest value, the likeliest culprit first."""


@dataclass(frozen=True)
class GdnDecodeCuda:
    """Entry points are `run(q, k, v, state, A_log, a, dt_bias, b, scale, output, new_state)`, seq_len 1."""

    name: str = "gdn_decode/cuda"

    def covers(self, definition: Definition, target: Target) -> bool:
        tensors = {**definition.inputs, **definition.outputs}
        axes = definition.const_axes
        heads, key_heads = axes.get("num_v_heads", 0), axes.get("num_q_heads", 0)
        return (
            target.device == "cuda"
            and bool({"triton", "cuda"} & set(target.languages))
            and list(tensors) == list(TENSORS)
            and {name: spec.dtype for name, spec in tensors.items()} == TENSORS
            and definition.inputs["state"].shape == ("batch_size", "num_v_heads", "head_size", "head_size")
            and axes.get("seq_len") == 1
            and axes.get("num_k_heads") == key_heads
            and key_heads > 0
            and heads % key_heads == 0
            and heads % 8 == 0
            and axes.get("head_size") == 128
        )

    def catalogue(self, definition: Definition, target: Target) -> Catalogue:
        return Catalogue(self.name, defaults(target), techniques(target))

    def render(self, definition: Definition, target: Target, config: Config) -> Rendering:
        axes = definition.const_axes
        sizes = {"HEADS": axes["num_v_heads"], "KEY_HEADS": axes["num_q_heads"], "DIM": axes["head_size"]}
        if config["language"] == "triton":
            return Rendering("triton", "kernel.py::run", (("kernel.py", triton_source(config, sizes)),))
        return Rendering("cuda", "kernel.cu::run", (("kernel.cu", cuda_source(config, sizes)),), binding="tvm-ffi")

    def fallbacks(self, config: Config, failed_stage: str | None) -> tuple[Config, ...]:
        return plainer(config, PLAIN, RETREATS)
