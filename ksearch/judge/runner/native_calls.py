"""Calls of compiled code on a CPU, in a process that holds no library but the C++ runtime, tvm-ffi and the interpreter.

Tensors are made by hand from DLPack's structures: torch would bring half a gigabyte of vendor kernels within a dlsym's reach.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Callable
from functools import partial
from typing import Any

from ksearch.judge.runner.dlpack import tensor_at


class NativeCalls:
    def __init__(self) -> None:
        self.function: Any = None
        self.returns = False
        self.converts = True
        self.memory: mmap.mmap | None = None
        self.address = 0
        self.bound: list[tuple[Any, ...]] = []

    def map(self, descriptor: int, size: int) -> None:
        self.bound = []
        # Every page now: a page fault within a timed call would be charged to the candidate.
        self.memory = mmap.mmap(descriptor, size, flags=mmap.MAP_SHARED | mmap.MAP_POPULATE)
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        os.close(descriptor)

    def bind(self, message: dict[str, Any]) -> None:
        specs = [*message["inputs"], *message["outputs"]]
        self.bound = [tuple(self._argument(spec, base) for spec in specs) for base in message["bases"]]

    def _argument(self, spec: dict[str, Any], base: int) -> Any:
        if "value" in spec:
            return spec["value"]
        return tensor_at(self.address + base + spec["offset"], spec["shape"], spec["dtype"])

    def prepared(self) -> Callable[[], object]:
        (arguments,) = self.bound
        return partial(self.function, *arguments)

    def prepare(self, message: dict[str, Any]) -> dict[str, Any]:
        """Nothing to set up on a CPU."""
        return {}

    def refresh(self, message: dict[str, Any]) -> None:
        """The bound tensors are the shared pages: they have the new values already."""

    def settle(self, message: dict[str, Any]) -> dict[str, Any]:
        """Outputs are where they belong."""
        return {}
