"""RMS normalisation: output = hidden / sqrt(mean(hidden^2) + eps) * weight, sums in float32."""

from __future__ import annotations

from dataclasses import dataclass

from ksearch.coder.playbook.mechanism import Rendering, plainer
from ksearch.coder.playbook.reference import float_constant
from ksearch.coder.playbook.rmsnorm_cpu.techniques import DEFAULTS, techniques
from ksearch.coder.playbook.templates import constants, join, sections
from ksearch.coder.types import Target
from ksearch.definitions.schema import Definition
from ksearch.worldmodel.catalogue import Catalogue, Config

PACKAGE = "ksearch.coder.playbook.rmsnorm_cpu"
RETREATS = ("writes", "prefetch", "narrow", "sums", "weights", "row", "temporaries")
MAX_HIDDEN = 65536
"""Two rows of floats lie on the stack."""


@dataclass(frozen=True)
class RmsNormCpu:
    """Entry points are `run(hidden_states, weight, output)`. The hidden axis is const, a multiple of 64."""

    name: str = "rmsnorm/cpu"

    def covers(self, definition: Definition, target: Target) -> bool:
        tensors = {**definition.inputs, **definition.outputs}
        return (
            target.device == "cpu"
            and "python" in target.languages
            and definition.op_type == "rmsnorm"
            and list(tensors) == ["hidden_states", "weight", "output"]
            and all(spec.dtype == "bfloat16" for spec in tensors.values())
            and _hidden(definition) % 64 == 0
            and 0 < _hidden(definition) <= MAX_HIDDEN
            and float_constant(definition.reference, "eps") is not None
        )

    def catalogue(self, definition: Definition, target: Target) -> Catalogue:
        return Catalogue(self.name, DEFAULTS, techniques(target))

    def render(self, definition: Definition, target: Target, config: Config) -> Rendering:
        epsilon = float_constant(definition.reference, "eps")
        if epsilon is None:
            raise ValueError(f"{definition.name}: the reference names no eps")
        if config["language"] == "python":
            return Rendering("python", "kernel.py::run", (("kernel.py", _python(config, epsilon)),))
        source = _cpp(config, epsilon, _hidden(definition))
        return Rendering("cpp", "kernel.cpp::run", (("kernel.cpp", source),), binding="tvm-ffi")

    def fallbacks(self, config: Config, failed_stage: str | None) -> tuple[Config, ...]:
        return plainer(config, DEFAULTS, RETREATS)


def _hidden(definition: Definition) -> int:
    """Length of the normalised axis; 0 unless it is const and the shapes are [batch, hidden] and [hidden]."""
    shape, weight = definition.inputs["hidden_states"].shape, definition.inputs["weight"].shape
    if shape is None or weight is None or len(shape) != 2 or shape[1:] != weight:
        return 0
    return definition.const_axes.get(weight[0], 0)


def _python(config: Config, epsilon: float) -> str:
    part = sections(PACKAGE, "kernel.py.txt")
    if config["op"] == "library":
        return "\n\n".join([part["head"] + part["head_library"] + f"\nEPS = {epsilon!r}\n", part["library"]])
    pieces = [part["head"] + f"\nEPS = {epsilon!r}\n", part[f"squares_{config['squares']}"], part[f"temporaries_{config['temporaries']}"]]
    return "\n\n".join(pieces)


def _cpp(config: Config, epsilon: float, hidden: int) -> str:
    part, half = sections(PACKAGE, "kernel.cpp"), sections("ksearch.coder.playbook", "vectors.cpp")
    vector, lanes, streamed = config["vector"], config["vector"] == "lanes", config["writes"] == "streamed"
    numbers = constants(HIDDEN=hidden, **({"SUMS": int(config["sums"])} if lanes else {}))
    run = ("run_head", *(["run_prefetch"] if config["prefetch"] else []), "run_row", *(["run_fence"] if streamed else []), "run_tail")
    return join(
        part["head"], part["head_intrinsics"] if streamed or config["narrow"] == "instruction" else "",
        "namespace {\n", numbers + f"constexpr float EPS = {epsilon!r}f;\n",
        half["scalar"], half["width"] + half["lanes"] if lanes else "", half[f"narrow_{config['narrow']}"] if lanes else "",
        part["value"], part[f"row_{config['row']}"], part[f"weights_{config['weights']}"],
        part[f"sum_{vector}"], part[f"write_{config['writes']}"] if lanes else "", part[f"scale_{vector}"],
        part["prefetch"] if config["prefetch"] else "",
        "}  // namespace\n", "".join(part[name] for name in run),
    )
