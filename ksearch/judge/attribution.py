"""Whose kernels ran on the device: a language is a promise that nearly all the time is spent in the candidate's own.

A kernel is the candidate's when its name is one that the candidate brought: a symbol in its compiled artefact, or the name of a
Triton function in its sources. Copies and fills are nobody's. Names come from activity records; without them nothing is said.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from ksearch.definitions.schema import Solution

OWN_SHARE = 0.95
"""Least share of kernel time in own kernels, for triton, cuda and cpp."""
PROMISING = frozenset({"triton", "cuda", "cpp"})
NAMED = 8
"""Foreign kernels told of, longest first."""
LONGEST_NAME = 80


def kernel_times(records: Sequence[Sequence[object]]) -> Counter[str]:
    """Microseconds by kernel name, from raw activity records (kind, name, start, end, ...)."""
    times: Counter[str] = Counter()
    for kind, name, begin, end, *_ in records:
        if kind == "kernel":
            times[str(name)] += (float(str(end)) - float(str(begin))) / 1000  # type: ignore[assignment]
    return times


def foreign_kernels(solution: Solution, artefact: Path | None, times: Mapping[str, float]) -> dict[str, float]:
    """Kernels that are not the candidate's, with their share of all kernel time."""
    total = sum(times.values())
    if total <= 0:
        return {}
    image = b"" if artefact is None else artefact.read_bytes()
    functions = {name for source in solution.sources for name in re.findall(r"^\s*def (\w+)", source.content, re.MULTILINE)}
    return {name: spent / total for name, spent in times.items() if not _own(name, solution.spec.language, image, functions)}


def _own(name: str, language: str, image: bytes, functions: set[str]) -> bool:
    if language == "triton":
        return name in functions or any(name.startswith(f"{function}_") for function in functions)
    return bool(name) and name.encode() in image


def told(foreign: Mapping[str, float]) -> tuple[str, ...]:
    """For a verdict: 'name (63%)', longest first."""
    ordered = sorted(foreign.items(), key=lambda item: -item[1])[:NAMED]
    return tuple(f"{name[:LONGEST_NAME]} ({share:.0%})" for name, share in ordered)
