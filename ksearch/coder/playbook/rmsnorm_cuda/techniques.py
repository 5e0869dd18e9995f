"""The space as data. Gains are engineering guesses in natural-log speed-up, revised by what a search measures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from ksearch.coder.types import Target
from ksearch.worldmodel.catalogue import Technique, Value

PLAIN: Mapping[str, Value] = MappingProxyType({
    "language": "triton",   # triton | cuda
    "passes": "two",        # over a row: two | one, which holds it in registers
    "grid": "rows",         # a program for each row (or group of rows) | persistent programs that take turns
    "programs": 528,        # of the persistent grid
    "weights": "late",      # loaded when needed | before the row
    "loads": "cached",      # cached | streamed
    "stores": "cached",     # cached | streamed
    "chunk": 1024,          # elements at once in two passes (triton; so are the next two)
    "rows": 1,              # rows for each program
    "warps": 4,
    "vector": 1,            # elements for each load (cuda; so are all below)
    "threads": 256,
    "reduction": "tree",    # tree in shared memory | shuffle
    "team": "block",        # what shares a row: block | warp
})

TRITON = {"language": ("triton",)}
CUDA = {"language": ("cuda",)}
ONE_PASS = {"passes": ("one",)}
WARP_HIDDEN = 4096
"""Longest row a warp holds: 128 elements for each thread, so that early weights or large blocks would spill."""


def defaults(target: Target) -> Mapping[str, Value]:
    """The plainest configuration in the first of the target's languages that has a root here."""
    return {**PLAIN, "language": next(language for language in target.languages if language in ("triton", "cuda"))}


def techniques(target: Target, hidden: int) -> tuple[Technique, ...]:
    triton, cuda = "triton" in target.languages, "cuda" in target.languages
    first = defaults(target)["language"]
    switch = (_rewrite("cuda" if first == "triton" else "triton"),) if triton and cuda else ()
    return (*switch, *_SHARED, *(_triton(hidden) if triton else ()), *(_cuda(hidden) if cuda else ()))


def _rewrite(language: str) -> Technique:
    plain = {"cuda": "CUDA C++", "triton": "Triton"}[language]
    return Technique(
        id="rewrite_in", target="language", parameter=language, sets={"language": language},
        needs={"language": ("triton" if language == "cuda" else "cuda",), "rows": (1,), "team": ("block",)},
        intent=f"rewrite in {plain}", rationale="Other control over registers, loads and what a warp does.",
        gain_mean=0.0, gain_sd=0.3, p_success=0.9, difficulty=2,
    )


_SHARED = (
    Technique(
        id="keep_row", target="row", sets={"passes": "one"}, needs={"passes": ("two",)},
        intent="hold the row in registers between the sum and the scaling",
        rationale="The second read, even from a cache, waits for the first pass.",
        gain_mean=0.3, gain_sd=0.2, p_success=0.95, difficulty=1,
    ),
    Technique(
        id="early_weights", target="weights", sets={"weights": "early"}, needs={**ONE_PASS, "weights": ("late",), "team": ("block",)},
        intent="load the weights before the row is reduced",
        rationale="Their latency hides behind the row's; a persistent program loads them once.",
        gain_mean=0.1, gain_sd=0.12, p_success=0.95, difficulty=1,
    ),
    Technique(
        id="stream_reads", target="loads", sets={"loads": "streamed"}, needs={**ONE_PASS, "loads": ("cached",)},
        intent="read rows as evict-first", rationale="A row is read once; the weights should stay.",
        gain_mean=0.02, gain_sd=0.06, p_success=0.95, difficulty=1, regime="large",
    ),
    Technique(
        id="stream_writes", target="stores", sets={"stores": "streamed"}, needs={"stores": ("cached",)},
        intent="write rows as evict-first", rationale="The output isn't read again here.",
        gain_mean=0.02, gain_sd=0.08, p_success=0.95, difficulty=1, regime="large",
    ),
    *(
        Technique(
            id="persistent", target="grid", parameter=f"programs={programs}", sets={"grid": "persistent", "programs": programs},
            needs={"grid": ("rows",)}, intent=f"at most {programs} programs, each taking every {programs}th row",
            rationale="Starting a program costs as much as a short row; few enough to be resident at once.",
            gain_mean=0.0, gain_sd=0.15, p_success=0.95, difficulty=2, regime="large",
        )
        for programs in (264, 528, 1056)
    ),
)


def _triton(hidden: int) -> Iterable[Technique]:
    for chunk in (512, 2048, 4096):
        if chunk <= hidden:
            yield Technique(
                id="chunk", target="row", parameter=f"elements={chunk}", sets={"chunk": chunk},
                needs={**TRITON, "passes": ("two",), "chunk": (1024,)}, intent=f"{chunk} elements at once",
                rationale="More loads in flight for each turn of the loop, against more registers.",
                gain_mean=0.08, gain_sd=0.15, p_success=0.95, difficulty=1,
            )
    for rows in (2, 4, 8):
        if rows * hidden <= 32768:
            yield Technique(
                id="rows_per_program", target="rows", parameter=f"rows={rows}", sets={"rows": rows},
                needs={**TRITON, **ONE_PASS, "rows": (1,)},
                intent=f"{rows} rows for each program",
                rationale="One load of the weights and one barrier for several rows; fewer programs.",
                gain_mean=-0.02, gain_sd=0.15, p_success=0.9, difficulty=1, regime="large",
            )
    for warps, gain in ((1, -0.1), (2, 0.0), (8, 0.05), (16, 0.02)):
        yield Technique(
            id="warps", target="program", parameter=f"warps={warps}", sets={"warps": warps}, needs={**TRITON, "warps": (4,)},
            intent=f"{warps} warps for each program", rationale="Bytes in flight for each thread against the cost of the sum across warps.",
            gain_mean=gain, gain_sd=0.15, p_success=0.95, difficulty=1,
        )


def _cuda(hidden: int) -> Iterable[Technique]:
    for vector in (2, 4, 8):
        yield Technique(
            id="vector_loads", target="memory", parameter=f"bits={16 * vector}", sets={"vector": vector}, needs={**CUDA, "vector": (1,)},
            intent=f"move {16 * vector} bits with each load and store", rationale="A memory instruction costs the same whatever its width.",
            gain_mean=0.1 * vector, gain_sd=0.25, p_success=0.95, difficulty=1,
        )
    for threads in (128, 512, 1024):
        yield Technique(
            id="threads", target="block", parameter=f"threads={threads}", sets={"threads": threads},
            needs={**CUDA, "threads": (256,), "team": ("block", "warp") if threads == 128 else ("block",)},
            intent=f"{threads} threads for each block",
            rationale="Bytes in flight for each thread against the cost of the sum across warps.",
            gain_mean=0.0, gain_sd=0.15, p_success=0.95, difficulty=1,
        )
    yield Technique(
        id="shuffle", target="reduction", sets={"reduction": "shuffle"}, needs={**CUDA, "reduction": ("tree",)},
        intent="add within warps by shuffles", rationale="Two barriers in place of one for each halving.",
        gain_mean=0.2, gain_sd=0.15, p_success=0.95, difficulty=1,
    )
    if hidden <= WARP_HIDDEN:
        yield Technique(
            id="warp_per_row", target="row", sets={"team": "warp"},
            needs={**CUDA, "reduction": ("shuffle",), "team": ("block",), "threads": (128, 256), "weights": ("late",)},
            intent="one warp for each row", rationale="No barrier at all; a long row then has few loads in flight unless they are wide.",
            gain_mean=0.0, gain_sd=0.25, p_success=0.95, difficulty=1, regime="large",
        )
