"""One decode step of a gated delta net: S' = g S + beta (v - g S k) k^T, out = scale S' q, state rows by value."""

from __future__ import annotations

from dataclasses import dataclass

from ksearch.coder.playbook.gdn_decode_cpu.techniques import DEFAULTS, techniques
from ksearch.coder.playbook.mechanism import Rendering, plainer
from ksearch.coder.playbook.templates import constants, join, sections
from ksearch.coder.types import Target
from ksearch.definitions.schema import Definition
from ksearch.worldmodel.catalogue import Catalogue, Config

PACKAGE = "ksearch.coder.playbook.gdn_decode_cpu"
TENSORS = {
    "q": "bfloat16", "k": "bfloat16", "v": "bfloat16", "state": "float32", "A_log": "float32", "a": "bfloat16",
    "dt_bias": "float32", "b": "bfloat16", "scale": "float32", "output": "bfloat16", "new_state": "float32",
}
RETREATS = ("writes", "ahead", "rows", "update", "loop")


@dataclass(frozen=True)
class GdnDecodeCpu:
    """Entry points are `run(q, k, v, state, A_log, a, dt_bias, b, scale, output, new_state)`, seq_len 1."""

    name: str = "gdn_decode/cpu"

    def covers(self, definition: Definition, target: Target) -> bool:
        tensors = {**definition.inputs, **definition.outputs}
        axes = definition.const_axes
        heads, key_heads = axes.get("num_v_heads", 0), axes.get("num_q_heads", 0)
        return (
            target.device == "cpu"
            and "python" in target.languages
            and {name: spec.dtype for name, spec in tensors.items()} == TENSORS
            and list(tensors) == list(TENSORS)
            and definition.inputs["state"].shape == ("batch_size", "num_v_heads", "head_size", "head_size")
            and axes.get("seq_len") == 1
            and axes.get("num_k_heads") == key_heads
            and key_heads > 0
            and heads % key_heads == 0
            and axes.get("head_size", 1) % 16 == 0
        )

    def catalogue(self, definition: Definition, target: Target) -> Catalogue:
        return Catalogue(self.name, DEFAULTS, techniques(target))

    def render(self, definition: Definition, target: Target, config: Config) -> Rendering:
        if config["language"] == "python":
            return Rendering("python", "kernel.py::run", (("kernel.py", _python(config)),))
        return Rendering("cpp", "kernel.cpp::run", (("kernel.cpp", _cpp(config, definition.const_axes)),), binding="tvm-ffi")

    def fallbacks(self, config: Config, failed_stage: str | None) -> tuple[Config, ...]:
        return plainer(config, DEFAULTS, RETREATS)


def _python(config: Config) -> str:
    part = sections(PACKAGE, "kernel.py.txt")
    names = ("head", "gates", "operands", f"step_{config['update']}_{config['dots']}", f"run_{config['loop']}")
    return "\n\n".join(part[name] for name in names)


def _cpp(config: Config, axes: dict[str, int]) -> str:
    part, half = sections(PACKAGE, "kernel.cpp"), sections("ksearch.coder.playbook", "vectors.cpp")
    lanes, streamed = config["vector"] == "lanes", config["writes"] == "streamed"
    numbers = {"HEADS": axes["num_v_heads"], "KEY_HEADS": axes["num_q_heads"], "DIM": axes["head_size"]}
    numbers |= {"ROWS": int(config["rows"])} if lanes else {}
    numbers |= {"AHEAD": int(config["ahead"])} if config["ahead"] else {}
    return join(
        part["head"], part["head_intrinsics"] if streamed else "", "namespace {\n", constants(**numbers),
        half["scalar"], half["width"] + half["lanes"] if lanes else part[f"dot_{config['vector']}"], part["head_state"],
        part["fetch_ahead" if config["ahead"] else "fetch_none"] if config["sweeps"] == "row" else "",
        part[f"write_{config['writes']}"] if lanes else "", part[_step(config)], "}  // namespace\n",
        part["run"].rstrip("\n") + "\n" + (part["run_fence"] if streamed else "") + part["run_tail"],
    )


def _step(config: Config) -> str:
    if config["vector"] == "lanes":
        return f"step_lanes_{config['dots']}"
    return f"step_row_{config['dots']}" if config["sweeps"] == "row" else f"step_{config['sweeps']}"
