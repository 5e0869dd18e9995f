"""The space as data. Gains are engineering guesses in natural-log speed-up, revised by what a search measures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from ksearch.worldmodel.catalogue import Technique, Value

DEFAULTS: Mapping[str, Value] = MappingProxyType({
    "language": "triton",
    "tile": "64x64",         # rows by columns of C for each program
    "depth": 32,             # of the inner axis, for each product
    "stages": 1,             # of the loads' pipeline
    "warps": 4,
    "operands": "pointers",  # pointers | descriptors: loads by the tensor copy engine
    "sums": "float32",       # of a product's depth: float32 | float16, added up in float32
    "order": "rows",         # of tiles: rows | grouped
    "grid": "tiles",         # a program for each tile | persistent programs that take turns
    "split": 1,              # parts of the inner axis, each summed by programs of its own
    "combine": "parts",      # of split sums: parts stored, then added | atomic additions
})

LARGE = ("128x128", "128x256", "256x128")
SMALL = ("16x64", "32x64", "64x64")


def techniques(*, descriptors: bool, half: bool) -> tuple[Technique, ...]:
    """`descriptors`: the device has a tensor copy engine. `half`: inputs are float16, so that float16 sums exist."""
    return (*_tiles(), *_PIPELINE, *((_DESCRIPTORS,) if descriptors else ()), *((_HALF,) if half else ()), *_ORDER, *_split())


def _tiles() -> Iterable[Technique]:
    for tile, gain, regime in (
        ("16x64", 0.1, "small"), ("32x64", 0.1, "small"), ("64x128", 0.2, "large"), ("128x128", 0.4, "large"),
        ("128x256", 0.5, "large"), ("256x128", 0.4, "large"),
    ):  # fmt: skip
        yield Technique(
            id="tile", target="tile", parameter=tile, sets={"tile": tile},
            needs={"tile": ("64x64",), **({} if tile in SMALL else {"split": (1,)})},
            intent=f"{tile.replace('x', ' rows by ')} columns of C for each program",
            rationale="A large tile reads each operand less often; a small one wastes less on few rows and fills more multiprocessors.",
            gain_mean=gain, gain_sd=0.4, p_success=0.9, difficulty=1, regime=regime,
        )


_PIPELINE = (
    *(
        Technique(
            id="depth", target="loop", parameter=f"elements={depth}", sets={"depth": depth}, needs={"depth": (32,)},
            intent=f"{depth} elements of the inner axis for each product",
            rationale="Fewer turns of the loop and whole 128-byte lines for each row, at twice the shared memory.",
            gain_mean=gain, gain_sd=0.2, p_success=p, difficulty=1,
        )
        for depth, gain, p in ((64, 0.25, 0.9), (128, 0.15, 0.75))
    ),
    *(
        Technique(
            id="pipeline", target="loop", parameter=f"stages={stages}", sets={"stages": stages}, needs={"stages": (1,)},
            intent=f"load operands {stages - 1} turns ahead",
            rationale="Loads hide behind products; every stage takes a tile of both operands in shared memory.",
            gain_mean=gain, gain_sd=0.3, p_success=p, difficulty=1,
        )
        for stages, gain, p in ((2, 0.2, 0.95), (3, 0.5, 0.9), (4, 0.55, 0.8), (5, 0.5, 0.65))
    ),
    Technique(
        id="warps", target="program", parameter="warps=8", sets={"warps": 8}, needs={"warps": (4,), "tile": (*LARGE, "64x128")},
        intent="8 warps for each program", rationale="A large tile's sums don't fit the registers of four warps.",
        gain_mean=0.3, gain_sd=0.3, p_success=0.95, difficulty=1, regime="large",
    ),
)

_DESCRIPTORS = Technique(
    id="descriptors", target="operands", sets={"operands": "descriptors"}, needs={"operands": ("pointers",)},
    intent="load operands by tensor descriptors",
    rationale="The tensor copy engine computes addresses, masks and the shared-memory layout: no instructions, no registers.",
    gain_mean=0.15, gain_sd=0.3, p_success=0.85, difficulty=2,
)

_HALF = Technique(
    id="half_sums", target="products", sets={"sums": "float16"}, needs={"sums": ("float32",), "split": (1,)},
    intent="sum each turn's products in float16, turns in float32",
    rationale="Half the accumulator registers; the rounding of short sums may be tolerable.",
    gain_mean=0.1, gain_sd=0.3, p_success=0.4, difficulty=1,
)

_ORDER = (
    Technique(
        id="grouped_order", target="tiles", sets={"order": "grouped"}, needs={"order": ("rows",), "tile": LARGE},
        intent="go through tiles in groups of eight rows",
        rationale="Tiles in flight together then share operands that are still in the second-level cache.",
        gain_mean=0.05, gain_sd=0.1, p_success=0.95, difficulty=1, regime="large",
    ),
    Technique(
        id="persistent", target="grid", sets={"grid": "persistent"}, needs={"grid": ("tiles",), "tile": LARGE, "split": (1,)},
        intent="132 programs, each taking every 132nd tile", rationale="No programs to start; the last wave isn't partly empty by chance.",
        gain_mean=0.0, gain_sd=0.15, p_success=0.9, difficulty=2, regime="large",
    ),
)


def _split() -> Iterable[Technique]:
    for parts in (4, 8):
        yield Technique(
            id="split_inner", target="inner axis", parameter=f"parts={parts}", sets={"split": parts},
            needs={"split": (1,), "tile": SMALL, "sums": ("float32",), "grid": ("tiles",)},
            intent=f"{parts} programs for each tile, each over its part of the inner axis",
            rationale="With few rows there are too few tiles to fill the device, and B must stream in from memory.",
            gain_mean=0.3, gain_sd=0.4, p_success=0.9, difficulty=2, regime="small",
        )
    yield Technique(
        id="atomic_sums", target="inner axis", sets={"combine": "atomic"}, needs={"split": (4, 8), "combine": ("parts",)},
        intent="add parts up by atomic additions",
        rationale="One copy of C in float32 in place of one for each part; it must be cleared first.",
        gain_mean=0.0, gain_sd=0.2, p_success=0.9, difficulty=1, regime="small",
    )
