"""Softmax of each row, shifted by its largest element, in float32."""

from __future__ import annotations

from dataclasses import dataclass

from ksearch.coder.playbook.mechanism import Rendering, plainer
from ksearch.coder.playbook.softmax_triton.rendering import source
from ksearch.coder.playbook.softmax_triton.techniques import DEFAULTS, techniques
from ksearch.coder.types import Target
from ksearch.definitions.schema import Definition
from ksearch.worldmodel.catalogue import Catalogue, Config

RETREATS = ("grid", "rows", "warps", "chunk", "loads", "stores", "power", "scaling", "passes")
"""Entries a repair may set back to their plainest value, the likeliest culprit first."""
MAX_WIDTH = 16384
"""A row must fit the registers of one program."""
TYPES = {"float32", "float16", "bfloat16"}


@dataclass(frozen=True)
class SoftmaxTriton:
    """Entry points are `run(logits, output)`, both contiguous [rows, width]; the width is const."""

    name: str = "softmax/triton"

    def covers(self, definition: Definition, target: Target) -> bool:
        tensors = {**definition.inputs, **definition.outputs}
        return (
            target.device == "cuda"
            and "triton" in target.languages
            and definition.op_type == "softmax"
            and list(tensors) == ["logits", "output"]
            and definition.inputs["logits"].shape == definition.outputs["output"].shape
            and all(spec.dtype in TYPES for spec in tensors.values())
            and 0 < _width(definition) <= MAX_WIDTH
        )

    def catalogue(self, definition: Definition, target: Target) -> Catalogue:
        return Catalogue(self.name, DEFAULTS, techniques(_width(definition)))

    def render(self, definition: Definition, target: Target, config: Config) -> Rendering:
        return Rendering("triton", "kernel.py::run", (("kernel.py", source(config, _width(definition))),))

    def fallbacks(self, config: Config, failed_stage: str | None) -> tuple[Config, ...]:
        return tuple(other for other in plainer(config, DEFAULTS, RETREATS) if other["passes"] == "one" or other["rows"] == 1)


def _width(definition: Definition) -> int:
    """Length of the last axis; 0 unless it is const and there is one other."""
    shape = definition.inputs["logits"].shape
    return definition.const_axes.get(shape[1], 0) if shape is not None and len(shape) == 2 else 0
