"""How a definition's entry point is declared in each language: nobody should have to guess a signature."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from ksearch.definitions.schema import AxisConst, Definition, TensorSpec
from ksearch.worldmodel.briefing import inline

COMPILED, SCRIPTED = ("cuda", "cpp"), ("triton", "python")

LINE = 150


def tensors_text(definition: Definition) -> list[str]:
    """A line for each tensor, in the order of the call, its constant axes as numbers."""
    groups = (("input", definition.inputs), ("output", definition.outputs))
    return [
        f"- {kind} {name}: {spec.dtype} {_shape(definition, spec)}{_note(spec.description)}"
        for kind, group in groups
        for name, spec in group.items()
    ]


def signatures_text(definition: Definition, languages: Sequence[str]) -> list[str]:
    """The declarations for these languages; compiled and scripted ones share theirs."""
    compiled, scripted = ([name for name in languages if name in group] for group in (COMPILED, SCRIPTED))
    found = [_declared("void run(", _typed(definition), ");", compiled)] if compiled else []
    names = [*definition.inputs, *definition.outputs]
    return [*found, *([_declared("def run(", names, ") -> None", scripted)] if scripted else [])]


def _typed(definition: Definition) -> list[str]:
    return [f"{_c_type(spec)} {name}" for name, spec in (*definition.inputs.items(), *definition.outputs.items())]


def _c_type(spec: TensorSpec) -> str:
    if spec.shape is not None:
        return "tvm::ffi::TensorView"
    return "bool" if spec.dtype == "bool" else "int64_t" if "int" in spec.dtype else "double"


def _declared(opening: str, parameters: Sequence[str], closing: str, languages: Sequence[str]) -> str:
    text = f"{opening}{', '.join(parameters)}{closing}"
    lines = textwrap.wrap(text.replace("View ", "View\0"), LINE, subsequent_indent="         ", break_long_words=False)
    lines = [line.replace("\0", " ") for line in lines]  # a type stays on its name's line
    return f"Entry point ({', '.join(languages)}):\n    " + "\n    ".join(lines)


def _shape(definition: Definition, spec: TensorSpec) -> str:
    if spec.shape is None:
        return "scalar"
    return f"[{', '.join(_extent(definition, axis) for axis in spec.shape)}]"


def _extent(definition: Definition, axis: str) -> str:
    found = definition.axes[axis]
    return f"{axis}={found.value}" if isinstance(found, AxisConst) else axis


def _note(description: str | None) -> str:
    return f"; {inline(description)}" if description else ""
