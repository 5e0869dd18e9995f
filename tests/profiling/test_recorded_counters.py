"""What Nsight Compute and CUPTI printed on an H200 (`benchmarks/profiling/record_counters.py`), unchanged, and what is made of it.

dsa_topk: rows too short to be ranked, written by 100 blocks in 1.3 us. gemm: the playbook's plain Triton product, where its search begins.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ksearch.profiling.digest import Digest, Launch
from ksearch.profiling.ncu import counters_of

RECORDED = Path(__file__).parent / "recorded"


def digest_of(name: str) -> Digest:
    launches = json.loads((RECORDED / f"{name}.trace.json").read_text("utf-8"))
    kernels = counters_of((RECORDED / f"{name}.csv").read_text("utf-8"))
    return Digest(workload=name, regime="all", launches=tuple(Launch(**launch) for launch in launches), kernels=kernels)


def test_figures_of_a_kernel_that_fills_the_device() -> None:
    (kernel,) = digest_of("gemm").kernels
    assert kernel.name == "gemm_kernel"
    assert kernel.duration_us == pytest.approx(1327.776)
    assert (kernel.grid, kernel.block, kernel.registers, kernel.waves) == (8192, 128, 63, 7.76)
    assert (kernel.static_shared_bytes, kernel.dynamic_shared_bytes) == (0, 8192)
    assert (kernel.dram_pct, kernel.l2_pct, kernel.l1_pct, kernel.sm_pct) == (6.27, 55.75, 95.78, 21.78)
    assert (kernel.instruction_pct, kernel.memory_instruction_pct, kernel.tensor_pct) == (21.44, 21.78, 22.02)
    assert kernel.l1_wavefronts_pct == 93.28
    assert kernel.l1_data_pct == pytest.approx(21.61 + 20.88)
    assert (kernel.occupancy_pct, kernel.theoretical_occupancy_pct, kernel.limiter) == (48.89, 50.0, ("registers",))
    assert dict(kernel.occupancy_limits)["registers"] == 8
    first = kernel.stalls[0]  # 53.46 of 60.89 cycles from one instruction to the next
    assert first.reason == "long scoreboard"
    assert first.share == pytest.approx(53.46 / 60.89, abs=1e-4)


def test_figures_of_a_kernel_that_is_too_small() -> None:
    (kernel,) = digest_of("dsa_topk").kernels
    assert kernel.name == "<unnamed>::write_short_rows(const int *, const int *, int *, int)"
    assert kernel.duration_us == pytest.approx(2.432)
    assert (kernel.grid, kernel.block, kernel.waves) == (100, 512, 0.19)
    assert (kernel.dram_pct, kernel.l1_pct, kernel.tensor_pct) == (0.06, 5.49, 0.0)
    assert [(stall.reason, round(stall.share, 2)) for stall in kernel.stalls[:2]] == [("long scoreboard", 0.5), ("no instruction", 0.13)]


def test_the_digest_of_a_product_names_what_binds_it() -> None:
    assert digest_of("gemm").text.splitlines() == [
        "1 launch: gemm_kernel 1323.45 us",
        "gemm_kernel (8192 blocks of 128): bound by L1 and shared memory (96 % of peak), "
        "its pipe busy 93 % of the time to move 42 % of the bytes that it could: "
        "accesses are narrow, scattered or in conflict for banks",
        "  throughput DRAM 6 %, L2 56 %, L1 96 %, SM 22 %, tensor pipe 22 %",
        "  occupancy 49 % of 50 % possible, limited by registers; 7.76 waves",
        "  warps wait for long scoreboard 88 %, barrier 7 %, wait 2 %",
    ]


def test_the_digest_of_a_small_kernel_names_what_binds_it() -> None:
    assert digest_of("dsa_topk").text.splitlines() == [
        "1 launch: write_short_rows 1.34 us",
        "<unnamed>::write_short_rows(const int *, const int *, int *, int) (100 blocks of 512): "
        "bound by latency, and too small to fill the device (0.19 waves of blocks)",
        "  throughput DRAM 0 %, L2 3 %, L1 5 %, SM 4 %, tensor pipe 0 %",
        "  occupancy 25 % of 100 % possible; 0.19 waves",
        "  warps wait for long scoreboard 50 %, no instruction 13 %, imc miss 9 %",
    ]
