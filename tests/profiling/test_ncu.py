"""Nsight Compute's output as counters: both layouts that its raw page has had, with made-up figures, and every way of having none."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksearch.profiling import ncu, watching
from ksearch.profiling.ncu import NoCounters, command_of, counters_of, find_ncu

STALL = "smsp__average_warps_issue_stalled_{}_per_issue_active.ratio"
METRICS: Mapping[str, tuple[str, str]] = {
    "gpu__time_duration.sum": ("ns", "6,528"),
    "gpu__dram_throughput.avg.pct_of_peak_sustained_elapsed": ("%", "12.5"),
    "lts__throughput.avg.pct_of_peak_sustained_elapsed": ("%", "18.25"),
    "l1tex__throughput.avg.pct_of_peak_sustained_active": ("%", "22"),
    "sm__throughput.avg.pct_of_peak_sustained_elapsed": ("%", "31.5"),
    "sm__inst_executed_pipe_tensor_op_hmma.avg.pct_of_peak_sustained_active": ("%", "3"),
    "sm__pipe_tensor_cycles_active.avg.pct_of_peak_sustained_active": ("%", "7.5"),
    "sm__warps_active.avg.pct_of_peak_sustained_active": ("%", "24.1"),
    "sm__maximum_warps_per_active_cycle_pct": ("%", "25"),
    "launch__waves_per_multiprocessor": ("", "0.94"),
    "launch__grid_size": ("", "248"),
    "launch__block_size": ("", "512"),
    "launch__registers_per_thread": ("register/thread", "128"),
    "launch__shared_mem_per_block_static": ("byte/block", "0"),
    "launch__shared_mem_per_block_dynamic": ("byte/block", "98,304"),
    "launch__occupancy_limit_registers": ("block", "1"),
    "launch__occupancy_limit_shared_mem": ("block", "2"),
    "launch__occupancy_limit_warps": ("block", "4"),
    STALL.format("barrier"): ("inst", "4.0"),
    STALL.format("long_scoreboard"): ("inst", "3.0"),
    STALL.format("not_selected"): ("inst", "2.0"),
    STALL.format("selected"): ("inst", "1.0"),
    STALL.format("membar"): ("inst", "n/a"),
}
LEADING = {"Process ID": "7", "Process Name": "python3", "Kernel Name": "rank_rows(Problem)", "Device": "0", "CC": "9.0"}


def table(rows: Sequence[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)
    return "==PROF== Connected to process 7 (python3)\n==PROF== Profiling \"rank_rows\": 0%....100% - 9 passes\n" + text.getvalue()


def wide(metrics: Mapping[str, tuple[str, str]] = METRICS, launches: int = 1) -> str:
    names = ["ID", *LEADING, *metrics]
    units = ["", *("" for _ in LEADING), *(unit for unit, _ in metrics.values())]
    return table([names, units, *([str(n), *LEADING.values(), *(value for _, value in metrics.values())] for n in range(launches))])


def long(launches: int = 1) -> str:
    names = ["ID", *LEADING, "Section Name", "Metric Name", "Metric Unit", "Metric Value"]
    rows = [
        [str(n), *LEADING.values(), "Raw", name, unit, value] for n in range(launches) for name, (unit, value) in METRICS.items()
    ]
    return table([names, *rows])


@pytest.mark.parametrize("output", [wide(), long()], ids=["a column for each metric", "a line for each metric"])
def test_counters_of_a_launch(output: str) -> None:
    (kernel,) = counters_of(output)
    assert kernel.name == "rank_rows(Problem)"
    assert kernel.duration_us == pytest.approx(6.528)
    assert (kernel.grid, kernel.block, kernel.registers, kernel.dynamic_shared_bytes) == (248, 512, 128, 98304)
    assert (kernel.dram_pct, kernel.l2_pct, kernel.l1_pct, kernel.sm_pct, kernel.tensor_pct) == (12.5, 18.25, 22.0, 31.5, 7.5)
    assert (kernel.occupancy_pct, kernel.theoretical_occupancy_pct, kernel.waves) == (24.1, 25.0, 0.94)
    assert kernel.limiter == ("registers",)
    assert [(stall.reason, stall.share) for stall in kernel.stalls] == [("barrier", 0.4), ("long scoreboard", 0.3)]


def test_every_launch_is_its_own() -> None:
    assert len(counters_of(wide(launches=3))) == len(counters_of(long(launches=3))) == 3


@given(st.sets(st.sampled_from(sorted(METRICS))))
def test_what_is_not_told_is_none(left_out: set[str]) -> None:
    (kernel,) = counters_of(wide({name: value for name, value in METRICS.items() if name not in left_out}))
    assert (kernel.duration_us is None) == ("gpu__time_duration.sum" in left_out)
    assert (kernel.grid is None) == ("launch__grid_size" in left_out)
    assert sum(stall.share for stall in kernel.stalls) <= 1.0 + 1e-9


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("==ERROR== ERR_NVGPUCTRPERM - The user does not have permission to access NVIDIA GPU Performance Counters\n", "ERR_NVGPUCTRPERM"),
        ("==PROF== Connected\n==WARNING== No kernels were profiled.\n", "No kernels were profiled"),
        ("", "it printed nothing"),
    ],
)
def test_no_table_is_told_in_one_line(output: str, expected: str) -> None:
    with pytest.raises(NoCounters, match=expected) as error:
        counters_of(output)
    assert "\n" not in str(error.value)


def test_a_missing_ncu_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ncu.shutil, "which", lambda name: None)
    monkeypatch.setattr(ncu.os, "access", lambda path, mode: False)
    with pytest.raises(NoCounters, match="not installed"):
        find_ncu()


def test_the_command_leaves_the_clocks_alone() -> None:
    command = command_of("ncu", ["python3", "x.py"])
    assert command[command.index("--clock-control") + 1] == "none"
    assert command[command.index("--profile-from-start") + 1] == "off"
    assert command[-2:] == ["python3", "x.py"]


def test_a_profiler_that_runs_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for ncu on PATH that prints a table: found, started with the clean environment, read."""
    (tmp_path / "output.csv").write_text(wide())
    tool = tmp_path / "ncu"
    tool.write_text(
        f"#!{sys.executable}\nimport os, sys\nassert os.environ['LC_ALL'] == 'C' and 'SECRET_TOKEN' not in os.environ\n"
        f"assert '--csv' in sys.argv\nprint(open({str(tmp_path / 'output.csv')!r}).read())\n"
    )
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("SECRET_TOKEN", "not for candidates")
    output = watching._run(command_of(find_ncu(), ["python3", "x.py"]), tmp_path)
    assert counters_of(output)[0].name == "rank_rows(Problem)"


def test_a_profiler_that_fails_or_hangs_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NoCounters, match="no such luck"):
        watching._run([sys.executable, "-c", "import sys; print('no such luck'); sys.exit(3)"], tmp_path)
    monkeypatch.setattr(watching, "LIMIT_S", 0.2)
    with pytest.raises(NoCounters, match="took over"):
        watching._run([sys.executable, "-c", "import time; time.sleep(30)"], tmp_path)
    with pytest.raises(NoCounters, match="No such file"):
        watching._run([str(tmp_path / "nothing")], tmp_path)
