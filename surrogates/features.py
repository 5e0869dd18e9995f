"""Numbers read off a candidate: what its code does, how it is launched, what its plan claims, what bounds it.

Plain text patterns, not a parser: they must read CUDA C++, C++ and Triton alike, also code that doesn't compile. Counts and
sizes enter as logarithms, since a tile of 128 against 64 matters as much as 64 against 32.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache

from ksearch.surrogates.types import Sample

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
    r"constexpr\s+(?:static\s+)?\w+\s+(\w+)\s*=\s*(\d+)\s*;|#define\s+(\w+)\s+(\d+)\s*$|^\s*([A-Z][A-Z0-9_]*)\s*=\s*(\d+)\s*$"
    r"|\b(num_warps|num_stages|maxnreg)\s*=\s*(\d+)|__launch_bounds__\(\s*(\d+)",
    re.MULTILINE,
)


def extract(sample: Sample) -> dict[str, float]:
    """Every feature of a sample by name. Names of a kind share a prefix: code:, const:, compile:, work:, claim:."""
    found = dict(code_features(sample.sources))
    parent = dict(code_features(sample.parent_sources)) if sample.parent_sources else {}
    found |= {f"diff:{name}": value - parent.get(name, 0.0) for name, value in found.items() if parent} if parent else {}
    found |= dict(_compile_features(sample)) | dict(_work_features(sample, found)) | dict(_claim_features(sample))
    return found | dict(sample.features)


@lru_cache(maxsize=4096)
def code_features(sources: tuple[str, ...]) -> tuple[tuple[str, float], ...]:
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
        groups = match.groups()
        name, value = next(((groups[i], groups[i + 1]) for i in range(0, 8, 2) if groups[i]), ("launch_bounds", groups[8]))
        number = min(int(value), 2**62)
        values[name.lower()] = max(values.get(name.lower(), 0), number)
    return values


def _compile_features(sample: Sample) -> Iterator[tuple[str, float]]:
    report = sample.compiled
    if report is None:
        return
    for name in ("registers", "spill_bytes", "shared_bytes"):
        value = getattr(report, name)
        if value is not None:
            yield f"compile:{name}", math.log1p(value)


def _work_features(sample: Sample, code: Mapping[str, float]) -> Iterator[tuple[str, float]]:
    """Traffic and distance to the roofline, means over regimes by weight."""
    traffic = _mean(sample, lambda regime: regime.moved_bytes)
    if traffic:
        yield "work:bytes", math.log(traffic)
        passes = math.expm1(code.get("code:launches", 0.0)) + math.expm1(code.get("code:allocations", 0.0))
        yield "work:traffic", math.log(traffic) + math.log1p(passes)
    gap = _mean(sample, lambda regime: _log_ratio(regime.parent_us, regime.floor_us))
    if gap is not None:
        yield "work:room", gap
    for regime in sample.regimes:
        yield f"work:share:{regime.name}", regime.weight


def _log_ratio(over: float | None, under: float | None) -> float | None:
    return math.log(over / under) if over and under else None


def _mean(sample: Sample, value: Callable[..., float | None]) -> float | None:
    pairs = [(regime.weight, value(regime)) for regime in sample.regimes]
    known = [(weight, number) for weight, number in pairs if number is not None]
    total = sum(weight for weight, _ in known)
    return sum(weight * number for weight, number in known) / total if total > 0.0 else None


def _claim_features(sample: Sample) -> Iterator[tuple[str, float]]:
    if not sample.steps:
        return
    last = sample.steps[-1]
    yield "claim:gain", last.gain_mean
    yield "claim:expected", last.gain_mean * last.p_success
    yield "claim:spread", last.gain_sd
    yield "claim:p_success", last.p_success
    yield "claim:path", sum(step.gain_mean for step in sample.steps)
    yield "claim:risk", -sum(math.log(max(step.p_success, 0.01)) for step in sample.steps)
    yield "claim:depth", float(len(sample.steps))


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


def names_of(rows: Sequence[Mapping[str, float]]) -> tuple[str, ...]:
    """Features that differ between samples, in a fixed order: the others can't explain a difference."""
    seen: dict[str, set[float]] = {}
    for row in rows:
        for name in row:
            seen.setdefault(name, set())
    for row in rows:
        for name, values in seen.items():
            if len(values) < 2:
                values.add(row.get(name, 0.0))
    return tuple(sorted(name for name, values in seen.items() if len(values) > 1))
