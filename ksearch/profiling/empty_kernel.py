"""A kernel that does nothing. Triton reads its source from a file, so it has one; imported only where a GPU is measured."""

from __future__ import annotations

import triton


@triton.jit  # type: ignore[untyped-decorator]
def empty() -> None:
    pass
