"""The family: which definitions it covers, its space, and how a configuration becomes code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ksearch.coder.playbook.dsa_topk_cpu.rendering import cpp_source, python_source
from ksearch.coder.playbook.dsa_topk_cpu.techniques import DEFAULTS, techniques
from ksearch.coder.playbook.mechanism import Rendering, plainer
from ksearch.coder.types import Target
from ksearch.definitions.schema import Definition
from ksearch.worldmodel.catalogue import Catalogue, Config

INPUTS = {
    "q_index_fp8": "float8_e4m3fn", "k_index_cache_fp8": "int8", "weights": "float32", "seq_lens": "int32",
    "block_table": "int32",
}
OUTPUTS = {"topk_indices": "int32"}

RETREATS = ("threads", "prefetch", "scratch", "tiles", "tile", "lanes", "block", "emit", "fill", "batching", "mapping")
"""Entries a repair may set back to their plainest value, the likeliest culprit first."""


@dataclass(frozen=True)
class DsaTopkCpu:
    """Entry points are `run(q, cache, weights, seq_lens, block_table, topk_indices)`; fp8 values are finite, scales
    positive, as the format's quantisation makes them."""

    name: str = "dsa_topk/cpu"

    def covers(self, definition: Definition, target: Target) -> bool:
        axes = definition.const_axes
        return (
            target.device == "cpu"
            and "python" in target.languages
            and _dtypes(definition) == {**INPUTS, **OUTPUTS}
            and axes.get("num_index_heads") == 64
            and axes.get("page_size") == 64
            and axes.get("index_head_dim", 0) % 64 == 0
            and axes.get("head_dim_with_scale") == axes.get("index_head_dim", 0) + 4
            and axes.get("topk", 0) > 0
        )

    def catalogue(self, definition: Definition, target: Target) -> Catalogue:
        return Catalogue(self.name, DEFAULTS, techniques(target))

    def render(self, definition: Definition, target: Target, config: Config) -> Rendering:
        sizes = _sizes(definition)
        if config["language"] == "python":
            return Rendering("python", "kernel.py::run", (("kernel.py", python_source(config, sizes)),))
        return Rendering("cpp", "kernel.cpp::run", (("kernel.cpp", cpp_source(config, sizes)),), binding="tvm-ffi")

    def fallbacks(self, config: Config, failed_stage: str | None) -> tuple[Config, ...]:
        return plainer(config, DEFAULTS, RETREATS)


def _dtypes(definition: Definition) -> dict[str, str]:
    return {name: spec.dtype for name, spec in (*definition.inputs.items(), *definition.outputs.items())}


def _sizes(definition: Definition) -> Mapping[str, int]:
    axes = definition.const_axes
    return {"TOPK": axes["topk"], "PAGE": axes["page_size"], "DIM": axes["index_head_dim"], "HEADS": axes["num_index_heads"]}
