"""The family of last resort: the definition's own reference in destination-passing style.

It covers everything Python can, so that a definition without templates still has a root; its few techniques don't
depend on the operator. A run that uses it says that it has no templates.
"""

from __future__ import annotations

from dataclasses import dataclass

from ksearch.coder.playbook.mechanism import Rendering
from ksearch.coder.types import Target
from ksearch.definitions.schema import Definition
from ksearch.worldmodel.catalogue import Catalogue, Config, Technique

_WRAPPER = '''
{setup}

def run({arguments}):
    """The reference, its results copied into the caller's outputs."""
    results = _reference({inputs})
    if isinstance(results, dict):
        results = [results[name] for name in {names}]
    elif not isinstance(results, (tuple, list)):
        results = [results]
    for output, result in zip(({outputs},), results, strict=True):
        output.copy_(result)
'''


@dataclass(frozen=True)
class GenericFamily:
    """Wraps `definition.reference`; techniques change how PyTorch runs it, never what it computes."""

    name: str = "generic"

    def covers(self, definition: Definition, target: Target) -> bool:
        return "python" in target.languages

    def catalogue(self, definition: Definition, target: Target) -> Catalogue:
        techniques = [_GRADLESS]
        defaults: dict[str, str | int | bool] = {"grad": "tracked", "compile": "off"}
        if target.device == "cuda":
            techniques += [_compiled("default"), _compiled("max-autotune-no-cudagraphs")]
        return Catalogue(self.name, defaults, tuple(techniques))

    def render(self, definition: Definition, target: Target, config: Config) -> Rendering:
        inputs, outputs = ", ".join(definition.inputs), ", ".join(definition.outputs)
        wrapper = _WRAPPER.format(
            setup=_setup(config), arguments=f"{inputs}, {outputs}", inputs=inputs, outputs=outputs,
            names=tuple(definition.outputs),
        )
        source = definition.reference.rstrip() + "\n\n" + wrapper
        return Rendering("python", "kernel.py::run", (("kernel.py", source),))


def _setup(config: Config) -> str:
    """Lines that bind `_reference`, the callable that the wrapper runs."""
    lines = ["import torch", "", "_reference = run"]
    if config["compile"] != "off":
        # Compiled on first use for each set of shapes, which the judge's untimed calls absorb.
        lines.append(f'_reference = torch.compile(_reference, mode="{config["compile"]}", dynamic=False)')
    if config["grad"] == "off":
        lines.append("_reference = torch.inference_mode()(_reference)")
    return "\n".join(lines)


_GRADLESS = Technique(
    id="inference_mode", target="dispatch", sets={"grad": "off"}, needs={"grad": ("tracked",)},
    intent="run without autograd's bookkeeping",
    rationale="Every torch call otherwise sets up version counters and view tracking, which small operators feel.",
    gain_mean=0.05, gain_sd=0.1, p_success=0.9, difficulty=1,
)


def _compiled(mode: str) -> Technique:
    return Technique(
        id="torch_compile", target="graph", parameter=f"mode={mode}", sets={"compile": mode}, needs={"compile": ("off",)},
        intent=f"compile the reference with torch.compile ({mode})",
        rationale="Fuses element-wise chains and removes launches between them; data-dependent loops break the graph.",
        gain_mean=0.5, gain_sd=0.6, p_success=0.5, difficulty=2,
    )
