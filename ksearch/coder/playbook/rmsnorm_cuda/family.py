"""RMS normalisation: output = hidden / sqrt(mean(hidden^2) + epsilon) * weight, sums in float32."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from ksearch.coder.playbook.mechanism import Rendering, plainer
from ksearch.coder.playbook.reference import float_constant
from ksearch.coder.playbook.rmsnorm_cuda.rendering import cuda_source, triton_source
from ksearch.coder.playbook.rmsnorm_cuda.techniques import PLAIN, defaults, techniques
from ksearch.coder.types import Target
from ksearch.definitions.schema import Definition
from ksearch.worldmodel.catalogue import Catalogue, Config

RETREATS = ("grid", "team", "rows", "weights", "loads", "stores", "vector", "reduction", "passes", "warps", "threads")
MAX_HIDDEN = 16384
"""A row must fit the registers of one program."""


@dataclass(frozen=True)
class RmsNormCuda:
    """Entry points are `run(hidden_states, weight, output)`. The hidden axis is const, a multiple of 64."""

    name: str = "rmsnorm/cuda"

    def covers(self, definition: Definition, target: Target) -> bool:
        tensors = {**definition.inputs, **definition.outputs}
        return (
            target.device == "cuda"
            and bool({"triton", "cuda"} & set(target.languages))
            and definition.op_type == "rmsnorm"
            and list(tensors) == ["hidden_states", "weight", "output"]
            and all(spec.dtype == "bfloat16" for spec in tensors.values())
            and _hidden(definition) % 64 == 0
            and 0 < _hidden(definition) <= MAX_HIDDEN
            and epsilon_of(definition.reference) is not None
        )

    def catalogue(self, definition: Definition, target: Target) -> Catalogue:
        return Catalogue(self.name, defaults(target), techniques(target, _hidden(definition)))

    def render(self, definition: Definition, target: Target, config: Config) -> Rendering:
        epsilon = epsilon_of(definition.reference)
        if epsilon is None:
            raise ValueError(f"{definition.name}: the reference names no epsilon")
        if config["language"] == "triton":
            source = triton_source(config, _hidden(definition), epsilon)
            return Rendering("triton", "kernel.py::run", (("kernel.py", source),))
        source = cuda_source(config, _hidden(definition), epsilon)
        return Rendering("cuda", "kernel.cu::run", (("kernel.cu", source),), binding="tvm-ffi")

    def fallbacks(self, config: Config, failed_stage: str | None) -> tuple[Config, ...]:
        return tuple(other for other in plainer(config, PLAIN, RETREATS) if _fits(other))


def _fits(config: Config) -> bool:
    """Whether a configuration that no plan may reach still stands for code."""
    whole_row = config["passes"] == "one" or (config["weights"] == "late" and config["rows"] == 1)
    return whole_row and (config["team"] == "block" or config["reduction"] == "shuffle")


def epsilon_of(reference: str) -> float | None:
    """What the reference adds to the mean square: its constant `eps` or `epsilon`, else the only small literal it adds."""
    for name in ("eps", "epsilon"):
        if (named := float_constant(reference, name)) is not None:
            return named
    added = {
        node.right.value
        for node in ast.walk(ast.parse(reference))
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add)
        and isinstance(node.right, ast.Constant) and isinstance(node.right.value, float) and 0 < node.right.value < 0.01
    }
    return added.pop() if len(added) == 1 else None


def _hidden(definition: Definition) -> int:
    """Length of the normalised axis; 0 unless it is const and the shapes are [batch, hidden] and [hidden]."""
    shape, weight = definition.inputs["hidden_states"].shape, definition.inputs["weight"].shape
    if shape is None or weight is None or len(shape) != 2 or shape[1:] != weight:
        return 0
    return definition.const_axes.get(weight[0], 0)
