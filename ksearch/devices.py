"""Which devices this machine has, without loading torch or touching a GPU context."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from ksearch.errors import BadInput

PROBE_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Device:
    """`spec` is what a job names ('cpu', 'cuda:0'); `arch` is 'sm_90' and the like, None on cpu."""

    spec: str
    name: str
    arch: str | None
    count: int = 1
    """How many there are of it, where jobs may go to any of them."""

    @property
    def kind(self) -> str:
        return self.spec.split(":")[0]


def cpu() -> Device:
    return Device("cpu", _cpu_model(), None)


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text("utf-8", "replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def gpus() -> tuple[Device, ...]:
    """NVIDIA GPUs in the driver's order; empty where there is no driver."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ()
    query = [tool, "--query-gpu=index,name,compute_cap", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=PROBE_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    if answer.returncode != 0:
        return ()
    rows = (line.split(", ") for line in answer.stdout.splitlines() if line.count(", ") >= 2)
    return tuple(Device(f"cuda:{row[0].strip()}", ", ".join(row[1:-1]).strip(), "sm_" + row[-1].strip().replace(".", "")) for row in rows)


def resolve(wanted: str) -> Device:
    """'auto' takes the first GPU, else the cpu. Raises BadInput for a GPU that isn't there."""
    if wanted == "cpu":
        return cpu()
    found = gpus()
    if wanted == "auto":
        return found[0] if found else cpu()
    spec = "cuda:0" if wanted == "cuda" else wanted
    for device in found:
        if device.spec == spec:
            return device
    have = ", ".join(f"{device.spec} ({device.name})" for device in found) or "no NVIDIA GPU"
    raise BadInput(f"--device {wanted}: this machine has {have}; use --device cpu, or --evaluator to reach a GPU elsewhere")


def usable_cores() -> int:
    """Cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
