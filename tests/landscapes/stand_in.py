"""A device bench without a device: cpu tensors, stand-in events, candidates in plain PyTorch."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ksearch.judge.device import Device
from ksearch.judge.toolchain import CompileTarget
from ksearch.judge.verdict import DeviceInfo
from ksearch.landscapes import measuring
from ksearch.landscapes.measuring import DeviceBench, Greeting, Measure, MeasurePlan


class Event:
    def __init__(self, enable_timing: bool) -> None:
        self.at = 0.0

    def record(self) -> None:
        self.at = time.perf_counter()

    def elapsed_time(self, later: Event) -> float:
        return (later.at - self.at) * 1e3


DEVICE = Device("cpu", DeviceInfo(kind="cuda", name="stand-in"), CompileTarget(kind="cuda", arch="sm_90"))


def without_a_device(patch: Callable[[Any, str, Any], None]) -> None:
    import torch

    patch(torch.cuda, "Event", Event)
    patch(torch.cuda, "synchronize", lambda *_: None)
    patch(torch.cuda, "set_device", lambda *_: None)
    patch(measuring, "FLUSH_BYTES", 1024)


def prepare(number: int, plan: MeasurePlan) -> tuple[Greeting, Measure]:
    without_a_device(setattr)
    bench = DeviceBench(plan, DEVICE)
    return bench.greeting, bench.measure
