"""The space as data. Gains are engineering guesses in natural-log speed-up, revised by what a search measures."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ksearch.coder.types import Target
from ksearch.worldmodel.catalogue import Technique, Value

DEFAULTS: Mapping[str, Value] = MappingProxyType({
    "language": "python",   # python | cpp
    "op": "composed",       # composed | library (python; so are the next two)
    "squares": "pow",       # pow | norm
    "temporaries": "fresh", # fresh | reused
    "row": "again",         # second pass converts the row again | keeps it as floats (cpp; so are all below)
    "weights": "each",      # converted for each row | once
    "vector": "plain",      # plain | simd | lanes
    "sums": 1,              # independent vectors of sums
    "narrow": "bits",       # to bfloat16 by integer arithmetic | instruction
    "writes": "cached",     # cached | streamed
    "prefetch": False,
})

COMPOSED = {"language": ("python",), "op": ("composed",)}
CPP = {"language": ("cpp",)}
LANES = {**CPP, "vector": ("lanes",)}


def techniques(target: Target) -> tuple[Technique, ...]:
    return (*_PYTHON, *((_REWRITE, *_CPP) if "cpp" in target.languages else ()))


_PYTHON = (
    Technique(
        id="reuse_temporaries", target="temporaries", sets={"temporaries": "reused"}, needs={**COMPOSED, "temporaries": ("fresh",)},
        intent="multiply in place", rationale="Each temporary is a pass over memory and an allocation.",
        gain_mean=0.3, gain_sd=0.3, p_success=0.95, difficulty=1,
    ),
    Technique(
        id="norm_of_row", target="reduction", sets={"squares": "norm"}, needs={**COMPOSED, "squares": ("pow",)},
        intent="sum of squares by a vector norm", rationale="No squared copy of the rows.",
        gain_mean=0.2, gain_sd=0.3, p_success=0.9, difficulty=1,
    ),
    Technique(
        id="library_op", target="operator", sets={"op": "library"}, needs=COMPOSED,
        intent="torch's own rms_norm", rationale="One call in place of five.",
        gain_mean=0.2, gain_sd=0.5, p_success=0.85, difficulty=1,
    ),
)

_REWRITE = Technique(
    id="rewrite_in", target="language", parameter="cpp", sets={"language": "cpp"}, needs={"language": ("python",)},
    intent="rewrite in C++: one call, two loops over a row",
    rationale="Framework calls cost microseconds each, as much as a row, and every step between them a pass over memory.",
    gain_mean=1.0, gain_sd=1.0, p_success=0.9, difficulty=2,
)

_CPP = (
    Technique(
        id="vectorise", target="loops", parameter="simd", sets={"vector": "simd"}, needs={**CPP, "vector": ("plain",)},
        intent="let the compiler split the sum over lanes",
        rationale="Strict float order forbids it to vectorise a sum; a pragma permits it.",
        gain_mean=0.7, gain_sd=0.5, p_success=0.95, difficulty=1,
    ),
    Technique(
        id="vectorise", target="loops", parameter="lanes", sets={"vector": "lanes"}, needs={**CPP, "vector": ("plain", "simd")},
        intent="explicit vectors as wide as the machine's",
        rationale="Conversions widen and narrow whole vectors whatever the compiler recognises.",
        gain_mean=0.9, gain_sd=0.5, p_success=0.9, difficulty=2,
    ),
    Technique(
        id="widen_weights_once", target="weights", sets={"weights": "once"}, needs={**CPP, "weights": ("each",)},
        intent="convert the weights once for the call", rationale="Saves one conversion for each element of each row but the first.",
        gain_mean=0.1, gain_sd=0.15, p_success=0.95, difficulty=1,
    ),
    Technique(
        id="keep_row", target="row", sets={"row": "kept"}, needs={**CPP, "row": ("again",)},
        intent="keep the converted row for the second pass", rationale="Saves a conversion, at the price of a store and twice the bytes.",
        gain_mean=0.0, gain_sd=0.2, p_success=0.95, difficulty=1,
    ),
    *(
        Technique(
            id="independent_sums", target="reduction", parameter=f"sums={sums}", sets={"sums": sums}, needs={**LANES, "sums": (1,)},
            intent=f"{sums} independent vectors of sums", rationale="One chain of additions waits four cycles for each; several overlap.",
            gain_mean=0.2, gain_sd=0.2, p_success=0.95, difficulty=1,
        )
        for sums in (2, 4)
    ),
    Technique(
        id="narrow_instruction", target="conversion", sets={"narrow": "instruction"}, needs={**LANES, "narrow": ("bits",)},
        intent="round to bfloat16 by the processor's instruction (AVX512-BF16)",
        rationale="One instruction for six; it flushes subnormals, which lie far below any tolerance.",
        gain_mean=0.2, gain_sd=0.2, p_success=0.9, difficulty=2,
    ),
    Technique(
        id="stream_writes", target="output", sets={"writes": "streamed"}, needs={**LANES, "writes": ("cached",)},
        intent="write past the caches", rationale="Large outputs needn't be fetched before they are overwritten.",
        gain_mean=0.05, gain_sd=0.3, p_success=0.9, difficulty=2, regime="large",
    ),
    Technique(
        id="prefetch", target="input", sets={"prefetch": True}, needs={**CPP, "prefetch": (False,)},
        intent="fetch the next row while this one is normalised", rationale="The hardware restarts at every 4 KB page.",
        gain_mean=0.05, gain_sd=0.15, p_success=0.95, difficulty=1, regime="large",
    ),
)
