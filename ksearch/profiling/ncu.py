"""Nsight Compute: its command line, and what it prints (`--csv --page raw`) as counters of each launch."""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from ksearch.profiling.digest import KernelCounters, Stall

SECTIONS = ("SpeedOfLight", "Occupancy", "LaunchStats", "WarpStateStats", "ComputeWorkloadAnalysis", "MemoryWorkloadAnalysis")
NO_WAIT = frozenset({"selected", "not_selected"})
MOST_LAUNCHES = 24
"""Profiled of one call: each is run again for every group of counters."""

_STALL = re.compile(r"^smsp__average_warps_issue_stalled_(?P<reason>\w+?)_per_issue_active\.ratio$")
_TENSOR = re.compile(r"^sm__(?:inst_executed_)?pipe_tensor\w*\.(?:avg|sum)\.pct_of_peak_sustained_active$")
_LIMIT = re.compile(r"^launch__occupancy_limit_(?P<resource>\w+)$")
_NAMES: Mapping[str, tuple[str, ...]] = {
    "dram_pct": ("gpu__dram_throughput.avg.pct_of_peak_sustained_elapsed", "dram__throughput.avg.pct_of_peak_sustained_elapsed"),
    "l2_pct": ("lts__throughput.avg.pct_of_peak_sustained_elapsed",),
    "l1_pct": ("l1tex__throughput.avg.pct_of_peak_sustained_active",),
    "sm_pct": ("sm__throughput.avg.pct_of_peak_sustained_elapsed",),
    "instruction_pct": ("sm__instruction_throughput.avg.pct_of_peak_sustained_elapsed",),
    "memory_instruction_pct": ("sm__memory_throughput.avg.pct_of_peak_sustained_elapsed",),
    "l1_wavefronts_pct": ("l1tex__data_pipe_lsu_wavefronts.avg.pct_of_peak_sustained_elapsed",),
    "occupancy_pct": ("sm__warps_active.avg.pct_of_peak_sustained_active",),
    "theoretical_occupancy_pct": ("sm__maximum_warps_per_active_cycle_pct",),
    "waves": ("launch__waves_per_multiprocessor",),
    "grid": ("launch__grid_size",),
    "block": ("launch__block_size",),
    "registers": ("launch__registers_per_thread",),
    "static_shared_bytes": ("launch__shared_mem_per_block_static",),
    "dynamic_shared_bytes": ("launch__shared_mem_per_block_dynamic",),
}
_BANKS = tuple(f"l1tex__data_bank_{way}.avg.pct_of_peak_sustained_elapsed" for way in ("reads", "writes"))
_WHOLE = frozenset({"grid", "block", "registers", "static_shared_bytes", "dynamic_shared_bytes"})


class NoCounters(Exception):
    """Counters can't be had here; the text is one line that says why."""


def find_ncu() -> str:
    """Path of ncu. Raises NoCounters."""
    homes = [os.environ.get(name) for name in ("CUDA_HOME", "CUDA_PATH")] + ["/usr/local/cuda"]
    places = [Path(home) / "bin" / "ncu" for home in homes if home]
    places += sorted(Path("/opt/nvidia/nsight-compute").glob("*/ncu"), reverse=True)
    found = shutil.which("ncu") or next((str(place) for place in places if os.access(place, os.X_OK)), None)
    if found is None:
        raise NoCounters("Nsight Compute (ncu) is not installed: not on PATH, under CUDA_HOME nor /opt/nvidia/nsight-compute")
    return found


def command_of(ncu: str, target: Sequence[str]) -> list[str]:
    """The clocks are left as they are (`--clock-control none`): shared machines don't let them be changed, and times are the judge's."""
    sections = [word for section in SECTIONS for word in ("--section", section)]
    options = ["--csv", "--page", "raw", "--print-units", "base", "--clock-control", "none", "--profile-from-start", "off"]
    return [ncu, *options, "--target-processes", "all", "--launch-count", str(MOST_LAUNCHES), *sections, *target]


def counters_of(output: str) -> tuple[KernelCounters, ...]:
    """One for each launch, in order. Raises NoCounters with the tool's own complaint when there is no table.

    Reads both layouts that `--page raw --csv` has had: a column for each metric and a row of units under the names, or a line for each
    metric of each launch.
    """
    lines = output.splitlines()
    start = next((index for index, line in enumerate(lines) if line.startswith('"ID"')), None)
    if start is None:
        raise NoCounters(complaint(output))
    rows = list(csv.reader(io.StringIO("\n".join(line for line in lines[start:] if line.startswith('"')))))
    body = [dict(zip(rows[0], row, strict=True)) for row in rows[1:] if len(row) == len(rows[0])]
    launches = [row for row in body if row["ID"].strip().isdigit()]
    if "Metric Name" in rows[0]:
        return tuple(_kernel(*_joined(launches, number)) for number in dict.fromkeys(row["ID"] for row in launches))
    units = next((row for row in body if not row["ID"].strip().isdigit()), {})
    return tuple(_kernel(launch, units) for launch in launches)


def _joined(lines: Sequence[Mapping[str, str]], number: str) -> tuple[dict[str, str], dict[str, str]]:
    """Metrics of one launch by name, and their units."""
    own = [line for line in lines if line["ID"] == number]
    values = {line["Metric Name"]: line["Metric Value"] for line in own}
    return {**values, "Kernel Name": own[0]["Kernel Name"]}, {line["Metric Name"]: line["Metric Unit"] for line in own}


def complaint(output: str) -> str:
    """The most telling line of an ncu that failed."""
    errors = [line.strip() for line in output.splitlines() if "==ERROR==" in line or "ERR_" in line]
    lines = errors or [line.strip() for line in output.splitlines() if line.strip()]
    return f"Nsight Compute gave no counters: {lines[-1][:300] if lines else 'it printed nothing'}"


def _kernel(row: Mapping[str, str], units: Mapping[str, str]) -> KernelCounters:
    values = {field: _first(row, names) for field, names in _NAMES.items()}
    whole = {field: None if values[field] is None else round(values[field] or 0.0) for field in _WHOLE}
    banks = [value for name in _BANKS if (value := _number(row.get(name, ""))) is not None]
    tensor = [value for name in row if _TENSOR.match(name) and (value := _number(row[name])) is not None]
    return KernelCounters(
        **{**values, **whole},  # type: ignore[arg-type]
        name=row.get("Kernel Name", "")[:200],
        duration_us=_microseconds(row, units),
        tensor_pct=max(tensor, default=None),
        l1_data_pct=sum(banks) if len(banks) == len(_BANKS) else None,
        occupancy_limits=_limits(row),
        stalls=_stalls(row),
    )


def _first(row: Mapping[str, str], names: Sequence[str]) -> float | None:
    return next((value for name in names if (value := _number(row.get(name, ""))) is not None), None)


def _number(text: str) -> float | None:
    """Thousands are separated where the locale says so; 'n/a' and nothing are no number."""
    try:
        return float(text.replace(",", ""))
    except ValueError:
        return None


def _microseconds(row: Mapping[str, str], units: Mapping[str, str]) -> float | None:
    value = _number(row.get("gpu__time_duration.sum", ""))
    scale = {"ns": 1e-3, "nsecond": 1e-3, "us": 1.0, "usecond": 1.0, "ms": 1e3, "msecond": 1e3, "s": 1e6, "second": 1e6}
    return None if value is None else value * scale.get(units.get("gpu__time_duration.sum", "ns"), 1e-3)


def _limits(row: Mapping[str, str]) -> tuple[tuple[str, int], ...]:
    found = ((match["resource"].replace("_", " "), _number(row[name])) for name in row if (match := _LIMIT.match(name)))
    return tuple(sorted((resource, round(blocks)) for resource, blocks in found if blocks))


def _stalls(row: Mapping[str, str]) -> tuple[Stall, ...]:
    """Shares of the time that a warp takes from one instruction to the next. `selected` is the issue itself, and `not_selected` means that
    another warp was ready too: neither is a wait."""
    found = {match["reason"]: value for name in row if (match := _STALL.match(name)) and (value := _number(row[name])) is not None}
    total = sum(found.values())
    waits = {reason.replace("_", " "): value / total for reason, value in found.items() if value > 0 and reason not in NO_WAIT}
    stalls = [Stall(reason=reason, share=share) for reason, share in waits.items()]
    return tuple(sorted(stalls, key=lambda stall: (-stall.share, stall.reason)))
