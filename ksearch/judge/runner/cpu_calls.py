"""Calls on a CPU: tensors lie in the shared pages themselves, so nothing is copied inside the judge's clock."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable
from functools import partial
from typing import Any

from ksearch.judge.runner.views import store, view


class CpuCalls:
    def __init__(self) -> None:
        self.function: Any = None
        self.returns = False
        self.converts = False
        """Compiled code with every library within reach (--allow-libraries): it gets tvm-ffi tensors."""
        self.memory: Any = None
        self.bound: list[tuple[tuple[Any, ...], list[Any]]] = []
        self.names: list[str] = []

    def map(self, descriptor: int, size: int) -> None:
        import torch

        self.bound = []
        self.memory = torch.frombuffer(_mapped(descriptor, size), dtype=torch.uint8)
        os.close(descriptor)

    def bind(self, message: dict[str, Any]) -> None:
        self.names = [spec["name"] for spec in message["outputs"]]
        self.bound = [self._call(message, base) for base in message["bases"]]

    def _call(self, message: dict[str, Any], base: int) -> tuple[tuple[Any, ...], list[Any]]:
        inputs = [view(self.memory, base, spec) for spec in message["inputs"]]
        outputs = [view(self.memory, base, spec) for spec in message["outputs"]]
        arguments = inputs if self.returns else inputs + outputs
        return tuple(self._native(argument) for argument in arguments), outputs

    def _native(self, argument: Any) -> Any:
        """Compiled candidates get tvm-ffi tensors made beforehand: conversion is not theirs to pay for in each call."""
        if not self.converts or not hasattr(argument, "data_ptr"):
            return argument
        import tvm_ffi

        return tvm_ffi.from_dlpack(argument)

    def prepared(self) -> Callable[[], object]:
        ((arguments, outputs),) = self.bound
        if self.returns:
            function = self.function
            return lambda: store(outputs, function(*arguments), self.names)
        return partial(self.function, *arguments)

    def prepare(self, message: dict[str, Any]) -> dict[str, Any]:
        """Nothing to set up on a CPU."""
        return {}

    def refresh(self, message: dict[str, Any]) -> None:
        """The bound tensors are the shared pages: they have the new values already."""

    def settle(self, message: dict[str, Any]) -> dict[str, Any]:
        """Outputs are where they belong."""
        return {}


def _mapped(descriptor: int, size: int) -> mmap.mmap:
    """Every page mapped now: a page fault within a timed call would be charged to the candidate."""
    return mmap.mmap(descriptor, size, flags=mmap.MAP_SHARED | mmap.MAP_POPULATE)
