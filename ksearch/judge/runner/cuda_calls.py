"""Calls on a CUDA device: inputs are copied there outside the clock, each call is stamped by every clock there is.

The clocks run in the candidate's process, so their stamps are claims: the judge holds them against each other and against
its own clock, and does all arithmetic.
"""

from __future__ import annotations

import mmap
import os
import time
from dataclasses import dataclass
from typing import Any

from ksearch.judge.runner.cupti_log import CuptiLog
from ksearch.judge.runner.views import store, view

KEPT_GENERATIONS = 4
"""Renewed tensors outlive their successors by so many renewals, or the allocator would hand the same addresses out again."""
COPY_BACK_LIMIT = 16 * 2**20
"""Inputs up to this size are copied back after every run, larger ones only when the judge asks for all."""


@dataclass
class _Call:
    base: int
    inputs: list[Any]
    outputs: list[Any]
    arguments: tuple[Any, ...] = ()


class CudaCalls:
    def __init__(self) -> None:
        self.function: Any = None
        self.returns = False
        self.converts = False
        self.timed = False
        self.memory: Any = None
        self.calls: list[_Call] = []
        self.specs: dict[str, list[dict[str, Any]]] = {"inputs": [], "outputs": []}
        self.stamps: list[dict[str, Any]] = []
        self._old: list[Any] = []
        self._cupti: CuptiLog | None = None

    def prepare(self, message: dict[str, Any]) -> dict[str, Any]:
        """Context, clocks and the buffer that flushes the L2 cache, before any candidate is loaded."""
        import torch

        torch.cuda.set_device(message["device"])
        properties = torch.cuda.get_device_properties(message["device"])
        self._flush = torch.empty(2 * properties.L2_cache_size, dtype=torch.uint8, device="cuda")
        self._flush.zero_()
        self._events = [torch.cuda.Event(enable_timing=True) for _ in range(2)]
        self._synchronize = torch.cuda.synchronize
        self._clock = time.perf_counter
        if message["cupti"]:
            self._cupti = CuptiLog()
        self._synchronize()
        return {"cupti": self._cupti is not None}

    def map(self, descriptor: int, size: int) -> None:
        import torch

        self.calls = []
        self.memory = torch.frombuffer(mmap.mmap(descriptor, size), dtype=torch.uint8)
        os.close(descriptor)

    def bind(self, message: dict[str, Any]) -> None:
        self._old, self.calls = [], []
        self.timed = message["timed"]
        self.specs = {"inputs": message["inputs"], "outputs": message["outputs"]}
        for base in message["bases"]:
            call = _Call(base, self._fresh("inputs", base), self._fresh("outputs", base))
            self._arrange(call)
            self.calls.append(call)
        self._synchronize()

    def _fresh(self, side: str, base: int) -> list[Any]:
        return [self._on_device(base, spec) for spec in self.specs[side]]

    def _on_device(self, base: int, spec: dict[str, Any]) -> Any:
        value = view(self.memory, base, spec)
        return value.to("cuda", copy=True) if hasattr(value, "data_ptr") else value

    def _arrange(self, call: _Call) -> None:
        arguments = call.inputs if self.returns else call.inputs + call.outputs
        call.arguments = tuple(self._native(argument) for argument in arguments)

    def _native(self, argument: Any) -> Any:
        if not self.converts or not hasattr(argument, "data_ptr"):
            return argument
        import tvm_ffi

        return tvm_ffi.from_dlpack(argument)

    def refresh(self, message: dict[str, Any]) -> None:
        """New values into the bound tensors; the inputs only when they changed."""
        for call in self.calls:
            for side, tensors in (("inputs", call.inputs), ("outputs", call.outputs)):
                if side == "outputs" or message["inputs"]:
                    for spec, tensor in zip(self.specs[side], tensors, strict=True):
                        if hasattr(tensor, "data_ptr"):
                            tensor.copy_(view(self.memory, call.base, spec))
        self._synchronize()

    def renew(self, message: dict[str, Any]) -> None:
        """New values at new addresses: the named inputs of each call, and all outputs."""
        generation = []
        for call, places in zip(self.calls, message["inputs"], strict=True):
            generation += [call.outputs, [call.inputs[place] for place in places]]
            for place in places:
                call.inputs[place] = self._on_device(call.base, self.specs["inputs"][place])
            call.outputs = self._fresh("outputs", call.base)
            self._arrange(call)
        self._old = [*self._old, generation][-KEPT_GENERATIONS:]
        self._synchronize()

    def run(self) -> None:
        self.stamps = []
        for call in self.calls:
            if self.timed:
                self._run_stamped(call)
            else:
                self._call(call)
        self._synchronize()

    def _call(self, call: _Call) -> None:
        if self.returns:
            store(call.outputs, self.function(*call.arguments))
        else:
            self.function(*call.arguments)

    def _run_stamped(self, call: _Call) -> None:
        """Cold L2, idle device; then host, events and CUPTI around one call and a device-wide synchronisation."""
        begin, end = self._events
        self._flush.zero_()
        self._synchronize()
        if self._cupti is not None:
            self._cupti.take()
        start = self._clock()
        begin.record()
        self._call(call)
        end.record()
        self._synchronize()
        host_us = (self._clock() - start) * 1e6
        stamp: dict[str, Any] = {"host_us": host_us, "events_us": begin.elapsed_time(end) * 1e3}
        if self._cupti is not None:
            stamp["cupti"] = self._cupti.take()
        self.stamps.append(stamp)

    def settle(self, message: dict[str, Any]) -> dict[str, Any]:
        """Outputs, and inputs for the judge to compare, to shared memory."""
        for call in self.calls:
            for side, tensors in (("inputs", call.inputs), ("outputs", call.outputs)):
                for spec, tensor in zip(self.specs[side], tensors, strict=True):
                    if hasattr(tensor, "data_ptr") and self._wanted(side, tensor, all_inputs=message["all_inputs"]):
                        view(self.memory, call.base, spec).copy_(tensor)
        self._synchronize()
        stamps, self.stamps = self.stamps, []
        return {"stamps": stamps}

    @staticmethod
    def _wanted(side: str, tensor: Any, *, all_inputs: bool) -> bool:
        return side == "outputs" or all_inputs or tensor.numel() * tensor.element_size() <= COPY_BACK_LIMIT
