"""The space as data. Gains are engineering guesses in natural-log speed-up, revised by what a search measures."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ksearch.coder.types import Target
from ksearch.worldmodel.catalogue import Technique, Value

DEFAULTS: Mapping[str, Value] = MappingProxyType({
    "language": "python",    # python | cpp
    "short": "none",         # rows that fit topk need no scores: none | all (whole batch) | row
    "gather": "cache",       # decode the whole cache | only the pages in use
    "batching": "request",   # request | batch (python)
    "decode": "cast",        # cast | table | bits | permute (cpp, bfloat16 keys)
    "scale": "key",          # multiply keys | scores by the scale
    "reduce": "sum",         # heads: sum | matmul (python)
    "top": "sort",           # sort | topk | unsorted (python)
    "mapping": "divmod",     # positions to indices: divmod (a pass of its own) | fused
    "score": "simd",         # simd | heads | bf16 | amx (cpp; so are all below)
    "staging": "staged",     # keys of a row: staged in memory | fused with scoring
    "block": 64,             # tokens decoded and scored at once
    "tile": 1,               # tokens held in registers at once
    "tiles": "1x4",          # AMX accumulators: token tiles by head tiles
    "lanes": "each",         # last sum over lanes: each token | tree of sixteen
    "select": "sort",        # sort | nth | packed | radix | linear
    "bins": 1024,            # of the linear histogram
    "emit": "branch",        # branch | branchless | compress
    "fill": "element",       # short rows: element | runs
    "scratch": "heap",       # heap | kept
    "prefetch": 0,           # pages ahead
    "threads": 1,
})

PYTHON = {"language": ("python",)}
CPP = {"language": ("cpp",)}
IN_LANES = {**CPP, "score": ("heads", "bf16", "amx")}
HISTOGRAM = {**CPP, "select": ("radix", "linear")}


def techniques(target: Target) -> tuple[Technique, ...]:
    """All that the target's languages and threads allow."""
    native = "cpp" in target.languages
    threads = (_threads(target.threads),) if target.threads > 1 else ()
    return (*_ANY, *_PYTHON, *((_REWRITE, *_SCORING, *_SELECTION, *_MEMORY, *threads) if native else ()))


_ANY = (
    Technique(
        id="skip_short", target="scoring", parameter="all", sets={"short": "all"}, needs={"short": ("none",)},
        intent="answer without scores when every request fits topk", regime="all-short",
        rationale="With seq_len <= topk every valid token is chosen whatever its score; most batches are all short.",
        gain_mean=1.0, gain_sd=0.8, p_success=0.95, difficulty=1,
    ),
    Technique(
        id="skip_short", target="scoring", parameter="row", sets={"short": "row"}, needs={"short": ("none", "all")},
        intent="answer each request that fits topk without scores",
        rationale="Also serves the short requests that share a batch with a long one.",
        gain_mean=1.2, gain_sd=0.8, p_success=0.95, difficulty=1,
    ),
    Technique(
        id="decode", target="fp8", parameter="table", sets={"decode": "table"}, needs={"decode": ("cast",)},
        intent="decode fp8 through a 256-entry table", rationale="One load replaces the bit arithmetic of a conversion.",
        gain_mean=0.1, gain_sd=0.4, p_success=0.9, difficulty=1,
    ),
    Technique(
        id="decode", target="fp8", parameter="bits", sets={"decode": "bits"}, needs={"decode": ("cast",)},
        intent="decode fp8 by shifting its fields into a wider float",
        rationale="e4m3's fields shifted into float16 or float32 are the same number up to a power of two; it vectorises.",
        gain_mean=0.15, gain_sd=0.4, p_success=0.9, difficulty=2,
    ),
    Technique(
        id="fold_scale", target="scoring", sets={"scale": "score"}, needs={"scale": ("key",)},
        intent="multiply the score, not the key, by the token's scale",
        rationale="relu(s x) = s relu(x) for s > 0: one product for each token in place of one for each dimension.",
        gain_mean=0.15, gain_sd=0.2, p_success=0.95, difficulty=1,
    ),
    Technique(
        id="fuse_mapping", target="mapping", sets={"mapping": "fused"}, needs={"mapping": ("divmod",)},
        intent="turn positions into global indices as they are chosen",
        rationale="Saves a pass over the chosen positions with a division for each.",
        gain_mean=0.05, gain_sd=0.1, p_success=0.95, difficulty=1,
    ),
)

_PYTHON = (
    Technique(
        id="gather_pages", target="cache", sets={"gather": "pages"}, needs={**PYTHON, "gather": ("cache",)},
        intent="decode only the pages that the block table names",
        rationale="The cache holds thousands of pages, a request a few dozen.",
        gain_mean=2.5, gain_sd=1.0, p_success=0.95, difficulty=1,
    ),
    Technique(
        id="batch", target="requests", sets={"batching": "batch"},
        needs={**PYTHON, "gather": ("pages",), "batching": ("request",)},
        intent="score and select all requests at once, padded to the longest",
        rationale="One set of calls in place of one for each request; wasteful when one request is long.",
        gain_mean=0.3, gain_sd=0.6, p_success=0.85, difficulty=2,
    ),
    Technique(
        id="reduce_by_matmul", target="scoring", sets={"reduce": "matmul"}, needs={**PYTHON, "reduce": ("sum",)},
        intent="weigh and sum the heads by a matrix product, relu in place",
        rationale="Two passes over the logits and their temporaries become one.",
        gain_mean=0.15, gain_sd=0.2, p_success=0.95, difficulty=1,
    ),
    Technique(
        id="select", target="selection", parameter="topk", sets={"top": "topk"}, needs={**PYTHON, "top": ("sort",)},
        intent="torch.topk in place of a full sort", rationale="Selection needs no order below the cut.",
        gain_mean=0.2, gain_sd=0.3, p_success=0.95, difficulty=1,
    ),
    Technique(
        id="select", target="selection", parameter="topk-unsorted", sets={"top": "unsorted"},
        needs={**PYTHON, "top": ("sort", "topk")},
        intent="torch.topk without sorting its result", rationale="The order of the chosen indices is free.",
        gain_mean=0.25, gain_sd=0.3, p_success=0.95, difficulty=1,
    ),
)

_REWRITE = Technique(
    id="rewrite_in", target="language", parameter="cpp", sets={"language": "cpp"},
    needs={**PYTHON, "gather": ("pages",)},
    intent="rewrite in C++: one call, vectorised dot products",
    rationale="Removes a dozen framework calls for each request, each worth microseconds, and every temporary tensor.",
    gain_mean=1.5, gain_sd=1.0, p_success=0.9, difficulty=3,
)

_SCORING = (
    Technique(
        id="score", target="dot products", parameter="heads", sets={"score": "heads"}, needs={**CPP, "score": ("simd",)},
        intent="heads in the vector lanes, dimensions broadcast",
        rationale="No sum across lanes for each of 64 heads; a key element is loaded once for all of them.",
        gain_mean=0.5, gain_sd=0.4, p_success=0.9, difficulty=2, regime="long",
    ),
    Technique(
        id="score", target="dot products", parameter="bf16", sets={"score": "bf16", "scale": "score"},
        needs={**CPP, "score": ("simd", "heads")},
        intent="bfloat16 pair products with float32 sums, scales applied to the scores",
        rationale="fp8 values, unscaled, are exact in bfloat16, so nothing is lost; an AVX512-BF16 instruction takes two dimensions.",
        gain_mean=0.6, gain_sd=0.5, p_success=0.85, difficulty=3, regime="long",
    ),
    Technique(
        id="score", target="dot products", parameter="amx", sets={"score": "amx", "scale": "score"},
        needs={**CPP, "score": ("simd", "heads", "bf16")},
        intent="matrix tiles (AMX) in bfloat16 with float32 sums, scales applied to the scores",
        rationale="Eight times the products of a vector instruction each cycle where the processor has it; without it, as pairs.",
        gain_mean=1.2, gain_sd=0.8, p_success=0.75, difficulty=4, regime="long",
    ),
    Technique(
        id="decode", target="fp8", parameter="permute", sets={"decode": "permute"},
        needs={**CPP, "score": ("bf16", "amx"), "decode": ("cast", "table", "bits")},
        intent="decode 64 fp8 values by two byte permutations",
        rationale="The table of magnitudes fits four vector registers (AVX512-VBMI).",
        gain_mean=0.5, gain_sd=0.4, p_success=0.85, difficulty=3, regime="long",
    ),
    Technique(
        id="fuse_decode", target="scoring", sets={"staging": "fused"}, needs={**CPP, "staging": ("staged",)},
        intent="decode a block of tokens and score it at once",
        rationale="Decoded keys are two to four times the bytes of the codes and never leave the first-level cache.",
        gain_mean=0.3, gain_sd=0.3, p_success=0.95, difficulty=2, regime="long",
    ),
    *(
        Technique(
            id="token_block", target="scoring", parameter=f"block={block}", sets={"block": block},
            needs={**CPP, "staging": ("fused",), "block": (64,), **({"tiles": ("1x4",)} if block == 16 else {})},
            intent=f"decode and score {block} tokens at once",
            rationale="A smaller block leaves more of the first-level cache to the query.",
            gain_mean=0.02, gain_sd=0.1, p_success=0.95, difficulty=1, regime="long",
        )
        for block in (16, 32)
    ),
    *(
        Technique(
            id="register_tile", target="scoring", parameter=f"tile={tile}", sets={"tile": tile},
            needs={**CPP, "score": ("heads", "bf16"), "tile": (1,)},
            intent=f"keep {tile} tokens' logits in registers",
            rationale="Each load of the query serves several tokens, and independent sums hide the latency of addition.",
            gain_mean=gain, gain_sd=0.3, p_success=0.95, difficulty=2, regime="long",
        )
        for tile, gain in ((2, 0.3), (4, 0.5))
    ),
    Technique(
        id="amx_blocking", target="scoring", parameter="2x2", sets={"tiles": "2x2"},
        needs={**CPP, "score": ("amx",), "tiles": ("1x4",), "block": (32, 64)},
        intent="two token tiles by two head tiles", rationale="Four loads for four products in place of five, less pressure on loads.",
        gain_mean=0.05, gain_sd=0.15, p_success=0.9, difficulty=2, regime="long",
    ),
    Technique(
        id="tree_sum", target="scoring", sets={"lanes": "tree"}, needs={**IN_LANES, "lanes": ("each",)},
        intent="sum the lanes of sixteen tokens together",
        rationale="15 additions for sixteen tokens in place of 64, without a horizontal chain for each.",
        gain_mean=0.2, gain_sd=0.2, p_success=0.9, difficulty=2, regime="long",
    ),
)

_SELECTION = (
    Technique(
        id="select", target="selection", parameter="nth", sets={"select": "nth"}, needs={**CPP, "select": ("sort",)},
        intent="nth_element in place of a sort", rationale="Expected linear time, and no order is asked for.",
        gain_mean=0.4, gain_sd=0.3, p_success=0.95, difficulty=1, regime="long",
    ),
    Technique(
        id="select", target="selection", parameter="packed", sets={"select": "packed"}, needs={**CPP, "select": ("sort", "nth")},
        intent="nth_element over score and position packed in one integer",
        rationale="Comparisons work on consecutive memory, without an indirect load.",
        gain_mean=0.45, gain_sd=0.3, p_success=0.9, difficulty=2, regime="long",
    ),
    Technique(
        id="select", target="selection", parameter="radix", sets={"select": "radix"},
        needs={**CPP, "select": ("sort", "nth", "packed")},
        intent="find the cut by a radix histogram over the scores' bits",
        rationale="A few linear passes without unpredictable branches.",
        gain_mean=0.5, gain_sd=0.3, p_success=0.9, difficulty=3, regime="long",
    ),
    Technique(
        id="select", target="selection", parameter="linear", sets={"select": "linear"},
        needs={**CPP, "select": ("sort", "nth", "packed", "radix")},
        intent="find the cut by one histogram of equal steps",
        rationale="Scores spread over their range far more evenly than over their exponents: one pass leaves few candidates.",
        gain_mean=0.6, gain_sd=0.3, p_success=0.9, difficulty=3, regime="long",
    ),
    *(
        Technique(
            id="histogram_bins", target="selection", parameter=f"bins={bins}", sets={"bins": bins},
            needs={**CPP, "select": ("linear",), "bins": (1024,)},
            intent=f"{bins} bins", rationale="Fewer bins are cheaper to clear and scan, more leave fewer candidates.",
            gain_mean=0.01, gain_sd=0.05, p_success=0.95, difficulty=1, regime="long",
        )
        for bins in (256, 4096)
    ),
    Technique(
        id="emit", target="selection", parameter="branchless", sets={"emit": "branchless"}, needs={**HISTOGRAM, "emit": ("branch",)},
        intent="write chosen indices without branches",
        rationale="Which side of the cut a token falls on is unpredictable: each wrong guess costs some 15 cycles.",
        gain_mean=0.15, gain_sd=0.15, p_success=0.95, difficulty=2, regime="long",
    ),
    Technique(
        id="emit", target="selection", parameter="compress", sets={"emit": "compress"},
        needs={**HISTOGRAM, "emit": ("branch", "branchless")},
        intent="write chosen indices sixteen at a time by vector compression",
        rationale="One comparison and one masked store for sixteen tokens (AVX-512).",
        gain_mean=0.25, gain_sd=0.2, p_success=0.9, difficulty=3, regime="long",
    ),
)

_MEMORY = (
    Technique(
        id="fill_runs", target="output", sets={"fill": "runs"}, needs={**CPP, "short": ("all", "row"), "fill": ("element",)},
        intent="write short rows as one run for each page",
        rationale="Consecutive indices vectorise; a division for each token doesn't.",
        gain_mean=0.2, gain_sd=0.2, p_success=0.95, difficulty=1, regime="all-short",
    ),
    Technique(
        id="keep_scratch", target="memory", sets={"scratch": "kept"}, needs={**CPP, "scratch": ("heap",)},
        intent="keep scratch memory between calls",
        rationale="Fresh memory is cleared and its pages are faulted in on every call.",
        gain_mean=0.15, gain_sd=0.2, p_success=0.9, difficulty=1, regime="long",
    ),
    *(
        Technique(
            id="prefetch", target="memory", parameter=f"pages={ahead}", sets={"prefetch": ahead},
            needs={**CPP, "prefetch": (0,)},
            intent=f"fetch {ahead} page(s) ahead",
            rationale="Pages lie scattered over a cache larger than any near one; hardware prefetch stops at their ends.",
            gain_mean=0.1, gain_sd=0.15, p_success=0.95, difficulty=1, regime="long",
        )
        for ahead in (1, 2)
    ),
)


def _threads(count: int) -> Technique:
    return Technique(
        id="threads", target="scoring", parameter=f"threads={count}", sets={"threads": count}, needs={**CPP, "threads": (1,)},
        intent=f"cut a long row's pages over {count} threads",
        rationale="Scores of different pages are independent; starting a thread costs some ten microseconds.",
        gain_mean=0.3, gain_sd=0.4, p_success=0.85, difficulty=2, regime="long",
    )
