"""The space as data. Gains are engineering guesses in natural-log speed-up, revised by what a search measures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from ksearch.coder.types import Target
from ksearch.worldmodel.catalogue import Technique, Value

PLAIN: Mapping[str, Value] = MappingProxyType({
    "language": "triton",      # triton | cuda
    "fusion": "three",         # launches: three | two | one (triton; CUDA has one)
    "products": "sequential",  # S k, then S' q after the update | joint: both from the old state
    "reads": "cached",         # cached | streamed
    "writes": "cached",        # cached | streamed
    "tile_rows": 32,           # rows of the state in a tile (triton; so are the next three)
    "tiles": 1,                # tiles for each program
    "stages": 1,
    "warps": 4,
    "team": "thread",          # what shares a row of the state: thread | lanes of a warp (cuda; so are all below)
    "lanes": 32,
    "vector": 1,               # floats for each load
    "held": 1,                 # rows a team holds at once
    "threads": 128,
})

TRITON = {"language": ("triton",)}
CUDA = {"language": ("cuda",)}
ONE_LAUNCH = {**TRITON, "fusion": ("one",)}
LANES = {**CUDA, "team": ("lanes",)}


def defaults(target: Target) -> Mapping[str, Value]:
    """The plainest configuration in the first of the target's languages that has a root here."""
    first = next(language for language in target.languages if language in ("triton", "cuda"))
    return {**PLAIN, "language": first, "fusion": "three" if first == "triton" else "one"}


def techniques(target: Target) -> tuple[Technique, ...]:
    triton, cuda = "triton" in target.languages, "cuda" in target.languages
    first = defaults(target)["language"]
    switch = (_rewrite("cuda" if first == "triton" else "triton"),) if triton and cuda else ()
    return (*switch, *_SHARED, *(_triton() if triton else ()), *(_cuda() if cuda else ()))


def _rewrite(language: str) -> Technique:
    """Only from one launch, so that what a plan gained by fusing isn't lost."""
    plain = {"cuda": "CUDA C++", "triton": "Triton"}[language]
    return Technique(
        id="rewrite_in", target="language", parameter=language, sets={"language": language},
        needs={"language": ("triton" if language == "cuda" else "cuda",), "fusion": ("one",), "tiles": (1,), "team": ("thread",)},
        intent=f"rewrite in {plain}", rationale="Other control over which thread holds what, and over loads and stores.",
        gain_mean=-0.2, gain_sd=0.5, p_success=0.9, difficulty=2,
    )


_SHARED = (
    Technique(
        id="joint_products", target="state", sets={"products": "joint"}, needs={"fusion": ("one",), "products": ("sequential",)},
        intent="take S k and S q from the old state together",
        rationale="S' q = g S q + delta (k . q): the second sum needn't wait for the first, and its shuffles overlap.",
        gain_mean=0.05, gain_sd=0.12, p_success=0.95, difficulty=2,
    ),
    Technique(
        id="stream_reads", target="state", sets={"reads": "streamed"},
        needs={"fusion": ("one",), "reads": ("cached",)},
        intent="read the state as evict-first", rationale="Each element is read once: it needn't push anything else out.",
        gain_mean=0.02, gain_sd=0.08, p_success=0.95, difficulty=1,
    ),
    Technique(
        id="stream_writes", target="state", sets={"writes": "streamed"}, needs={"fusion": ("one",), "writes": ("cached",)},
        intent="write the new state as evict-first",
        rationale="It isn't read again in this call, and the states of a batch exceed the cache.",
        gain_mean=0.03, gain_sd=0.1, p_success=0.95, difficulty=1,
    ),
)


def _triton() -> Iterable[Technique]:
    for launches, words in (("two", "update and output in one launch"), ("one", "the whole step in one launch")):
        yield Technique(
            id="fuse", target="launches", parameter=launches, sets={"fusion": launches},
            needs={**TRITON, "fusion": ("three",) if launches == "two" else ("three", "two")}, intent=words,
            rationale="Rows are independent, so a tile can stay in registers from its only read to its only write.",
            gain_mean=0.4 if launches == "two" else 0.8, gain_sd=0.3, p_success=0.95, difficulty=2,
        )
    for rows, gain in ((4, 0.0), (8, 0.05), (16, 0.05), (64, -0.05), (128, -0.1)):
        yield Technique(
            id="tile_rows", target="tile", parameter=f"rows={rows}", sets={"tile_rows": rows}, needs={**TRITON, "tile_rows": (32,)},
            intent=f"{rows} rows of the state in a tile",
            rationale="Small tiles fill the device at small batches; large ones read keys and gates less often.",
            gain_mean=gain, gain_sd=0.2, p_success=0.95, difficulty=1,
        )
    for tiles in (2, 4):
        yield Technique(
            id="tiles_per_program", target="tile", parameter=f"tiles={tiles}", sets={"tiles": tiles}, needs={**ONE_LAUNCH, "tiles": (1,)},
            intent=f"{tiles} tiles for each program, one after the other", rationale="Fewer programs to start when a batch has thousands.",
            gain_mean=-0.05, gain_sd=0.15, p_success=0.95, difficulty=1, regime="large",
        )
    for stages in (2, 3):
        yield Technique(
            id="pipeline", target="tile", parameter=f"stages={stages}", sets={"stages": stages},
            needs={**ONE_LAUNCH, "tiles": (2, 4), "stages": (1,), "tile_rows": (4, 8, 16, 32)},
            intent=f"load the state {stages - 1} tiles ahead", rationale="The next tile is on its way while this one is summed.",
            gain_mean=0.03, gain_sd=0.12, p_success=0.9, difficulty=2, regime="large",
        )
    for warps in (1, 2, 8):
        yield Technique(
            id="warps", target="program", parameter=f"warps={warps}", sets={"warps": warps}, needs={**TRITON, "warps": (4,)},
            intent=f"{warps} warps for each program", rationale="Loads in flight for each thread against threads in flight.",
            gain_mean=0.0, gain_sd=0.15, p_success=0.95, difficulty=1,
        )


def _cuda() -> Iterable[Technique]:
    yield Technique(
        id="warp_per_row", target="state", sets={"team": "lanes"}, needs={**CUDA, "team": ("thread",)},
        intent="the lanes of a warp share a row, held in registers",
        rationale="Loads of a row coalesce, and the state is read once in place of twice.",
        gain_mean=1.0, gain_sd=0.4, p_success=0.95, difficulty=2,
    )
    for lanes in (8, 16):
        yield Technique(
            id="lanes_per_row", target="state", parameter=f"lanes={lanes}", sets={"lanes": lanes}, needs={**LANES, "lanes": (32,)},
            intent=f"{lanes} lanes for each row", rationale="Fewer shuffles for each sum, and more bytes in flight for each thread.",
            gain_mean=0.05, gain_sd=0.12, p_success=0.95, difficulty=1,
        )
    for vector in (2, 4):
        yield Technique(
            id="vector_loads", target="state", parameter=f"bits={32 * vector}", sets={"vector": vector}, needs={**LANES, "vector": (1,)},
            intent=f"move {32 * vector} bits with each load and store", rationale="A memory instruction costs the same whatever its width.",
            gain_mean=0.06 * vector, gain_sd=0.15, p_success=0.95, difficulty=1,
        )
    for held, gain in ((2, 0.08), (4, 0.12), (8, 0.1)):
        yield Technique(
            id="rows_at_once", target="state", parameter=f"rows={held}", sets={"held": held}, needs={**LANES, "held": (1,)},
            intent=f"{held} rows for each team at once",
            rationale="Their loads are in flight together and their sums overlap; keys and gates are read once for all.",
            gain_mean=gain, gain_sd=0.15, p_success=0.95, difficulty=1,
        )
    for threads in (32, 64, 256):
        yield Technique(
            id="threads", target="block", parameter=f"threads={threads}", sets={"threads": threads}, needs={**CUDA, "threads": (128,)},
            intent=f"{threads} threads for each block",
            rationale="Small blocks spread a small batch evenly; large ones cost less to start.",
            gain_mean=0.0, gain_sd=0.1, p_success=0.95, difficulty=1,
        )
