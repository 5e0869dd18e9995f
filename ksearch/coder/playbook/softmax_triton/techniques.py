"""The space as data. Gains are engineering guesses in natural-log speed-up, revised by what a search measures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from ksearch.worldmodel.catalogue import Technique, Value

DEFAULTS: Mapping[str, Value] = MappingProxyType({
    "language": "triton",
    "passes": "three",    # over a row: three | two, with a running maximum | one, which holds it in registers
    "chunk": 512,         # elements at once in several passes
    "rows": 1,            # rows for each program (one pass)
    "warps": 4,
    "power": "e",         # e | two
    "scaling": "divide",  # divide | multiply by the reciprocal
    "loads": "cached",    # cached | streamed (one pass)
    "stores": "cached",   # cached | streamed
    "grid": "rows",       # a program for each row (or group of rows) | persistent programs that take turns
    "programs": 528,      # of the persistent grid
})

ONE_PASS = {"passes": ("one",)}
MAX_ELEMENTS = 32768
"""Elements of a program's rows: more would spill with any number of warps."""


def techniques(width: int) -> tuple[Technique, ...]:
    return (*_PASSES, *_ARITHMETIC, *_MEMORY, *_sizes(width))


_PASSES = (
    Technique(
        id="running_maximum", target="passes", parameter="two", sets={"passes": "two"}, needs={"passes": ("three",)},
        intent="sum under a running maximum, rescaled when it rises",
        rationale="One reading of the row fewer, for one more exponential of each element.",
        gain_mean=0.1, gain_sd=0.2, p_success=0.95, difficulty=2,
    ),
    Technique(
        id="keep_row", target="passes", parameter="one", sets={"passes": "one"}, needs={"passes": ("three", "two")},
        intent="hold the row in registers", rationale="It is read once, and each exponential is taken once.",
        gain_mean=0.4, gain_sd=0.3, p_success=0.95, difficulty=1,
    ),
)

_ARITHMETIC = (
    Technique(
        id="power_of_two", target="exponential", sets={"power": "two"}, needs={"power": ("e",)},
        intent="exponentials to base two, the logits scaled", rationale="It is what the hardware has; a product may fold into the shift.",
        gain_mean=0.01, gain_sd=0.04, p_success=0.95, difficulty=1,
    ),
    Technique(
        id="reciprocal", target="scaling", sets={"scaling": "multiply"}, needs={"scaling": ("divide",)},
        intent="multiply by the reciprocal of the sum", rationale="A division is a dozen instructions; one for each row suffices.",
        gain_mean=0.03, gain_sd=0.06, p_success=0.95, difficulty=1,
    ),
)

_MEMORY = (
    Technique(
        id="stream_reads", target="loads", sets={"loads": "streamed"}, needs={**ONE_PASS, "loads": ("cached",)},
        intent="read rows as evict-first", rationale="A row is read once.",
        gain_mean=0.01, gain_sd=0.05, p_success=0.95, difficulty=1, regime="large",
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
        for programs in (264, 528)
    ),
)


def _sizes(width: int) -> Iterable[Technique]:
    for chunk in (1024, 2048, 4096):
        if chunk <= width:
            yield Technique(
                id="chunk", target="row", parameter=f"elements={chunk}", sets={"chunk": chunk},
                needs={"passes": ("three", "two"), "chunk": (512,)}, intent=f"{chunk} elements at once",
                rationale="More loads in flight for each turn of the loop, against more registers.",
                gain_mean=0.1, gain_sd=0.15, p_success=0.95, difficulty=1,
            )
    for rows in (2, 4, 8):
        if rows * width <= MAX_ELEMENTS:
            yield Technique(
                id="rows_per_program", target="rows", parameter=f"rows={rows}", sets={"rows": rows}, needs={**ONE_PASS, "rows": (1,)},
                intent=f"{rows} rows for each program", rationale="One barrier for several rows; fewer programs, more registers.",
                gain_mean=-0.02, gain_sd=0.15, p_success=0.9, difficulty=1, regime="large",
            )
    for warps, gain in ((1, -0.2), (2, -0.05), (8, 0.1), (16, 0.05), (32, 0.0)):
        yield Technique(
            id="warps", target="program", parameter=f"warps={warps}", sets={"warps": warps}, needs={"warps": (4,)},
            intent=f"{warps} warps for each program", rationale="Bytes in flight for each thread against the cost of sums across warps.",
            gain_mean=gain, gain_sd=0.15, p_success=0.95, difficulty=1,
        )
