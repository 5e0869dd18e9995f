"""Facts that a family needs and a definition states only in its reference."""

from __future__ import annotations

import ast


def float_constant(source: str, name: str) -> float | None:
    """The number that the reference assigns to `name` (any case), e.g. `EPS = 1e-6`; None unless there is exactly one."""
    found = {
        float(node.value.value)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, int | float)
        and any(isinstance(target, ast.Name) and target.id.lower() == name for target in node.targets)
    }
    return found.pop() if len(found) == 1 else None
