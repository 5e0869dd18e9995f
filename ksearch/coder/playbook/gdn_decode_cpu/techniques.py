"""The space as data. Gains are engineering guesses in natural-log speed-up, revised by what a search measures."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ksearch.coder.types import Target
from ksearch.worldmodel.catalogue import Technique, Value

DEFAULTS: Mapping[str, Value] = MappingProxyType({
    "language": "python",  # python | cpp
    "loop": "head",        # one step for each head | request | the whole batch (python)
    "update": "outer",     # outer | inplace (python)
    "dots": "sequential",  # S k, then S' q after the update | joint: both from the old state
    "sweeps": "four",      # passes over the state: four | two | row (cpp; so are all below)
    "vector": "plain",     # plain | simd | lanes
    "rows": 1,             # rows held at once
    "writes": "cached",    # cached | streamed
    "ahead": 0,            # rows fetched ahead
})

PYTHON = {"language": ("python",)}
CPP = {"language": ("cpp",)}
BY_ROW = {**CPP, "sweeps": ("row",)}
LANES = {**CPP, "vector": ("lanes",)}


def techniques(target: Target) -> tuple[Technique, ...]:
    return (*_PYTHON, *((_REWRITE, *_CPP) if "cpp" in target.languages else ()))


def _joint(needs: Mapping[str, tuple[Value, ...]], language: str) -> Technique:
    return Technique(
        id="joint_products", target="state", parameter=language, sets={"dots": "joint"}, needs={**needs, "dots": ("sequential",)},
        intent="take S k and S q from the old state together",
        rationale="S' q = g S q + delta (k . q): the second product needn't wait for the update, nor read the state again.",
        gain_mean=0.2, gain_sd=0.3, p_success=0.9, difficulty=2,
    )


_PYTHON = (
    Technique(
        id="batch", target="heads", parameter="request", sets={"loop": "request"}, needs={**PYTHON, "loop": ("head",)},
        intent="all heads of a request at once", rationale="Eight times fewer framework calls.",
        gain_mean=1.0, gain_sd=0.6, p_success=0.95, difficulty=1,
    ),
    Technique(
        id="batch", target="heads", parameter="batch", sets={"loop": "batch"}, needs={**PYTHON, "loop": ("head", "request")},
        intent="the whole batch at once", rationale="A fixed number of framework calls, whatever the batch.",
        gain_mean=1.5, gain_sd=0.8, p_success=0.95, difficulty=1,
    ),
    Technique(
        id="update_in_place", target="state", sets={"update": "inplace"}, needs={**PYTHON, "update": ("outer",)},
        intent="decay and update in the output's own memory", rationale="No temporary as large as the state.",
        gain_mean=0.4, gain_sd=0.3, p_success=0.9, difficulty=1,
    ),
    _joint(PYTHON, "python"),
)

_REWRITE = Technique(
    id="rewrite_in", target="language", parameter="cpp", sets={"language": "cpp"}, needs=PYTHON,
    intent="rewrite in C++: one call over all heads",
    rationale="A dozen framework calls for each head cost more than its 64 KB of state.",
    gain_mean=1.5, gain_sd=1.0, p_success=0.9, difficulty=2,
)

_CPP = (
    Technique(
        id="fuse_passes", target="state", parameter="two", sets={"sweeps": "two"},
        needs={**CPP, "sweeps": ("four",), "vector": ("plain", "simd"), "dots": ("sequential",)},
        intent="two passes over the state in place of four", rationale="The decay is a factor of S k; the update can feed S q at once.",
        gain_mean=0.3, gain_sd=0.3, p_success=0.95, difficulty=1,
    ),
    Technique(
        id="fuse_passes", target="state", parameter="row", sets={"sweeps": "row"}, needs={**CPP, "sweeps": ("four", "two")},
        intent="one pass: each row of the state is read once and written once",
        rationale="Rows are independent of each other, and the state is all the memory there is to move.",
        gain_mean=0.5, gain_sd=0.4, p_success=0.95, difficulty=2,
    ),
    Technique(
        id="vectorise", target="loops", parameter="simd", sets={"vector": "simd"}, needs={**CPP, "vector": ("plain",)},
        intent="let the compiler split sums over lanes", rationale="Strict float order forbids it to vectorise a sum.",
        gain_mean=1.2, gain_sd=0.6, p_success=0.95, difficulty=1,
    ),
    Technique(
        id="vectorise", target="loops", parameter="lanes", sets={"vector": "lanes"}, needs={**BY_ROW, "vector": ("plain", "simd")},
        intent="rows in explicit vector registers", rationale="A row of 128 floats fits eight registers between its read and its write.",
        gain_mean=1.3, gain_sd=0.6, p_success=0.9, difficulty=2,
    ),
    _joint(BY_ROW, "cpp"),
    *(
        Technique(
            id="rows_at_once", target="state", parameter=f"rows={rows}", sets={"rows": rows}, needs={**LANES, "rows": (1,)},
            intent=f"{rows} rows at once", rationale="The sums of several rows overlap, and q and k are loaded once for all of them.",
            gain_mean=0.15, gain_sd=0.2, p_success=0.95, difficulty=1,
        )
        for rows in (2, 4, 8)
    ),
    Technique(
        id="stream_writes", target="state", sets={"writes": "streamed"}, needs={**LANES, "writes": ("cached",)},
        intent="write the new state past the caches", rationale="It needn't be fetched before it is overwritten: a third less traffic.",
        gain_mean=0.1, gain_sd=0.4, p_success=0.9, difficulty=2,
    ),
    *(
        Technique(
            id="prefetch", target="state", parameter=f"rows={ahead}", sets={"ahead": ahead}, needs={**BY_ROW, "ahead": (0,)},
            intent=f"fetch {ahead} rows ahead", rationale="The hardware restarts at every 4 KB page, which is every eight rows.",
            gain_mean=0.05, gain_sd=0.15, p_success=0.95, difficulty=1,
        )
        for ahead in (8, 32)
    ),
)
