"""The device a judge measures on, and what is recorded of it."""

from __future__ import annotations

import os
import platform
import re
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path

from ksearch.judge.process import usable_cores
from ksearch.judge.toolchain import CompileTarget, processor, target_of
from ksearch.judge.verdict import DeviceInfo


class DeviceMissing(Exception):
    """The job names a device that this machine doesn't have."""


@dataclass(frozen=True, slots=True)
class Device:
    """`core` is the one the runner is pinned to on cpu (None where there is only one to share)."""

    spec: str
    info: DeviceInfo
    target: CompileTarget
    core: int | None = None
    cupti: bool = False
    """Whether cupti-python is installed; decides the timer, once for all jobs."""

    @property
    def index(self) -> int:
        return int(self.spec.partition(":")[2] or 0)

    @property
    def cuda(self) -> bool:
        return self.info.kind == "cuda"


def open_device(spec: str) -> Device:
    """Raises DeviceMissing."""
    if spec == "cpu":
        cores = usable_cores()
        return Device(spec, _cpu_info(cores), target_of(spec), cores[-1] if len(cores) > 1 else None)
    if not re.fullmatch(r"cuda(:\d+)?", spec):
        raise DeviceMissing(f"{spec!r} is no device; write cpu, cuda or cuda:N")
    return _open_cuda(spec)


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "kernel": platform.release()}
    for name in ("torch", "triton", "apache-tvm-ffi", "numpy", "cupti-python"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "absent"
    return found


def _cpu_info(cores: tuple[int, ...]) -> DeviceInfo:
    model = re.search(r"^model name\s*:\s*(.*)$", processor(), re.MULTILINE)
    runner_core = str(cores[-1]) if len(cores) > 1 else "shared with the judge"
    details = {"threads": "1", "cores": ",".join(map(str, cores)), "runner_core": runner_core, **_versions()}
    governor = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    if governor.exists():
        details["governor"] = governor.read_text().strip()
    return DeviceInfo(kind="cpu", name=model[1] if model else platform.machine(), details=details)


def _open_cuda(spec: str) -> Device:
    import torch

    if not torch.cuda.is_available():
        raise DeviceMissing(f"{spec}: torch sees no CUDA device here")
    index = int(spec.partition(":")[2] or 0)
    if index >= torch.cuda.device_count():
        raise DeviceMissing(f"{spec}: there are {torch.cuda.device_count()} CUDA devices here")
    properties = torch.cuda.get_device_properties(index)
    details = {"memory_bytes": str(properties.total_memory), "multiprocessors": str(properties.multi_processor_count)}
    details |= {"cuda": str(torch.version.cuda), **_versions(), "visible": os.environ.get("CUDA_VISIBLE_DEVICES", "")}
    info = DeviceInfo(kind="cuda", name=properties.name, details=details)
    return Device(f"cuda:{index}", info, target_of(f"cuda:{index}"), cupti=util.find_spec("cupti") is not None)
