"""Datasheet values of GPUs that are not here: what is said of them where nothing could be measured.

Vendors' peaks are dense (without sparsity) and at boost clock; no kernel reaches them, so that floors from them are lower than
floors from measurement. None of these documents says what a launch costs.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ksearch.definitions.kits.work import Unit
from ksearch.profiling.ceilings import CUPTI, Ceilings, Level, Peak

LAUNCH_US = 0.5
"""An empty kernel took 0.54 us by CUPTI on an H200 at the least (runs/recorded/dsa_topk-h200-surrogate); assumed for the others."""


def _peaks(fp8: float, half: float, tf32: float, fp32: float) -> Mapping[Unit, float]:
    """TFLOP/s, dense."""
    return {"tensor_fp8": fp8 * 1e12, "tensor_half": half * 1e12, "tensor_tf32": tf32 * 1e12, "vector_fp32": fp32 * 1e12}


def _sheet(device: str, bandwidth: float, peaks: Mapping[Unit, float], where: str) -> Ceilings:
    return Ceilings(
        device=device,
        source="datasheet",
        levels=(Level(from_bytes=0, bytes_per_s=bandwidth),),
        peaks=tuple(Peak(unit=unit, operations_per_s=value) for unit, value in peaks.items()),
        launch_us=LAUNCH_US,
        timer=CUPTI,
        details=where,
    )


_H100 = "NVIDIA H100 Tensor Core GPU datasheet (nvidia.com/en-us/data-center/h100)"

SHEETS: Mapping[str, Ceilings] = MappingProxyType({
    "H100 PCIe": _sheet("NVIDIA H100 PCIe", 2.0e12, _peaks(1513, 756, 378, 51), _H100),
    "H100 NVL": _sheet("NVIDIA H100 NVL", 3.9e12, _peaks(1671, 835, 418, 60), _H100),
    "H100": _sheet("NVIDIA H100 SXM", 3.35e12, _peaks(1979, 989.4, 494.7, 67), _H100),
    "H200": _sheet(
        "NVIDIA H200", 4.8e12, _peaks(1979, 989.4, 494.7, 67), "NVIDIA H200 Tensor Core GPU datasheet (nvidia.com/en-us/data-center/h200)"
    ),
    "B200": _sheet(
        "NVIDIA B200", 8.0e12, _peaks(4500, 2250, 1125, 80), "NVIDIA HGX B200 datasheet (nvidia.com/en-us/data-center/hgx), one of 8 GPUs"
    ),
})  # fmt: skip
"""By a part of the device's name; the first that fits counts, so that variants stand before the plain name."""


def datasheet_of(device_name: str) -> Ceilings | None:
    """None for a device that the table doesn't know."""
    words = device_name.upper()
    return next((sheet for name, sheet in SHEETS.items() if all(part.upper() in words for part in name.split())), None)
