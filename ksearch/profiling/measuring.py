"""`python -m ksearch.profiling.measuring DEVICE`: measure a device's ceilings and print them as JSON.

A process of its own: the search opens no CUDA context, and thread counts of numerical libraries are fixed before they are loaded.
Each value is the best of several tries, since other work on the machine can only make it worse; on cpu the clock is the thread's own,
which stands still while another process has the core.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ksearch.definitions.kits.work import Unit
from ksearch.profiling.ceilings import CPU_TIME, CUPTI, EVENTS, Ceilings, Level, Peak, staircase

TRIES = 5
CPU_SETS = tuple(2**power for power in (16, 18, 20, 22, 24, 26, 28))
"""Working sets in bytes, from inside the first cache to far outside the last."""
GPU_SET = 2**31
"""Bytes of one buffer on a GPU: 40 times the largest L2 cache."""
MATRIX = 8192
"""Rows and columns of the products on a GPU; on cpu 1024."""


def main(arguments: list[str]) -> int:
    device, name = arguments
    ceilings = measure_cpu(name) if device == "cpu" else measure_gpu(device, name)
    sys.stdout.write(ceilings.model_dump_json() + "\n")
    return 0


# ---------------------------------------------------------------------- cpu


def measure_cpu(name: str) -> Ceilings:
    """One core's bandwidth by working set (the faster of reading and copying), and its float32 multiply-adds."""
    import numpy as np

    fp32 = max(_cpu_product(1024) for _ in range(TRIES))
    return Ceilings(
        device=name,
        source="measured",
        levels=staircase([(float(size), _cpu_bandwidth(size)) for size in CPU_SETS]),
        peaks=tuple(Peak(unit=unit, operations_per_s=factor * fp32) for unit, factor in _cpu_units(_cpu_flags()).items()),
        launch_us=0.0,
        timer=CPU_TIME,
        details=f"one core; numpy {np.__version__}: sdot and copies of {CPU_SETS[0]} to {CPU_SETS[-1]} bytes, sgemm of 1024",
    )


def _cpu_bandwidth(size: int) -> float:
    """Bytes a second of the faster of: reading two arrays that are `size` bytes together, copying one onto the other."""
    import numpy as np

    a, b = np.ones(size // 8, dtype=np.float32), np.ones(size // 8, dtype=np.float32)
    one = np.ones(1, dtype=np.float32)
    reading = _call_seconds(lambda: np.dot(a, b), size) - _call_seconds(lambda: np.dot(one, one), 1)
    copying = _call_seconds(lambda: np.copyto(a, b), size) - _call_seconds(lambda: np.copyto(one, one), 1)
    return size / max(min(reading, copying), 1e-9)


def _call_seconds(call: Callable[[], Any], size: int) -> float:
    """Of one call, the best of several batches that take about a millisecond each."""
    count = max(1, int(2e7 / max(size, 20_000)))
    best = float("inf")
    for _ in range(TRIES + 1):
        begin = time.thread_time()
        for _ in range(count):
            call()
        best = min(best, (time.thread_time() - begin) / count)
    return best


def _cpu_product(extent: int) -> float:
    import numpy as np

    a, b = np.ones((extent, extent), dtype=np.float32), np.ones((extent, extent), dtype=np.float32)
    begin = time.thread_time()
    np.dot(a, b)
    return 2.0 * extent**3 / (time.thread_time() - begin)


def _cpu_flags() -> frozenset[str]:
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8", "replace")
    except OSError:
        return frozenset()
    line = next((line for line in text.splitlines() if line.startswith(("flags", "Features"))), "")
    return frozenset(line.partition(":")[2].split())


def _cpu_units(flags: frozenset[str]) -> dict[Unit, float]:
    """Operations in the time of one float32 operation, by instruction set.

    Dot products of narrow types do 2 (bfloat16, float16) or 4 (int8) times as many, Intel's tile unit 16 and 32 times (1024 and 2048 a
    cycle beside 64; Intel 64 and IA-32 Architectures Optimization Reference Manual, chapter on AMX).
    """
    half = 16.0 if "amx_bf16" in flags else 2.0 if flags & {"avx512_bf16", "avx512_fp16", "bf16", "asimdhp"} else 1.0
    byte = 32.0 if "amx_int8" in flags else 4.0 if flags & {"avx512_vnni", "avx_vnni", "i8mm", "asimddp"} else 2.0
    return {"vector_fp32": 1.0, "tensor_tf32": 1.0, "tensor_half": half, "tensor_fp8": max(half, byte)}


# ---------------------------------------------------------------------- gpu


def measure_gpu(device: str, name: str) -> Ceilings:
    """Memory bandwidth (the fastest of reading, writing and copying), matrix products by element type, and an empty kernel's span."""
    import torch

    torch.cuda.set_device(device)
    peaks = _gpu_peaks()
    bandwidth = _gpu_bandwidth()
    timer, launch = _gpu_launch(device)
    return Ceilings(
        device=name,
        source="measured",
        levels=(Level(from_bytes=0.0, bytes_per_s=bandwidth),),
        peaks=tuple(Peak(unit=unit, operations_per_s=value) for unit, value in peaks.items()),
        launch_us=launch,
        timer=timer,
        details=f"torch {torch.__version__}: {GPU_SET} bytes read, written, copied; products of {MATRIX} on zeros",
    )


def _gpu_bandwidth() -> float:
    import torch

    a = torch.zeros(GPU_SET // 4, dtype=torch.float32, device="cuda")
    b = torch.empty_like(a)
    moved = {"copy": 2.0, "read": 1.0, "write": 1.0}
    calls: dict[str, Callable[[], Any]] = {"copy": lambda: b.copy_(a), "read": lambda: torch.sum(a), "write": lambda: b.fill_(1.0)}
    return max(moved[kind] * GPU_SET / _gpu_seconds(call) for kind, call in calls.items())


def _gpu_peaks() -> dict[Unit, float]:
    """On zeros, because random data draw so much power that the clock falls: a short kernel on random data runs at the full clock."""
    import torch

    operations = 2.0 * MATRIX**3
    half = torch.zeros(MATRIX, MATRIX, dtype=torch.bfloat16, device="cuda")
    full = torch.zeros(MATRIX, MATRIX, dtype=torch.float32, device="cuda")
    found: dict[Unit, float] = {"tensor_half": operations / _gpu_seconds(lambda: half @ half)}
    for unit, allowed in (("vector_fp32", False), ("tensor_tf32", True)):
        torch.backends.cuda.matmul.allow_tf32 = allowed
        found[unit] = operations / _gpu_seconds(lambda: full @ full)  # type: ignore[index]
    found["vector_fp32"] = max(found["vector_fp32"], _gpu_lanes())
    if torch.cuda.get_device_capability() >= (8, 9):
        byte, scale = half.to(torch.float8_e4m3fn), torch.ones((), device="cuda")
        found["tensor_fp8"] = operations / _gpu_seconds(
            lambda: torch._scaled_mm(byte, byte.t(), scale_a=scale, scale_b=scale, out_dtype=torch.bfloat16, use_fast_accum=True)
        )
    return found


def _gpu_lanes() -> float:
    """Float32 multiply-adds of all lanes at the highest clock, operations a second: a library's product reaches three quarters of it.

    0 where the driver doesn't tell the clock. A multiprocessor has 128 float32 lanes since compute capability 8.6, and 9.0 and later;
    64 in 7.x and 8.0 (CUDA C++ Programming Guide, table of arithmetic throughput).
    """
    import torch

    properties = torch.cuda.get_device_properties(torch.cuda.current_device())
    lanes = 64 if (properties.major, properties.minor) <= (8, 0) else 128
    query = ["nvidia-smi", "--query-gpu=clocks.max.sm", "--format=csv,noheader,nounits"]
    try:
        clocks = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True).stdout.split()
        return 2.0 * lanes * float(properties.multi_processor_count) * max(map(float, clocks)) * 1e6
    except (OSError, subprocess.SubprocessError, ValueError):
        return 0.0


def _gpu_seconds(call: Callable[[], Any]) -> float:
    """Of one call on the device: the best of several, after two that warm it up."""
    import torch

    times: list[float] = []
    for _ in range(2 + 2 * TRIES):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        call()
        end.record()
        torch.cuda.synchronize()
        times.append(begin.elapsed_time(end) / 1e3)
    return min(times[2:])


def _gpu_launch(device: str) -> tuple[str, float]:
    """(timer, microseconds) of a kernel of one block that does nothing: what every launch costs, as the judge's timer sees it."""
    from importlib.util import find_spec

    import torch

    from ksearch.profiling.empty_kernel import empty

    empty[(1,)]()
    torch.cuda.synchronize()
    if find_spec("cupti") is None:
        return EVENTS, min(_gpu_seconds(lambda: empty[(1,)]()) for _ in range(4)) * 1e6
    from ksearch.judge.runner.cuda_calls import Recorder

    recorder = Recorder()
    recorder.on()
    for _ in range(64):
        empty[(1,)]()
    torch.cuda.synchronize()
    recorder.keep()
    spans = [(end - start) / 1e3 for kind, _, start, end, _ in recorder.take() if kind == "kernel"]
    return CUPTI, min(spans)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
