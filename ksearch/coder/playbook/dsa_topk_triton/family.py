"""The family: which definitions it covers, its space, and how a configuration becomes code."""

from __future__ import annotations

from dataclasses import dataclass

from ksearch.coder.playbook.dsa_topk_triton.rendering import source
from ksearch.coder.playbook.dsa_topk_triton.techniques import DEFAULTS, LARGE_TILE_DOTS, techniques
from ksearch.coder.playbook.mechanism import Rendering, plainer
from ksearch.coder.types import Target
from ksearch.definitions.schema import Definition
from ksearch.worldmodel.catalogue import Catalogue, Config

TENSORS = {
    "q_index_fp8": "float8_e4m3fn", "k_index_cache_fp8": "int8", "weights": "float32", "seq_lens": "int32",
    "block_table": "int32", "topk_indices": "int32",
}

FP8_ARCHITECTURES = ("sm_89", "sm_90", "sm_100", "sm_103", "sm_120")
"""Where Triton has the e4m3 type: older ones can't convert the cache's bytes."""

RETREATS = ("score_stages", "tiles", "tile", "dot", "select_warps", "score_warps", "stop", "ranks", "mapping", "row", "search")
"""Entries a repair may set back to their plainest value, the likeliest culprit first."""


@dataclass(frozen=True)
class DsaTopkTriton:
    """Entry points are `run(q, cache, weights, seq_lens, block_table, topk_indices)`.

    Tensors are contiguous. Nothing is read on the host but shapes, and scratch memory is written before it is read, so
    calls may overlap other streams or be captured in a graph.
    """

    name: str = "dsa_topk/triton"

    def covers(self, definition: Definition, target: Target) -> bool:
        axes = definition.const_axes
        tensors = {**definition.inputs, **definition.outputs}
        return (
            target.device == "cuda"
            and "triton" in target.languages
            and target.arch in FP8_ARCHITECTURES
            and list(tensors) == list(TENSORS)
            and {name: spec.dtype for name, spec in tensors.items()} == TENSORS
            and axes.get("page_size") == 64
            and axes.get("num_index_heads", 0) in (16, 32, 64, 128)
            and axes.get("index_head_dim", 0) in (32, 64, 128, 256)
            and axes.get("head_dim_with_scale") == axes.get("index_head_dim", 0) + 4
            and axes.get("kv_cache_num_heads") == 1
            and _is_power_of_two(axes.get("topk", 0), least=64)
        )

    def catalogue(self, definition: Definition, target: Target) -> Catalogue:
        return Catalogue(self.name, DEFAULTS, techniques(definition.const_axes["topk"]))

    def render(self, definition: Definition, target: Target, config: Config) -> Rendering:
        axes = definition.const_axes
        sizes = {
            "TOPK": axes["topk"], "PAGE": axes["page_size"], "DIM": axes["index_head_dim"], "HEADS": axes["num_index_heads"],
        }
        return Rendering("triton", "kernel.py::run", (("kernel.py", source(config, sizes)),))

    def fallbacks(self, config: Config, failed_stage: str | None) -> tuple[Config, ...]:
        return tuple(other for other in plainer(config, DEFAULTS, RETREATS) if _fits(other))


def _fits(config: Config) -> bool:
    """Whether a configuration that no plan may reach still stands for code."""
    sorted_in_place = config["search"] != "sort" or (config["row"] == "resident" and config["mapping"] == "fused")
    return sorted_in_place and config["dot"] in LARGE_TILE_DOTS.get(int(config["tile"]), (config["dot"],))


def _is_power_of_two(number: int, least: int) -> bool:
    return number >= least and number & (number - 1) == 0
