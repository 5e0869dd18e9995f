"""Calls on a GPU. Inputs are made on the device from a seed that the judge sends only when the call before is settled.

The judge makes the same inputs again from the same seed to know what is right, so that a gigabyte of weights crosses no
process. Outputs cross by copy, through shared memory. Stamps are raw: the judge does the arithmetic.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import time
from collections.abc import Callable
from typing import Any

from ksearch.definitions.generate import make_inputs
from ksearch.definitions.schema import Definition, Workload
from ksearch.judge.inputs import changed
from ksearch.judge.runner.views import store

KEPT_SETS = 3
"""Earlier input sets that stay allocated, so that a call's tensors lie elsewhere than those of the calls before it."""
MAX_RECORDS = 2048
PERSISTING_L2_CACHE_SIZE = 6
"""CU_LIMIT_PERSISTING_L2_CACHE_SIZE of cuda.h."""
FLUSHES = 3
"""Fills of the flush buffer before a call: about 200 us of work on an H200, longer than a few launches take on the host."""
ROOM = 256
"""Alignment of outputs, and the guard behind each."""


class CudaCalls:
    def __init__(self) -> None:
        self.function: Any = None
        self.returns = False
        self.converts = False
        self.memory: Any = None
        self.pinned = False
        self.device = "cuda:0"
        self.definition: Definition | None = None
        self.dataset_root: str | None = None
        self.recorder: Recorder | None = None
        self.calls: list[_Call] = []
        self.earlier: list[list[_Call]] = []
        self.flusher: Any = None
        self.stamps: dict[str, Any] = {}
        self.clocks: Any = None

    def map(self, descriptor: int, size: int) -> None:
        import torch

        if self.memory is not None and self.pinned:
            torch.cuda.cudart().cudaHostUnregister(self.memory.data_ptr())
        self.memory = torch.frombuffer(mmap.mmap(descriptor, size), dtype=torch.uint8)
        os.close(descriptor)
        # Pinned where the driver can: outputs then cross at one speed, which decides how closely a row of calls can be timed.
        self.pinned = torch.cuda.is_available() and int(torch.cuda.cudart().cudaHostRegister(self.memory.data_ptr(), size, 0)) == 0

    def prepare(self, message: dict[str, Any]) -> dict[str, Any]:
        """Once, before the candidate is loaded: what is judged, on which device, by which timer."""
        import torch

        _ask_the_runtime()
        self.recorder = Recorder() if message["cupti"] else None
        self.clocks = Clocks()
        self.device, self.dataset_root = message["device"], message["dataset_root"]
        self.definition = Definition.model_validate(message["definition"])
        torch.cuda.set_device(self.device)
        self.flusher = torch.empty(message["flush_bytes"] // 4, dtype=torch.int32, device=self.device)
        return {}

    def bind(self, message: dict[str, Any]) -> None:
        self._unrecorded()
        workload = Workload.model_validate(message["workload"])
        single = len(message["bases"]) == 1
        self.earlier = [*self.earlier, self.calls][-KEPT_SETS:] if single else []  # calls in a row lie apart from each other
        self.calls = [
            _Call(workload, seed, self._inputs(workload, seed), self._outputs(message["outputs"], base))
            for base, seed in zip(message["bases"], message["seeds"], strict=True)
        ]
        self._settle_down(recorded=single)

    def refresh(self, message: dict[str, Any]) -> None:
        """New outputs' fills and, with a kind, new values at the same addresses."""
        self._unrecorded()
        for call in self.calls:
            if "kind" in message:
                self._renew(call, message["kind"], message["seed"])
            for output in call.outputs:
                output.fill(self.memory)
        self._settle_down()

    def _renew(self, call: _Call, kind: str, seed: int) -> None:
        new = self._inputs(call.workload, seed)
        values = changed(kind, call.inputs, new, seed)
        for old, value in zip(call.inputs, values, strict=True):
            if hasattr(old, "data_ptr"):
                old.view(_bytes_dtype()).copy_(value.contiguous().view(_bytes_dtype()))
        call.pristine = tuple(values)

    def _inputs(self, workload: Workload, seed: int) -> tuple[Any, ...]:
        assert self.definition is not None
        return make_inputs(self.definition, workload, seed, self.device, self.dataset_root)

    def _outputs(self, specs: list[dict[str, Any]], base: int) -> list[_Output]:
        outputs = [_Output(spec, base, self.device) for spec in specs]
        for output in outputs:
            output.fill(self.memory)
        return outputs

    def _unrecorded(self) -> None:
        """What makes a call ready is dozens of kernels, and reading their records would cost more than they do."""
        if self.recorder is not None:
            self.recorder.off()

    def _settle_down(self, *, recorded: bool = True) -> None:
        """Nothing is under way on the device, and what follows is recorded."""
        import torch

        torch.cuda.synchronize()
        if self.recorder is not None and recorded:
            self.recorder.on()

    def prepared(self) -> Callable[[], object]:
        return self.run if len(self.calls) == 1 else self.run_row

    def run_row(self) -> None:
        """All bound calls one after the other, each behind a flush; then their outputs come to the host. Nothing is stamped: this is
        for the judge's own clock."""
        for call in self.calls:
            self._flush()
            self._make(call)
        self.clocks.synchronize()
        for call in self.calls:
            for output in call.outputs:
                output.bring_back(self.memory)
        self.clocks.synchronize()
        self.stamps = {"calls": len(self.calls)}

    def _flush(self) -> None:
        """The device is then busy while the host launches, as it is where kernels are used, so that gaps between a candidate's own
        launches are not its host's."""
        for _ in range(FLUSHES):
            self.flusher.fill_(1)

    def _make(self, call: _Call) -> None:
        assert self.definition is not None
        values = [output.tensor for output in call.outputs]
        if self.returns:
            store(values, self.function(*call.inputs), list(self.definition.outputs))
        else:
            self.function(*call.inputs, *values)

    def run(self) -> None:
        """Flush, call, synchronise, stamp, bring the outputs to the host. Clocks are those that were there before the candidate."""
        (call,) = self.calls
        clocks = self.clocks
        begin, end = clocks.event(), clocks.event()
        clocks.forget_persisting_lines()
        started = clocks.now()
        self._flush()  # with no wait behind it
        clocks.record(begin)
        self._make(call)
        clocks.record(end)
        clocks.synchronize()
        self.stamps = {"host_us": (clocks.now() - started) * 1e6, "events_us": clocks.elapsed_ms(begin, end) * 1e3}
        if self.recorder is not None:
            self.recorder.keep()
        for output in call.outputs:
            output.bring_back(self.memory)
        clocks.synchronize()

    def settle(self, message: dict[str, Any]) -> dict[str, Any]:
        stamps = dict(self.stamps)
        if self.recorder is not None:
            stamps["records"] = self.recorder.take()[FLUSHES:]  # none of a row
        found = (self._changed(call) for call in self.calls) if message["check_inputs"] else ()
        changed = next((name for name in found if name is not None), None)
        return stamps if changed is None else {**stamps, "changed": changed}

    def _changed(self, call: _Call) -> str | None:
        """Name of an input that no longer is what the seed says."""
        import torch

        assert self.definition is not None
        expected = call.pristine if call.pristine is not None else self._inputs(call.workload, call.seed)
        for name, value, due in zip(self.definition.inputs, call.inputs, expected, strict=True):
            if hasattr(value, "data_ptr") and not torch.equal(value.view(_bytes_dtype()), due.contiguous().view(_bytes_dtype())):
                return name
        return None


class _Call:
    """One bound call. `pristine` is set once its inputs were renewed in place."""

    def __init__(self, workload: Workload, seed: int, inputs: tuple[Any, ...], outputs: list[_Output]) -> None:
        self.workload, self.seed, self.inputs, self.outputs = workload, seed, inputs, outputs
        self.pristine: tuple[Any, ...] | None = None


class _Output:
    """One output on the device with a guard behind it, and its place in shared memory."""

    def __init__(self, spec: dict[str, Any], base: int, device: str) -> None:
        import math

        import torch

        dtype = getattr(torch, spec["dtype"])
        size = math.prod(spec["shape"]) * dtype.itemsize
        self.start = base + spec["offset"]
        self.room = (size + ROOM - 1) // ROOM * ROOM + ROOM
        self.raw = torch.empty(self.room, dtype=torch.uint8, device=device)
        self.tensor = self.raw[:size].view(dtype).view(spec["shape"]) if size else torch.empty(spec["shape"], dtype=dtype, device=device)

    def fill(self, memory: Any) -> None:
        self.raw.copy_(memory[self.start : self.start + self.room])

    def bring_back(self, memory: Any) -> None:
        """Queued where the memory is pinned; there when the device is next synchronised."""
        memory[self.start : self.start + self.room].copy_(self.raw, non_blocking=True)


class Clocks:
    """Events, synchronisation and the host's clock, taken before any candidate is loaded: from the extension's own types, whose
    methods Python can't replace. A candidate that goes deeper meets the judge's clock, which no patch here reaches."""

    def __init__(self) -> None:
        import torch

        kind = torch.cuda.Event
        base = next((cls for cls in kind.__mro__ if cls.__module__ == "torch._C"), kind)
        self.event = lambda: kind(enable_timing=True)
        self.record: Any = kind.record
        self.elapsed_ms: Any = base.elapsed_time
        self.synchronize: Any = getattr(torch._C, "_cuda_synchronize", None) if torch.cuda.is_available() else torch.cuda.synchronize
        self.now = time.perf_counter
        try:
            self._driver: Any = ctypes.CDLL("libcuda.so.1")
        except OSError:
            self._driver = None

    def forget_persisting_lines(self) -> None:
        """No cache line outlives a flush: neither the window of a stream nor the carve-out that it needs."""
        if self._driver is not None:
            self._driver.cuCtxSetLimit(PERSISTING_L2_CACHE_SIZE, ctypes.c_size_t(0))
            self._driver.cuCtxResetPersistingL2Cache()


class Recorder:
    """CUPTI activity records: kernels, copies and fills, with their start and end in nanoseconds."""

    def __init__(self) -> None:
        from cupti import cupti

        self.cupti = cupti
        self.records: list[tuple[str, str, int, int, int]] = []
        self.kept: list[tuple[str, str, int, int, int]] = []
        kinds = cupti.ActivityKind
        self.names = {kinds.CONCURRENT_KERNEL: "kernel", kinds.MEMCPY: "copy", kinds.MEMSET: "fill"}
        self.recording = False
        cupti.activity_register_callbacks(lambda: (1024 * 1024, 0), self._completed)

    def on(self) -> None:
        """Nothing that was recorded before is left."""
        self.cupti.activity_flush_all(1)
        self.records.clear()
        self.kept = []
        self._switch(True)

    def off(self) -> None:
        self._switch(False)

    def _switch(self, recording: bool) -> None:
        if recording != self.recording:
            self.recording = recording
            for kind in self.names:
                self.cupti.activity_enable(kind) if recording else self.cupti.activity_disable(kind)

    def _completed(self, activities: list[Any]) -> None:
        for activity in activities:
            kind = self.names.get(activity.kind)
            if kind is not None:
                name = str(getattr(activity, "name", "") or "")[:200]
                to_host = kind == "copy" and int(getattr(activity, "copy_kind", 0)) == 2
                self.records.append((kind, name, activity.start, activity.end, int(getattr(activity, "bytes", 0)) if to_host else 0))

    def keep(self) -> None:
        """What was recorded so far is the call; what follows is not."""
        self.cupti.activity_flush_all(1)
        self.kept, self.records = self.records, []
        self._switch(False)

    def take(self) -> list[tuple[str, str, int, int, int]]:
        found = sorted(self.kept, key=lambda record: record[2])
        self.kept = []
        return found if len(found) <= MAX_RECORDS else [*found[: MAX_RECORDS - 1], found[-1]]


def _ask_the_runtime() -> None:
    """The fork server asked NVML whether there is a GPU, since the CUDA runtime doesn't outlive a fork. Here the runtime is asked:
    inside a user namespace NVML may start and count no device."""
    import torch

    os.environ.pop("PYTORCH_NVML_BASED_CUDA_CHECK", None)
    if torch.version.cuda is not None:
        torch.cuda._cached_device_count = torch._C._cuda_getDeviceCount()


def _bytes_dtype() -> Any:
    import torch

    return torch.uint8
