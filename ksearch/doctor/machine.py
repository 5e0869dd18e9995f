"""Processor and memory."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from pathlib import Path

from ksearch.doctor.checks import Check, Probe, Status

X86_UNITS = ("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_bf16", "amx_int8")
ARM_UNITS = ("asimd", "sve", "sve2")
"""Processor flags, by the kernel's names, that decide how fast a kernel on the CPU can be."""

CGROUP_MEMORY = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
GIB = 2**30
LEAST_MEMORY = 2 * GIB
"""Bytes below which torch in the judge, in its runner and a compiler beside them don't fit."""


def processor() -> list[Check]:
    model, flags = _cpu_info(Path("/proc/cpuinfo"))
    units = [unit for unit in X86_UNITS + ARM_UNITS if unit in flags]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return [Check("cpu", Status.OK, f"{model or platform.machine()}, {cores} cores usable, {' '.join(units) or 'vector units unknown'}")]


def _cpu_info(path: Path) -> tuple[str | None, frozenset[str]]:
    """Model name and flags of the first processor; (None, none) where the system has no such file."""
    if not path.exists():
        return None, frozenset()
    pairs = [line.partition(":") for line in path.read_text(errors="replace").splitlines()]
    first = {key.strip(): value.strip() for key, _, value in reversed(pairs)}
    return first.get("model name"), frozenset((first.get("flags") or first.get("Features") or "").split())


def memory() -> list[Check]:
    """Physical memory and the container's limit, whichever is less."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    usable = min([total, *_memory_limits()])
    value = f"{usable / GIB:.1f} GiB" + (f" (container's limit; the machine has {total / GIB:.1f})" if usable < total else "")
    if usable < LEAST_MEMORY:
        return [Check("memory", Status.WARN, value, f"judging needs about {LEAST_MEMORY // GIB} GiB: candidates may be killed for memory")]
    return [Check("memory", Status.OK, value)]


def _memory_limits() -> Iterator[int]:
    for path in CGROUP_MEMORY:
        if path.exists() and (text := path.read_text().strip()).isdigit():
            yield int(text)


PROBES = (Probe(("cpu",), processor), Probe(("memory",), memory))
