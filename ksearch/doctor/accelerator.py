"""torch, the GPUs, and what measures kernels on them. torch is imported in a process of its own, never in this one."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from ksearch.doctor.checks import TOOL_SECONDS, Check, Probe, Status, tool_output
from ksearch.doctor.software import cuda_tool, installed

TORCH_SECONDS = 60.0
"""Longest wait for `import torch`: about a second as a rule, many on a cold or shared disk."""

DRIVER_PARAMETERS = Path("/proc/driver/nvidia/params")

_TORCH_FACTS = """
import json, torch
print(json.dumps({
    "version": torch.__version__,
    "cuda": torch.version.cuda,
    "devices": torch.cuda.device_count() if torch.cuda.is_available() else 0,
}))
"""


@dataclass(frozen=True, slots=True)
class TorchFacts:
    """What torch says of itself: its version, the CUDA version it was built for (None: a CPU build), and how many devices it can use."""

    version: str
    cuda: str | None
    devices: int


class TorchUnusable(Exception):
    """torch is absent or can't be imported; the message is its last line."""


def ask_torch() -> TorchFacts:
    """Import torch where a broken driver that crashes or hangs it does no harm. Raises TorchUnusable."""
    command = [sys.executable, "-c", _TORCH_FACTS]
    try:
        said = json.loads(tool_output(command, TORCH_SECONDS).splitlines()[-1])
    except subprocess.TimeoutExpired as error:
        raise TorchUnusable(f"import torch takes more than {TORCH_SECONDS:g} s") from error
    except subprocess.CalledProcessError as error:
        lines = error.stderr.strip().splitlines()
        raise TorchUnusable(lines[-1] if lines else f"import torch ended with status {error.returncode}") from error
    return TorchFacts(said["version"], said["cuda"], said["devices"])


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU as the driver names it, whatever torch makes of it."""

    name: str
    capability: str
    memory_mib: str
    driver: str

    def __str__(self) -> str:
        return f"{self.name}, compute {self.capability}, {self.memory_mib} MiB, driver {self.driver}"


def driver_gpus() -> tuple[Gpu, ...]:
    """GPUs by nvidia-smi, none where that is absent. Raises CalledProcessError or TimeoutExpired when the driver doesn't answer."""
    path = shutil.which("nvidia-smi")
    if path is None:
        return ()
    fields = "name,compute_cap,memory.total,driver_version"
    lines = tool_output([path, f"--query-gpu={fields}", "--format=csv,noheader,nounits"]).strip().splitlines()
    return tuple(Gpu(*(part.strip() for part in line.split(","))) for line in lines)


def torch_and_gpus() -> list[Check]:
    try:
        facts = ask_torch()
    except TorchUnusable as error:
        return [Check("torch", Status.ERROR, str(error), "pip install torch: every search needs it"), gpus(None)]
    built_for = f"CUDA {facts.cuda}" if facts.cuda else "CPU build"
    return [Check("torch", Status.OK, f"{facts.version} ({built_for})"), gpus(facts)]


def gpus(torch: TorchFacts | None) -> Check:
    """The driver's GPUs, if torch can use them too: the judge needs both."""
    try:
        seen = driver_gpus()
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        return Check("gpu", Status.ERROR, f"nvidia-smi fails: {error}", "look at the NVIDIA driver; a search on the CPU is not concerned")
    if not seen:
        return Check("gpu", Status.MISSING, "no NVIDIA GPU seen", "use --device cpu here, or an evaluator on another machine")
    value = "; ".join(str(gpu) for gpu in seen)
    if fault := torch_fault(torch):
        return Check("gpu", Status.ERROR, value, fault)
    if torch is not None and torch.devices < len(seen):
        return Check("gpu", Status.WARN, value, f"torch can use {torch.devices} of {len(seen)}: look at CUDA_VISIBLE_DEVICES")
    return Check("gpu", Status.OK, value)


def torch_fault(torch: TorchFacts | None) -> str | None:
    """Why torch can't use any GPU that the driver shows."""
    if torch is None:
        return "torch can't be imported"
    if torch.cuda is None:
        return f"torch {torch.version} is a CPU build: install its CUDA build to use the GPU"
    if not torch.devices:
        return "torch can use no device: look at CUDA_VISIBLE_DEVICES and at the driver's age"
    return None


def cupti() -> list[Check]:
    if importlib.util.find_spec("cupti") is None:
        advice = "pip install cupti-python on a GPU machine: it times kernels without launch gaps"
        return [Check("cupti", Status.MISSING, "not installed", advice)]
    return [Check("cupti", Status.OK, installed("cupti-python") or "of unknown version")]


def profiler() -> list[Check]:
    """Nsight Compute, and whether the driver lets this user read the counters it needs."""
    path = cuda_tool("ncu")
    if path is None:
        advice = "install Nsight Compute for hardware counters; a search runs without"
        return [Check("ncu", Status.MISSING, "not on PATH, nor under CUDA_HOME", advice)]
    version = tool_output([path, "--version"]).strip().splitlines()[-1]
    if DRIVER_PARAMETERS.exists() and counters_reserved(DRIVER_PARAMETERS.read_text()) and os.geteuid() != 0:
        advice = "counters are for administrators: load the driver with NVreg_RestrictProfilingToAdminUsers=0"
        return [Check("ncu", Status.WARN, version, advice)]
    return [Check("ncu", Status.OK, version)]


def counters_reserved(parameters: str) -> bool:
    """Whether the NVIDIA driver's parameters (lines `Name: value`) keep performance counters for administrators."""
    pairs = dict(line.split(":", 1) for line in parameters.splitlines() if ":" in line)
    return pairs.get("RmProfilingAdminOnly", "0").strip() == "1"


PROBES = (
    Probe(("torch", "gpu"), torch_and_gpus, seconds=TORCH_SECONDS + 2 * TOOL_SECONDS),
    Probe(("cupti",), cupti),
    Probe(("ncu",), profiler),
)
