"""How fast a GPU reads, writes and copies data of a size after its L2 cache was flushed, as the judge flushes it: one JSON object.

    python benchmarks/profiling/cache_writes.py > cache_writes.json

A floor counts writes at the memory's bandwidth. If kernels that write less than the L2 cache holds come out faster here than that
(`bytes_per_s` above the ceilings' bandwidth), the floor of operators with small outputs is too high by that much.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ksearch.judge.runner.cuda_calls import Recorder
from ksearch.profiling.measuring import measure_gpu

SIZES = tuple(2**power for power in range(16, 29))
CALLS = 12
FLUSH_BYTES, FLUSHES = 2**28, 3
BLOCK = 4096

KERNELS = """
import triton
import triton.language as tl

@triton.jit
def copy(x, y, n, B: tl.constexpr):
    i = tl.program_id(0) * B + tl.arange(0, B)
    tl.store(y + i, tl.load(x + i, mask=i < n), mask=i < n)

@triton.jit
def write(x, y, n, B: tl.constexpr):
    i = tl.program_id(0) * B + tl.arange(0, B)
    tl.store(y + i, 1.0, mask=i < n)

@triton.jit
def read(x, y, n, B: tl.constexpr):
    i = tl.program_id(0) * B + tl.arange(0, B)
    total = tl.sum(tl.load(x + i, mask=i < n, other=0.0), 0)
    if total == 12345.0:
        tl.store(y, total)
"""


def spans(recorder: Recorder, flush: Any, call: Callable[[], Any]) -> list[float]:
    """Microseconds of the call's kernel by CUPTI, its caches flushed right before."""
    import torch

    found = []
    for _ in range(CALLS):
        torch.cuda.synchronize()
        recorder.on()
        for _ in range(FLUSHES):
            flush.fill_(1)
        call()
        torch.cuda.synchronize()
        recorder.keep()
        last = recorder.take()[-1]
        found.append((last[3] - last[2]) / 1e3)
    return sorted(found)


def main() -> None:
    import torch

    name = torch.cuda.get_device_name(0)
    ceilings = measure_gpu("cuda:0", name)
    recorder, flush = Recorder(), torch.empty(FLUSH_BYTES // 4, dtype=torch.int32, device="cuda")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "moving_kernels.py").write_text(KERNELS)
        sys.path.insert(0, folder)
        import moving_kernels  # type: ignore[import-not-found]

        for size in SIZES:
            n = size // 4
            x, y = torch.ones(n, device="cuda"), torch.ones(n, device="cuda")
            for kind, moved in (("read", size), ("write", size), ("copy", 2 * size)):
                launch = getattr(moving_kernels, kind)[(-(-n // BLOCK),)]
                launch(x, y, n, B=BLOCK, num_warps=8)
                times = spans(recorder, flush, lambda launch=launch, x=x, y=y, n=n: launch(x, y, n, B=BLOCK, num_warps=8))
                rows.append({
                    "kind": kind, "bytes": moved, "least_us": times[0], "median_us": times[len(times) // 2],
                    "bytes_per_s": moved / (times[0] - ceilings.launch_us) * 1e6,
                })  # fmt: skip
    print(json.dumps({"ceilings": ceilings.model_dump(), "rows": rows}))


if __name__ == "__main__":
    main()
