"""The space as data. Gains are engineering guesses in natural-log speed-up, revised by what a search measures."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ksearch.coder.types import Target
from ksearch.worldmodel.catalogue import Technique, Value

DEFAULTS: Mapping[str, Value] = MappingProxyType({
    "short": "none",        # rows that fit topk need no scores: none | row | host (also a launch of their own)
    "fill": "element",      # stores of a short row: element | vector
    "short_threads": 512,   # of a block of the short rows' own launch
    "mapping": "pass",      # tokens to indices: a pass of its own | fused
    "dots": "scalar",       # scalar | mma16 | mma8 | wgmma
    "relu": "max",          # max | abs (tensor-core scoring)
    "select": "rank",       # rank | bisect | radix | linear: in one block
    "block": 256,           # threads of the selecting block (kernels)
    "launch": "kernels",    # a kernel for each step | one cluster kernel (so are all below)
    "overlap": "off",       # of successive kernels (kernels)
    "share": "leader",      # selection by one block | by all blocks of the cluster
    "loads": "direct",      # pages to registers | tile (bulk copies to shared memory)
    "in_flight": 1,         # pages a warpgroup loads at once (direct)
    "table": "chained",     # block table after the lengths | early (along with them)
    "opening": "full",      # first cluster barrier: full | relaxed
    "signal": "barrier",    # exchanges end at a cluster barrier | async (counted bytes)
    "cluster": 16,          # blocks
    "groups": 4,            # warpgroups of a block
    "clusters": 1024,       # at most
    "bins": 128,            # of the shared histogram
})

RETREATS = ("bins", "clusters", "in_flight", "groups", "cluster", "signal", "opening", "table", "overlap", "relu", "loads", "fill")
"""Entries a repair may set back to their plainest value, the likeliest culprit first. (Back to the plainest `loads` is
possible from everywhere; back to the plainest `launch` or `dots` is another plan.)"""

KERNELS: Mapping[str, tuple[Value, ...]] = {"launch": ("kernels",)}
CLUSTER: Mapping[str, tuple[Value, ...]] = {"launch": ("cluster",)}
TENSOR = ("mma16", "mma8", "wgmma")
BLOCKWISE = ("bisect", "radix", "linear")


def techniques(target: Target) -> tuple[Technique, ...]:
    """All but wgmma compile for every covered architecture; that instruction is Hopper's alone."""
    hopper = (target.arch or "").startswith("sm_90")
    return (*_SHORT, *_DOTS, *((_WGMMA,) if hopper else ()), *_SELECTION, *_LAUNCHES, *_CLUSTER)


_SHORT = (
    Technique(
        id="skip_short", target="scoring", parameter="row", sets={"short": "row"}, needs={"short": ("none",)},
        intent="answer rows that fit topk without scores",
        rationale="With seq_len <= topk every valid token is chosen whatever its score; most rows are short.",
        gain_mean=0.5, gain_sd=0.5, p_success=0.95, difficulty=1, regime="all-short",
    ),
    Technique(
        id="skip_short", target="scoring", parameter="host", sets={"short": "host"}, needs={"short": ("none", "row")},
        intent="one light launch when the table's width shows that every row is short",
        rationale="max_num_pages * page_size <= topk is known on the host: such a batch needs one launch and no shared memory.",
        gain_mean=0.9, gain_sd=0.5, p_success=0.95, difficulty=1, regime="all-short",
    ),
    Technique(
        id="vector_stores", target="short rows", sets={"fill": "vector"}, needs={"short": ("row", "host"), "fill": ("element",)},
        intent="write four indices a store", rationale="A quarter of the loads, tests and stores for each row.",
        gain_mean=0.05, gain_sd=0.1, p_success=0.95, difficulty=1, regime="all-short",
    ),
    *(
        Technique(
            id="short_block", target="short rows", parameter=f"threads={threads}", sets={"short_threads": threads},
            needs={"short": ("host",), "short_threads": (512,)},
            intent=f"{threads} threads a block in the short rows' launch",
            rationale="More, smaller blocks spread a row over the chip and start sooner.",
            gain_mean=0.02, gain_sd=0.05, p_success=0.95, difficulty=1, regime="all-short",
        )
        for threads in (256, 128)
    ),
    Technique(
        id="fuse_mapping", target="mapping", sets={"mapping": "fused"}, needs={"mapping": ("pass",)},
        intent="turn tokens into global indices as they are chosen",
        rationale="Saves a launch with its gap, and a read and a write of the output.",
        gain_mean=0.2, gain_sd=0.15, p_success=0.95, difficulty=1,
    ),
)

_DOTS = (
    Technique(
        id="score", target="dot products", parameter="mma16", sets={"dots": "mma16"}, needs={"dots": ("scalar",)},
        intent="tensor cores on keys widened to float16",
        rationale="float16 holds every fp8 value exactly; 16x8x16 products replace 2048 multiply-adds each.",
        gain_mean=0.4, gain_sd=0.3, p_success=0.9, difficulty=2, regime="long",
    ),
    Technique(
        id="score", target="dot products", parameter="mma8", sets={"dots": "mma8"}, needs={"dots": ("scalar", "mma16")},
        intent="fp8 tensor-core products of 16x8x32",
        rationale="No widening, half the instructions of float16; keys go from memory to operand registers unshuffled.",
        gain_mean=0.5, gain_sd=0.3, p_success=0.9, difficulty=2, regime="long",
    ),
)

_WGMMA = Technique(
    id="score", target="dot products", parameter="wgmma", sets={"dots": "wgmma"}, needs={"dots": ("scalar", "mma16", "mma8")},
    intent="one warpgroup product of 64 tokens by 64 heads for each page",
    rationale="Hopper's full fp8 rate, four instructions a page, the query read from shared memory once for 64 tokens.",
    gain_mean=0.55, gain_sd=0.3, p_success=0.85, difficulty=3, regime="long",
)

_SELECTION = (
    Technique(
        id="select", target="selection", parameter="bisect", sets={"select": "bisect"}, needs={"select": ("rank",), **KERNELS},
        intent="find the topk-th key bit by bit, a block a row",
        rationale="32 counts of the row in place of a comparison of every pair of tokens.",
        gain_mean=0.6, gain_sd=0.5, p_success=0.95, difficulty=2, regime="long",
    ),
    Technique(
        id="select", target="selection", parameter="radix", sets={"select": "radix"},
        needs={"select": ("rank", "bisect"), "share": ("leader",)},
        intent="find the topk-th key by three histograms of its digits",
        rationale="Three passes, each a shared-memory histogram and a scan, in place of 32 counts.",
        gain_mean=0.8, gain_sd=0.5, p_success=0.9, difficulty=3, regime="long",
    ),
    Technique(
        id="select", target="selection", parameter="linear", sets={"select": "linear"},
        needs={"select": ("rank", "bisect", "radix"), "share": ("leader",)},
        intent="one histogram between the row's extremes, its crucial bin ranked pairwise",
        rationale="Scores are spread about evenly near the cut, so one of 2048 bins holds a handful: one pass less than three.",
        gain_mean=0.85, gain_sd=0.5, p_success=0.85, difficulty=3, regime="long",
    ),
    *(
        Technique(
            id="block", target="selection", parameter=f"threads={threads}", sets={"block": threads},
            needs={**KERNELS, "select": BLOCKWISE, "block": (256,)},
            intent=f"{threads} threads in the selecting block",
            rationale="A row's selection has one block: more warps hide its latencies until barriers dominate.",
            gain_mean=0.15, gain_sd=0.2, p_success=0.95, difficulty=1, regime="long",
        )
        for threads in (512, 1024)
    ),
)

_LAUNCHES = (
    Technique(
        id="overlap_launches", target="launch", sets={"overlap": "on"}, needs={**KERNELS, "overlap": ("off",)},
        intent="programmatic dependent launch of successive kernels",
        rationale="The next kernel's blocks are in place when the one before ends: about a microsecond less for each boundary.",
        gain_mean=0.15, gain_sd=0.15, p_success=0.9, difficulty=2,
    ),
    Technique(
        id="one_launch", target="launch", parameter="cluster", sets={"launch": "cluster"},
        needs={**KERNELS, "short": ("row", "host"), "mapping": ("fused",), "dots": TENSOR, "select": BLOCKWISE, "overlap": ("off",)},
        intent="one kernel: a cluster of blocks for each long row, scores through distributed shared memory",
        rationale="No gap between kernels and no round trip of scores through memory; short rows cost their cluster nothing.",
        gain_mean=0.6, gain_sd=0.4, p_success=0.8, difficulty=4,
    ),
)

_CLUSTER = (
    Technique(
        id="share_selection", target="selection", sets={"share": "all"}, needs={**CLUSTER, "share": ("leader",)},
        intent="every block selects among its own tokens; histograms and crucial keys are exchanged",
        rationale="One block's four schedulers are the bottleneck of a row's selection; sixteen share it for two short exchanges.",
        gain_mean=0.35, gain_sd=0.3, p_success=0.7, difficulty=5, regime="long",
    ),
    Technique(
        id="bulk_copies", target="pages", sets={"loads": "tile"}, needs={**CLUSTER, "loads": ("direct",)},
        intent="whole pages to shared memory by the tensor copy engine",
        rationale="One instruction a page frees the load pipe of 16-byte requests, and all pages are in flight at once.",
        gain_mean=0.15, gain_sd=0.25, p_success=0.75, difficulty=4, regime="long",
    ),
    *(
        Technique(
            id="in_flight", target="pages", parameter=f"pages={pages}", sets={"in_flight": pages},
            needs={**CLUSTER, "loads": ("direct",), "in_flight": (1,)},
            intent=f"{pages} pages in flight for each warpgroup",
            rationale="A page is one memory latency; rounds of them add up on the longest rows.",
            gain_mean=0.12, gain_sd=0.12, p_success=0.9, difficulty=2, regime="long",
        )
        for pages in (2, 3)
    ),
    Technique(
        id="early_table", target="block table", sets={"table": "early"}, needs={**CLUSTER, "table": ("chained",)},
        intent="read the block table along with the lengths, before the long row is known",
        rationale="Takes one of three dependent memory latencies off the long row's path.",
        gain_mean=0.12, gain_sd=0.1, p_success=0.9, difficulty=2, regime="long",
    ),
    Technique(
        id="relax_opening", target="synchronisation", sets={"opening": "relaxed"}, needs={**CLUSTER, "opening": ("full",)},
        intent="no memory ordering at the first cluster barrier",
        rationale="Its release waits for all loads in flight, which are the kernel's first; only presence is needed there.",
        gain_mean=0.08, gain_sd=0.1, p_success=0.9, difficulty=2, regime="long",
    ),
    Technique(
        id="async_exchange", target="synchronisation", sets={"signal": "async"},
        needs={**CLUSTER, "share": ("all",), "signal": ("barrier",)},
        intent="asynchronous remote stores that count bytes on the receiver's barrier",
        rationale="A cluster barrier costs some 0.2 us and orders everything; a counted store orders just what it carries.",
        gain_mean=0.08, gain_sd=0.08, p_success=0.8, difficulty=4, regime="long",
    ),
    Technique(
        id="cluster_size", target="cluster", parameter="blocks=8", sets={"cluster": 8}, needs={**CLUSTER, "cluster": (16,)},
        intent="eight blocks a cluster, the portable size",
        rationale="Half the parties to each exchange and easier to place, against half the bandwidth and tensor cores for a row.",
        gain_mean=-0.03, gain_sd=0.15, p_success=0.9, difficulty=1, regime="long",
    ),
    *(
        Technique(
            id="groups", target="cluster", parameter=f"warpgroups={groups}", sets={"groups": groups},
            needs={**CLUSTER, "groups": (4,)},
            intent=f"{groups} warpgroups a block",
            rationale="Each barrier and redundant step costs fewer issue slots; fewer pages are scored side by side.",
            gain_mean=0.0, gain_sd=0.1, p_success=0.9, difficulty=1, regime="long",
        )
        for groups in (2, 3)
    ),
    *(
        Technique(
            id="persist", target="cluster", parameter=f"clusters={clusters}", sets={"clusters": clusters},
            needs={**CLUSTER, "clusters": (1024,)},
            intent=f"at most {clusters} clusters, taking long rows in turn",
            rationale="Fewer blocks to start and none that waits for a place; short rows spread over all of them.",
            gain_mean=0.1, gain_sd=0.15, p_success=0.9, difficulty=2,
        )
        for clusters in (4, 8)
    ),
    Technique(
        id="relu_by_abs", target="dot products", sets={"relu": "abs"}, needs={"dots": TENSOR, "relu": ("max",)},
        intent="relu as x + |x|, the weights halved",
        rationale="An addition runs at twice the rate of a maximum; a third of the scoring's instructions are maxima.",
        gain_mean=0.03, gain_sd=0.05, p_success=0.95, difficulty=1, regime="long",
    ),
    Technique(
        id="bins", target="selection", parameter="bins=256", sets={"bins": 256}, needs={**CLUSTER, "share": ("all",), "bins": (128,)},
        intent="256 bins in the shared histogram",
        rationale="Half the tokens in the crucial bin to rank, twice the histogram to exchange.",
        gain_mean=0.0, gain_sd=0.06, p_success=0.9, difficulty=1, regime="long",
    ),
)
