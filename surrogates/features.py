"""Numbers read off a candidate's code and compile report, and how alike two candidates are.

Plain text patterns, not a parser: they must read CUDA C++, C++ and Triton alike, also code that doesn't compile. Counts and
sizes enter as logarithms, since a tile of 128 against 64 matters as much as 64 against 32.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import fields
from functools import lru_cache

from ksearch.surrogates.types import Compiled, Sample

WORDS: Mapping[str, str] = {
    "kernels": r"__global__|@triton\.jit",
    "launches": r"cudaLaunch\w*",
    "loops": r"for|while",
    "branches": r"if|tl\.where",
    "barriers": r"__sync\w+|bar\.sync\w*|tl\.debug_barrier|.*barrier.*",
    "shared": r"__shared__|extern",
    "tensor_cores": r".*mma.*|tl\.dot",
    "async_copies": r"cp\.async.*|cp_async.*|.*memcpy_async|.*bulk.*|num_stages",
    "descriptors": r".*descriptor.*|.*tensor_map.*|.*TensorMap.*",
    "wide_loads": r"u?(?:int|longlong)[248]|float[24]|__m256\w*|__m512\w*|_mm\d*_loadu\w*",
    "simd": r"_mm\d+_\w+|simd|__builtin_\w+|vector_size",
    "streamed": r"__ldcs|__stcs|__ldg|.*\.cs|evict_first|cache_modifier|eviction_policy|.*stream_ps",
    "shuffles": r"__shfl\w*|__reduce_\w+_sync|redux.*",
    "atomics": r"atomic\w+|tl\.atomic\w*",
    "votes": r"__ballot\w*|__popc\w*|__match\w*",
    "unrolled": r"unroll|tl\.static_range",
    "inline_assembly": r"asm|__asm__",
    "fast_math": r"__expf|__fdividef|\w*rsqrt\w*|__frcp\w*|use_fast_math|tl\.math\.\w+",
    "clusters": r".*cluster.*",
    "threads": r"std::thread|omp|pthread\w*",
    "wide_sums": r"double|.*float64",
    "half": r"\w*half\w*|.*bfloat.*|.*float16|.*fp8.*|.*e4m3.*",
    "memory_loads": r"tl\.load|__ldg|ld\.global.*",
    "memory_stores": r"tl\.store|st\.global.*",
    "allocations": r"torch\.(?:empty|zeros|ones|full)\w*|cudaMalloc\w*",
    "tensor_calls": r"torch\.\w+",
}
"""Words, dotted names included, that count for a feature."""

SIGNS: Mapping[str, str] = {"launches": "<<<", "triton_launches": "](", "stores": "] = ", "sums": "+="}
_WORDS: tuple[tuple[str, re.Pattern[str]], ...] = tuple((name, re.compile(pattern)) for name, pattern in WORDS.items())
_WORD = re.compile(r"@?[A-Za-z_][\w.]*(?:::[\w.]+)*")
_CONSTANT = re.compile(
    r"constexpr\s+(?:static\s+)?\w+\s+(?P<cpp>\w+)\s*=\s*(?P<cpp_value>\d+)\s*;"
    r"|#define\s+(?P<macro>\w+)\s+(?P<macro_value>\d+)\s*$"
    r"|^\s*(?P<python>[A-Za-z_]\w*)\s*(?::[\w\s.]+)?=\s*(?:tl\.constexpr\()?(?P<python_value>\d+)\)?\s*$"
    r"|\b(?P<keyword>[A-Za-z_]\w*)\s*(?::\s*tl\.constexpr\s*)?=\s*(?P<keyword_value>\d+)\s*(?=[,)])"
    r"|__launch_bounds__\(\s*(?P<launch_bounds>\d+)",
    re.MULTILINE,
)
"""Sizes that have a name: constants of C++ and Python, Triton's constexprs, keyword arguments and defaults."""


@lru_cache(maxsize=4096)
def code_features(sources: tuple[str, ...]) -> tuple[tuple[str, float], ...]:
    """By name; `code:` counts words and signs, `const:` are named sizes."""
    text = "\n".join(sources)
    words = Counter(_WORD.findall(text))
    counts: Counter[str] = Counter({name: text.count(sign) for name, sign in SIGNS.items()})
    for word, count in words.items():
        for name in _kinds(word):
            counts[name] += count
    rows = [("code:words", math.log1p(words.total())), ("code:lines", math.log1p(text.count("\n")))]
    rows += [(f"code:{name}", math.log1p(counts[name])) for name in {**WORDS, **SIGNS}]
    rows += [(f"const:{name}", math.log2(1 + value)) for name, value in _constants(text).items()]
    return tuple(rows)


@lru_cache(maxsize=65536)
def _kinds(word: str) -> tuple[str, ...]:
    """Features that a word counts for. A program has few hundred distinct words, and kernels of one space share most."""
    return tuple(name for name, pattern in _WORDS if pattern.fullmatch(word))


def _constants(text: str) -> dict[str, int]:
    """Named sizes: tiles, threads, unrolling. A name defined twice counts by its largest value."""
    values: dict[str, int] = {}
    for match in _CONSTANT.finditer(text):
        name, value = _named(match.groupdict())
        number = min(int(value[:20]), 2**62)
        values[name.lower()] = max(values.get(name.lower(), 0), number)
    return values


def _named(groups: Mapping[str, str | None]) -> tuple[str, str]:
    if (threads := groups["launch_bounds"]) is not None:
        return "launch_bounds", threads
    kind = next(kind for kind in ("cpp", "macro", "python", "keyword") if groups[kind] is not None)
    return groups[kind] or "", groups[f"{kind}_value"] or ""


def compile_features(report: Compiled | None) -> Iterator[tuple[str, float]]:
    """What the compiler told; nothing without a report."""
    if report is None:
        return
    for field in fields(report):
        value = getattr(report, field.name)
        if value is not None:
            yield f"compile:{field.name}", math.log1p(value)


@lru_cache(maxsize=8192)
def lines_of(sources: tuple[str, ...]) -> frozenset[str]:
    return frozenset(line.strip() for text in sources for line in text.splitlines()) - {""}


def similarity(a: Sample, b: Sample) -> float:
    """0 to 1: shared lines over all lines of the code (Jaccard), and the same of the plans' steps, half each."""
    return 0.5 * code_similarity(a, b) + 0.5 * plan_similarity(a, b)


def code_similarity(a: Sample, b: Sample) -> float:
    return _jaccard(lines_of(a.sources), lines_of(b.sources))


def plan_similarity(a: Sample, b: Sample) -> float:
    return _jaccard(frozenset(a.plan), frozenset(b.plan))


def _jaccard(a: frozenset[str], b: frozenset[str]) -> float:
    shared = len(a & b)
    union = len(a) + len(b) - shared
    return shared / union if union else 1.0
