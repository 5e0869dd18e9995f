"""One bottleneck for each kernel, and the device's idle time between launches."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksearch.profiling.digest import Digest, KernelCounters, Launch, Stall, gaps_us, readable, verdict_of

FULL = KernelCounters(
    name="rank_rows", duration_us=6.5, grid=264, block=256, registers=128, waves=2.0, dram_pct=20.0, l2_pct=30.0, l1_pct=10.0,
    sm_pct=40.0, tensor_pct=12.0, occupancy_pct=22.0, theoretical_occupancy_pct=25.0,
    occupancy_limits=(("registers", 2), ("shared mem", 1), ("warps", 8)),
    stalls=(Stall(reason="barrier", share=0.4), Stall(reason="long scoreboard", share=0.3), Stall(reason="wait", share=0.1)),
)  # fmt: skip


def launch(start: float, duration: float) -> Launch:
    return Launch(kind="kernel", name="k", start_us=start, duration_us=duration)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"dram_pct": 85.0}, "bound by DRAM bandwidth (85 % of peak)"),
        ({"sm_pct": 91.0, "dram_pct": 85.0}, "bound by arithmetic"),
        ({}, "bound by latency, warps waiting for barrier (nearest ceiling: arithmetic at 40 %)"),
        ({"sm_pct": 91.0, "instruction_pct": 40.0, "memory_instruction_pct": 91.0}, "bound by issue of memory instructions (91 % of peak)"),
        ({"l1_pct": 90.0, "l1_wavefronts_pct": 80.0, "l1_data_pct": 50.0}, "bound by L1 and shared memory (90 % of peak)"),
        ({"waves": 0.1}, "too small to fill the device"),
        (dict.fromkeys(("dram_pct", "l2_pct", "l1_pct", "sm_pct")), "no throughput was told"),
    ],
)
def test_exactly_one_bottleneck(change: dict[str, float | None], expected: str) -> None:
    assert expected in verdict_of(FULL.model_copy(update=change))


def test_the_resource_that_allows_the_fewest_blocks_limits_occupancy() -> None:
    assert FULL.limiter == ("shared mem",)
    both = FULL.model_copy(update={"occupancy_limits": (("registers", 1), ("shared mem", 1), ("warps", 8))})
    assert both.limiter == ("registers", "shared mem")
    assert KernelCounters(name="k").limiter == ()


def test_the_digest_reads_as_a_few_lines() -> None:
    text = Digest(workload="w", regime="long", launches=(launch(0, 2), launch(3, 1)), kernels=(FULL, KernelCounters(name="empty"))).text
    assert "2 launches in 4.00 us, 1.00 us (25 %) idle between them" in text
    assert "rank_rows (264 blocks of 256)" in text
    assert "throughput DRAM 20 %, L2 30 %, L1 10 %, SM 40 %, tensor pipe 12 %" in text
    assert "occupancy 22 % of 25 % possible, limited by shared mem; 2.00 waves" in text
    assert "warps wait for barrier 40 %, long scoreboard 30 %, wait 10 %" in text
    assert len(text.splitlines()) < 10


def test_only_wavefronts_that_carry_little_are_complained_of() -> None:
    full = FULL.model_copy(update={"l1_pct": 90.0, "l1_wavefronts_pct": 80.0, "l1_data_pct": 50.0})
    assert "narrow" not in verdict_of(full)
    assert "narrow" in verdict_of(full.model_copy(update={"l1_data_pct": 30.0}))


def test_nothing_limits_a_full_multiprocessor() -> None:
    full = FULL.model_copy(update={"theoretical_occupancy_pct": 100.0})
    assert "limited by" not in Digest(workload="w", regime="long", kernels=(full,)).text


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("_ZN2at6native11fill_kernelIfEEvPT_i", "fill_kernel"),
        ("_Z9rank_rows7Problem", "rank_rows"),
        ("gemm_kernel", "gemm_kernel"),
        ("_ZSt4", "_ZSt4"),
        ("", ""),
    ],
)
def test_a_mangled_name_is_read(name: str, expected: str) -> None:
    assert readable(name) == expected


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 50)), min_size=1, max_size=8))
def test_idle_and_busy_time_make_up_the_span(pairs: list[tuple[float, float]]) -> None:
    launches = [launch(start, duration) for start, duration in pairs]
    gaps = gaps_us(launches)
    span = max(one.start_us + one.duration_us for one in launches) - min(one.start_us for one in launches)
    assert all(gap > 0 for gap in gaps)
    assert sum(gaps) <= span + 1e-9
    assert sum(gaps) >= span - sum(one.duration_us for one in launches) - 1e-9
