"""The documents of the package: what a device, a language, an operator is like. Short, and chosen by what a run is about."""

from __future__ import annotations

from functools import cache
from importlib import resources

from ksearch.coder.types import Target
from ksearch.definitions.schema import Definition

OPERATORS = {
    "dsa_paged": "dsa_paged", "gdn": "gdn", "rmsnorm": "rmsnorm", "gemm": "gemm", "moe": "gemm", "gqa_paged": "paged", "mla_paged": "paged",
}  # fmt: skip
"""Which note covers an op_type."""


def documents(definition: Definition, target: Target) -> tuple[str, ...]:
    """Hardware, languages in order of preference, operator: those there are."""
    hardware = "cpu" if target.device == "cpu" else target.arch
    names = [f"hardware/{hardware}", *(f"languages/{language}" for language in target.languages)]
    if definition.op_type in OPERATORS:
        names.append(f"operators/{OPERATORS[definition.op_type]}")
    return tuple(text for text in map(document, names) if text is not None)


@cache
def document(name: str) -> str | None:
    """The text of knowledge/NAME.md, None when there is no such document."""
    file = resources.files("ksearch.briefing") / "knowledge" / f"{name}.md"
    return file.read_text("utf-8").strip() if file.is_file() else None


@cache
def instructions() -> str:
    return (resources.files("ksearch.briefing") / "prompts" / "common.md").read_text("utf-8").strip()
