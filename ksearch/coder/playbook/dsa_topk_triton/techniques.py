"""The space as data. Gains are engineering guesses in natural-log speed-up, revised by what a search measures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from ksearch.worldmodel.catalogue import Technique, Value

DEFAULTS: Mapping[str, Value] = MappingProxyType({
    "language": "triton",
    "short_rows": "scored",    # rows of at most topk tokens: scored | mapped without scores
    "short_shapes": "scored",  # batches in which no row can be longer: scored | mapped by one launch
    "short_block": 2048,       # output slots for each program of that launch; its warps
    "short_warps": 4,
    "tail": "scored",          # tiles past a row's length: scored and dropped | skipped
    "scale": "keys",           # a key's scale multiplies the key | the sum
    "dot": "ieee",             # ieee | tf32 | f16 | fp8
    "operands": "heads",       # rows of the product: heads | tokens
    "loads": "cached",         # cached | streamed
    "tile": 64,                # tokens for each product; tiles for each program
    "tiles": 1,
    "score_warps": 4,
    "score_stages": 1,
    "stored": "score",         # scratch holds scores | ordered keys
    "row": "streamed",         # selection reads the row again for each count | holds it in registers
    "chunk": 1024,             # keys read at once
    "search": "bits",          # bits | range | pairs | radix | sort
    "digit_bits": 8,           # of the radix search
    "stop": "full",            # full | exact
    "ranks": "two",            # running counts: two scans | packed into one
    "mapping": "serial",       # a launch with one program a row | one a chunk | none: fused with the selection
    "map_chunk": 1024,
    "select_warps": 4,
})

COUNTING: tuple[Value, ...] = ("bits", "range", "pairs", "radix")
"""Searches for a bound; a sort has no use for what refines them."""
LARGE_TILE_DOTS: Mapping[int, tuple[Value, ...]] = MappingProxyType({128: ("tf32", "f16", "fp8"), 256: ("f16", "fp8")})
"""Products without tensor cores unroll to a megabyte of code; float32 operands of 256 tokens don't fit shared memory."""
UNSCALED = {"scale": ("sums",)}


def techniques(topk: int) -> tuple[Technique, ...]:
    """`topk` bounds the blocks of the launch for short shapes."""
    return (*_SHORT, *_short_blocks(topk), *_SCORING, *_tiles(), *_SELECTION, *_MAPPING, *_warps())


_SHORT = (
    Technique(
        id="map_short_rows", target="rows", sets={"short_rows": "mapped"}, needs={"short_rows": ("scored",)},
        intent="rows of at most topk tokens take all their tokens, unscored",
        rationale="Any order is right when everything is chosen; the length is known on the device.",
        gain_mean=0.6, gain_sd=0.5, p_success=0.95, difficulty=1, regime="short",
    ),
    Technique(
        id="one_launch", target="short_shapes", sets={"short_shapes": "mapped"}, needs={"short_shapes": ("scored",)},
        intent="one mapping launch when the block table is too narrow for a long row",
        rationale="The shape alone proves that every row is short, without reading a length on the host: two launches fewer.",
        gain_mean=0.9, gain_sd=0.5, p_success=0.95, difficulty=1, regime="short",
    ),
)


def _short_blocks(topk: int) -> Iterable[Technique]:
    needs = {"short_shapes": ("mapped",)}
    for block in (256, 512, 1024):
        if block < topk:
            yield Technique(
                id="short_block", target="short_shapes", parameter=f"block={block}", sets={"short_block": block},
                needs={**needs, "short_block": (DEFAULTS["short_block"],)},
                intent=f"{block} output slots for each program",
                rationale="More programs share a row: latency, not bandwidth, is what it waits for.",
                gain_mean=0.05, gain_sd=0.1, p_success=0.95, difficulty=1, regime="short",
            )
    for warps in (1, 2, 8):
        yield Technique(
            id="short_warps", target="short_shapes", parameter=f"warps={warps}", sets={"short_warps": warps},
            needs={**needs, "short_warps": (DEFAULTS["short_warps"],)},
            intent=f"{warps} warps for each program of the mapping launch",
            rationale="Trades stores for each thread against threads to start.",
            gain_mean=0.02, gain_sd=0.08, p_success=0.95, difficulty=1, regime="short",
        )


def _dot(kind: str, intent: str, rationale: str, gain: float, before: tuple[Value, ...], p_success: float = 0.9) -> Technique:
    return Technique(
        id="tensor_cores", target="products", parameter=kind, sets={"dot": kind}, needs={**UNSCALED, "dot": before},
        intent=intent, rationale=rationale, gain_mean=gain, gain_sd=0.4, p_success=p_success, difficulty=1,
    )


_EXACT = "Every e4m3 value is exact in it, and so is every product in float32."

_SCORING = (
    Technique(
        id="skip_tail", target="tiles", sets={"tail": "skipped"}, needs={"tail": ("scored",)},
        intent="programs past the end of their row return at once", rationale="The grid covers the longest row the table could hold.",
        gain_mean=0.1, gain_sd=0.15, p_success=0.95, difficulty=1,
    ),
    Technique(
        id="scale_sums", target="dequantisation", sets={"scale": "sums"}, needs={"scale": ("keys",)},
        intent="multiply each token's sum by its scale, not each of its key's elements",
        rationale="Scales are positive, so they pass through the ReLU and the sum; the bytes stay exact in narrow types.",
        gain_mean=0.1, gain_sd=0.15, p_success=0.95, difficulty=1,
    ),
    _dot("tf32", "tensor cores on float32 operands", _EXACT, 0.4, ("ieee",)),
    _dot("f16", "tensor cores on float16 operands", _EXACT, 0.5, ("ieee", "tf32")),
    _dot(
        "fp8", "products of the bytes as they are", "No conversion at all and half the shared memory; accumulation is a little coarser.",
        0.6, ("ieee", "tf32", "f16"), p_success=0.85,
    ),
    Technique(
        id="tokens_first", target="products", sets={"operands": "tokens"}, needs={"operands": ("heads",)},
        intent="tokens as the rows of the product, heads as its columns",
        rationale="The sum over heads then runs within a warp's own fragment rather than across warps.",
        gain_mean=0.08, gain_sd=0.15, p_success=0.9, difficulty=1,
    ),
    Technique(
        id="stream_keys", target="loads", sets={"loads": "streamed"}, needs={"loads": ("cached",)},
        intent="load keys with evict-first", rationale="Each is read once; queries and tables may stay.",
        gain_mean=0.0, gain_sd=0.05, p_success=0.95, difficulty=1,
    ),
    Technique(
        id="store_keys", target="scratch", sets={"stored": "ordered"}, needs={"stored": ("score",)},
        intent="store sortable integers in place of scores",
        rationale="The conversion is done once for each token, not in every pass of the selection.",
        gain_mean=0.05, gain_sd=0.08, p_success=0.95, difficulty=1, regime="long",
    ),
)


def _tiles() -> Iterable[Technique]:
    for tile in (32, 128, 256):
        needs = {"tile": (64,), **({"dot": LARGE_TILE_DOTS[tile]} if tile in LARGE_TILE_DOTS else {})}
        yield Technique(
            id="tile", target="tiles", parameter=f"tokens={tile}", sets={"tile": tile}, needs=needs,
            intent=f"{tile} tokens for each product",
            rationale="Small tiles spread one long row over more multiprocessors; large ones amortise the queries.",
            gain_mean=0.0, gain_sd=0.2, p_success=0.9, difficulty=1,
        )
    for tiles in (2, 4, 8):
        yield Technique(
            id="tiles_per_program", target="tiles", parameter=f"tiles={tiles}", sets={"tiles": tiles}, needs={"tiles": (1,)},
            intent=f"{tiles} tiles for each program", rationale="The queries are loaded once for all of them; fewer programs share a row.",
            gain_mean=-0.05, gain_sd=0.2, p_success=0.95, difficulty=1,
        )
    for stages in (2, 3, 4):
        yield Technique(
            id="pipeline", target="tiles", parameter=f"stages={stages}", sets={"score_stages": stages},
            needs={"tiles": (2, 4, 8), "score_stages": (1,), "tile": (32, 64, 128)},
            intent=f"load keys {stages - 1} tiles ahead", rationale="A tile's product hides behind the next one's loads.",
            gain_mean=0.1, gain_sd=0.15, p_success=0.85, difficulty=2,
        )


_SELECTION = (
    Technique(
        id="resident_row", target="selection", sets={"row": "resident"}, needs={"row": ("streamed",)},
        intent="hold the row's keys in registers", rationale="Every count is then arithmetic and one reduction, with no pass over memory.",
        gain_mean=0.6, gain_sd=0.4, p_success=0.9, difficulty=2, regime="long",
    ),
    *(
        Technique(
            id="chunk", target="selection", parameter=f"keys={chunk}", sets={"chunk": chunk},
            needs={"row": ("streamed",), "chunk": (1024,)},
            intent=f"{chunk} keys for each read of the row", rationale="More loads in flight for each turn of the loop.",
            gain_mean=0.2, gain_sd=0.2, p_success=0.95, difficulty=1, regime="long",
        )
        for chunk in (2048, 4096)
    ),
    Technique(
        id="search", target="selection", parameter="range", sets={"search": "range"}, needs={"search": ("bits",)},
        intent="halve the range between the row's extremes", rationale="Scores of one row share their leading bits: fewer rounds than 32.",
        gain_mean=0.15, gain_sd=0.15, p_success=0.95, difficulty=1, regime="long",
    ),
    Technique(
        id="search", target="selection", parameter="pairs", sets={"search": "pairs"}, needs={"search": ("bits",)},
        intent="two bits a round, three counts packed into one sum", rationale="A round costs its reduction's latency: half the rounds.",
        gain_mean=0.35, gain_sd=0.25, p_success=0.9, difficulty=2, regime="long",
    ),
    *(
        Technique(
            id="search", target="selection", parameter=f"radix{bits}", sets={"search": "radix", "digit_bits": bits},
            needs={"search": ("bits",)}, intent=f"counts of digits of {bits} bits: {32 // bits} rounds",
            rationale="Each round is a histogram in shared memory and a scan of its bins.",
            gain_mean=0.3, gain_sd=0.4, p_success=0.85, difficulty=3, regime="long",
        )
        for bits in (4, 8)
    ),
    Technique(
        id="search", target="selection", parameter="sort", sets={"search": "sort"},
        needs={"search": ("bits",), "row": ("resident",), "mapping": ("fused",)},
        intent="sort the row, keys packed with token numbers, and take its head",
        rationale="No counting, no ties, no places to share out; but the network grows faster than the row and is slow to compile.",
        gain_mean=-0.3, gain_sd=0.5, p_success=0.75, difficulty=2, regime="long",
    ),
    Technique(
        id="stop_when_exact", target="selection", sets={"stop": "exact"}, needs={"stop": ("full",), "search": COUNTING},
        intent="stop as soon as exactly topk keys reach the bound", rationale="The bound needn't be a key: the last bits seldom matter.",
        gain_mean=0.2, gain_sd=0.15, p_success=0.95, difficulty=1, regime="long",
    ),
)

_MAPPING = (
    Technique(
        id="map_by_chunks", target="mapping", parameter="chunks", sets={"mapping": "chunks"}, needs={"mapping": ("serial",)},
        intent="one program for each chunk of a row, places shared out by atomic counters",
        rationale="Order is free, so chunks needn't wait for each other.",
        gain_mean=0.2, gain_sd=0.2, p_success=0.9, difficulty=2, regime="long",
    ),
    *(
        Technique(
            id="map_chunk", target="mapping", parameter=f"keys={chunk}", sets={"map_chunk": chunk},
            needs={"mapping": ("chunks",), "map_chunk": (1024,)}, intent=f"{chunk} keys for each program of the mapping launch",

            rationale="Shorter scans, more programs and more atomics.",
            gain_mean=0.02, gain_sd=0.05, p_success=0.95, difficulty=1, regime="long",
        )
        for chunk in (256, 512)
    ),
    Technique(
        id="fuse_mapping", target="mapping", parameter="fused", sets={"mapping": "fused"}, needs={"mapping": ("serial", "chunks")},
        intent="write the indices in the selection kernel", rationale="One launch fewer, and a resident row isn't read again.",
        gain_mean=0.35, gain_sd=0.25, p_success=0.9, difficulty=2, regime="long",
    ),
    Technique(
        id="one_scan", target="mapping", sets={"ranks": "packed"}, needs={"ranks": ("two",), "search": COUNTING},
        intent="both running counts in one scan of 64-bit values",
        rationale="A scan across warps waits at barriers; its width hardly matters.",
        gain_mean=0.05, gain_sd=0.08, p_success=0.95, difficulty=1, regime="long",
    ),
)


def _warps() -> Iterable[Technique]:
    for warps in (2, 8):
        yield Technique(
            id="score_warps", target="scoring", parameter=f"warps={warps}", sets={"score_warps": warps}, needs={"score_warps": (4,)},
            intent=f"{warps} warps for each scoring program", rationale="Loads in flight against the cost of the sum across warps.",
            gain_mean=0.0, gain_sd=0.15, p_success=0.9, difficulty=1,
        )
    for warps, gain in ((8, 0.25), (16, 0.35), (32, 0.35)):
        yield Technique(
            id="select_warps", target="selection", parameter=f"warps={warps}", sets={"select_warps": warps}, needs={"select_warps": (4,)},
            intent=f"{warps} warps for each row's selection",
            rationale="One program holds a row: only its warps divide the work of a pass.",
            gain_mean=gain, gain_sd=0.2, p_success=0.95, difficulty=1, regime="long",
        )
