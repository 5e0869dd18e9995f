"""Floors from counts and ceilings: the roofline's arithmetic, what binds, means over regimes, the stop at the floor."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksearch.definitions.catalog import load_definition, workloads_for
from ksearch.definitions.kits.work import Work
from ksearch.definitions.regimes import weighted
from ksearch.profiling.bounds import Bounds, above_floor, bounds_of, floor_of
from ksearch.profiling.ceilings import Ceilings, Level, Peak, staircase
from ksearch.profiling.datasheets import SHEETS, datasheet_of

DEVICE = Ceilings(
    device="test", source="measured", levels=(Level(from_bytes=0, bytes_per_s=2e12), Level(from_bytes=1e9, bytes_per_s=1e12)),
    peaks=(Peak(unit="tensor_half", operations_per_s=1e15), Peak(unit="vector_fp32", operations_per_s=1e13)),
    launch_us=1.0, timer="cupti", details="",
)  # fmt: skip
POSITIVE = st.floats(1.0, 1e12)


def bounds(name: str = "dsa_topk", objective: str = "mean") -> Bounds:
    definition = load_definition(name, None)
    return bounds_of(definition, weighted(definition, workloads_for(definition, "cuda", None)), DEVICE, objective)  # type: ignore[arg-type]


def test_the_larger_of_memory_and_arithmetic_after_a_launch() -> None:
    memory = floor_of(Work(1e6, 1e6, (("tensor_half", 1e9),)), DEVICE)
    assert (memory.memory_us, memory.compute_us, memory.floor_us, memory.binds) == (1.0, 1.0, 2.0, "memory")
    compute = floor_of(Work(1e6, 1e6, (("tensor_half", 4e9), ("vector_fp32", 1e7))), DEVICE)
    assert (compute.floor_us, compute.binds) == (5.0, "compute")
    assert floor_of(Work(100, 100), DEVICE).binds == "launch"


def test_a_call_too_large_for_the_cache_gets_the_memorys_bandwidth() -> None:
    assert floor_of(Work(2e9, 0), DEVICE).memory_us == pytest.approx(2000)
    assert floor_of(Work(0.9e9, 0), DEVICE).memory_us == pytest.approx(450)


def test_an_unmeasured_unit_gets_the_fastest_peak_that_is_known() -> None:
    assert DEVICE.peak("tensor_fp8") == 1e15


@given(POSITIVE, POSITIVE, POSITIVE, st.floats(0, 1e9))
def test_more_work_never_takes_less_time(read: float, written: float, operations: float, more: float) -> None:
    work = Work(read, written, (("vector_fp32", operations),))
    for larger in (Work(read + more, written, work.operations), Work(read, written, (("vector_fp32", operations + more),))):
        assert floor_of(larger, DEVICE).floor_us >= floor_of(work, DEVICE).floor_us - 1e-9


@given(st.lists(st.tuples(st.floats(1, 1e9), st.floats(1, 1e12)), min_size=1, max_size=7, unique_by=lambda pair: pair[0]))
def test_bandwidth_never_rises_with_size_and_is_never_below_what_was_measured(measured: list[tuple[float, float]]) -> None:
    levels = staircase(measured)
    assert levels[0].from_bytes == 0
    assert list(levels) == sorted(levels, key=lambda level: level.from_bytes)
    speeds = [level.bytes_per_s for level in levels]
    assert speeds == sorted(speeds, reverse=True)
    device = DEVICE.model_copy(update={"levels": levels})
    assert all(device.bandwidth_for(size) >= speed for size, speed in measured)


def test_regimes_add_up_to_the_whole() -> None:
    found = bounds()
    assert [row.regime for row in found.regimes] == ["short", "medium", "long"]
    assert sum(row.weight for row in found.regimes) == pytest.approx(1.0)
    assert sum(row.workloads for row in found.regimes) == 128
    assert sum(row.weight * row.floor_us for row in found.regimes) == pytest.approx(found.floor.floor_us)
    assert found.objective_floor_us == found.floor.floor_us
    assert {row.regime: row.binds for row in found.regimes} == dict.fromkeys(("short", "medium", "long"), "launch")


def test_a_geometric_objective_has_a_geometric_floor() -> None:
    found = bounds(objective="geomean")
    logs = sum(row.weight * math.log(row.floor_us) for row in found.workloads)
    assert found.objective_floor_us == pytest.approx(math.exp(logs))
    assert found.objective_floor_us <= found.floor.floor_us


@pytest.mark.parametrize("objective", ["mean", "geomean"])
def test_a_kernel_twice_as_slow_as_the_floor_is_one_above_it(objective: str) -> None:
    found = bounds("gdn_decode", objective)
    floors = {row.uuid: row.floor_us for row in found.workloads}
    assert above_floor(found, {uuid: 2 * value for uuid, value in floors.items()}) == pytest.approx(1.0)
    assert above_floor(found, floors) == pytest.approx(0.0)
    assert above_floor(found, {}) is None


@pytest.mark.parametrize(
    ("name", "sheet"),
    [("NVIDIA H100 80GB HBM3", "H100"), ("NVIDIA H100 PCIe", "H100 PCIe"), ("NVIDIA H200", "H200"), ("NVIDIA B200", "B200")],
)
def test_datasheets_by_the_name_that_the_driver_gives(name: str, sheet: str) -> None:
    found = datasheet_of(name)
    assert found == SHEETS[sheet]
    assert found.source == "datasheet"


def test_no_datasheet_for_what_nobody_looked_up() -> None:
    assert datasheet_of("Tesla T4") is None


def test_a_floor_below_the_recorded_h200_kernel() -> None:
    """The incumbent of runs/recorded/dsa_topk-h200: 4.24 us over all, 1.23 on short rows. A floor above that would be wrong."""
    definition = load_definition("dsa_topk", None)
    h200 = datasheet_of("NVIDIA H200")
    assert h200 is not None
    found = bounds_of(definition, weighted(definition, workloads_for(definition, "cuda", None)), h200, "mean")
    floors = {row.regime: row.floor_us for row in found.regimes}
    assert floors["short"] < 1.23
    assert found.floor.floor_us < 4.24
