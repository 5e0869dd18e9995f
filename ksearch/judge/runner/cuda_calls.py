"""Calls on a GPU. Inputs are made on the device from a seed that the judge sends only when the call before is settled.

The judge makes the same inputs again from the same seed to know what is right, so that a gigabyte of weights crosses no
process. Outputs cross by copy, through shared memory. Stamps are raw: the judge does the arithmetic.
"""

from __future__ import annotations

import mmap
import os
import time
from typing import Any

from ksearch.definitions.generate import make_inputs
from ksearch.definitions.schema import Definition, Workload
from ksearch.judge.inputs import mixed, same_scalars
from ksearch.judge.runner.views import store

KEPT_SETS = 3
"""Earlier input sets that stay allocated, so that a call's tensors lie elsewhere than those of the calls before it."""
MAX_RECORDS = 2048
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
        self.device = "cuda:0"
        self.definition: Definition | None = None
        self.dataset_root: str | None = None
        self.recorder: Recorder | None = None
        self.calls: list[_Call] = []
        self.earlier: list[list[_Call]] = []
        self.flusher: Any = None
        self.check_inputs = False
        self.stamps: dict[str, Any] = {}

    def map(self, descriptor: int, size: int) -> None:
        import torch

        self.memory = torch.frombuffer(mmap.mmap(descriptor, size), dtype=torch.uint8)
        os.close(descriptor)

    def prepare(self, message: dict[str, Any]) -> dict[str, Any]:
        """Once, before the candidate is loaded: what is judged, on which device, by which timer."""
        import torch

        _ask_the_runtime()
        self.recorder = Recorder() if message["cupti"] else None
        self.device, self.dataset_root = message["device"], message["dataset_root"]
        self.definition = Definition.model_validate(message["definition"])
        torch.cuda.set_device(self.device)
        self.flusher = torch.empty(message["flush_bytes"] // 4, dtype=torch.int32, device=self.device)
        return {}

    def bind(self, message: dict[str, Any]) -> None:
        self._unrecorded()
        self.check_inputs = message["check_inputs"]
        workload = Workload.model_validate(message["workload"])
        self.earlier = [*self.earlier, self.calls][-KEPT_SETS:]
        self.calls = [
            _Call(workload, seed, self._inputs(workload, seed), self._outputs(message["outputs"], base))
            for base, seed in zip(message["bases"], message["seeds"], strict=True)
        ]
        self._settle_down()

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
        values = same_scalars(call.inputs, new) if kind == "all values" else mixed(call.inputs, new, seed)
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

    def _settle_down(self) -> None:
        """Nothing is under way on the device, and what follows is recorded."""
        import torch

        torch.cuda.synchronize()
        if self.recorder is not None:
            self.recorder.on()

    def run(self) -> None:
        import torch

        assert self.definition is not None
        names = list(self.definition.outputs)
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        started = time.perf_counter()
        # The cache is flushed right before, with no wait between: the device is busy while the host launches, as it is where
        # kernels are used, so that gaps between a candidate's own launches are not its host's.
        for _ in range(FLUSHES):
            self.flusher.fill_(1)
        begin.record()
        for call in self.calls:
            values = [output.tensor for output in call.outputs]
            if self.returns:
                store(values, self.function(*call.inputs), names)
            else:
                self.function(*call.inputs, *values)
        end.record()
        torch.cuda.synchronize()
        self.stamps = {"host_us": (time.perf_counter() - started) * 1e6, "events_us": begin.elapsed_time(end) * 1e3}

    def settle(self, message: dict[str, Any]) -> dict[str, Any]:
        import torch

        stamps = dict(self.stamps)
        if self.recorder is not None:
            stamps["records"] = self.recorder.take()[FLUSHES:]
            self.recorder.off()
        for call in self.calls:
            for output in call.outputs:
                output.bring_back(self.memory)
        torch.cuda.synchronize()
        changed = next((name for call in self.calls if (name := self._changed(call)) is not None), None) if self.check_inputs else None
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
        memory[self.start : self.start + self.room].copy_(self.raw)


class Recorder:
    """CUPTI activity records: kernels, copies and fills, with their start and end in nanoseconds."""

    def __init__(self) -> None:
        from cupti import cupti

        self.cupti = cupti
        self.records: list[tuple[str, str, int, int, int]] = []
        kinds = cupti.ActivityKind
        self.names = {kinds.CONCURRENT_KERNEL: "kernel", kinds.MEMCPY: "copy", kinds.MEMSET: "fill"}
        self.recording = False
        cupti.activity_register_callbacks(lambda: (1024 * 1024, 0), self._completed)

    def on(self) -> None:
        """Nothing that was recorded before is left."""
        self.cupti.activity_flush_all(1)
        self.records.clear()
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

    def take(self) -> list[tuple[str, str, int, int, int]]:
        self.cupti.activity_flush_all(1)
        found = sorted(self.records, key=lambda record: record[2])
        self.records.clear()
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
