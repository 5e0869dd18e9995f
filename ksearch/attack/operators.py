"""The operators that the corpus attacks: bundled definitions, some cut down so that hundreds of verdicts take minutes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from ksearch.definitions.catalog import load_definition
from ksearch.definitions.regimes import judged
from ksearch.definitions.schema import AxisConst, Definition, InputSpec, RandomInput, Recipe, ScalarInput, Workload
from ksearch.judge.verdict import JudgedWorkload

Case = tuple[Mapping[str, int], Recipe]
"""Var axes and recipe of a workload."""


@dataclass(frozen=True)
class Operator:
    """`axes` replaces const axes of the bundled definition; `cases` by kind of device."""

    name: str
    cases: Mapping[str, Sequence[Case]]
    axes: Mapping[str, int] = field(default_factory=dict)
    scalars: Mapping[str, float] = field(default_factory=dict)

    @cached_property
    def definition(self) -> Definition:
        whole = load_definition(self.name)
        if not self.axes:
            return whole
        smaller = {name: AxisConst(value=value) for name, value in self.axes.items()}
        return whole.model_copy(update={"name": f"{whole.name}_small", "axes": {**whole.axes, **smaller}})

    def workloads(self, device: str) -> tuple[JudgedWorkload, ...]:
        """`device` is 'cpu' or 'cuda'."""
        made = [self._workload(f"{self.name}-{number}", *case) for number, case in enumerate(self.cases[device])]
        return judged(self.definition, [(workload, 1.0) for workload in made])

    def _workload(self, uuid: str, axes: Mapping[str, int], recipe: Recipe) -> Workload:
        inputs: dict[str, InputSpec] = {
            name: ScalarInput(value=self.scalars[name]) if name in self.scalars else RandomInput() for name in self.definition.inputs
        }
        return Workload(axes=axes, inputs=inputs, uuid=uuid, recipe=recipe)


def _rows(*counts: int) -> list[Case]:
    return [({"batch_size": count}, Recipe()) for count in counts]


def _tokens(*counts: int) -> list[Case]:
    return [({"seq_len": count}, Recipe()) for count in counts]


def _topk(pages: int, *requests: tuple[int, ...]) -> list[Case]:
    return [
        ({"batch_size": len(lengths), "max_num_pages": -(-max(lengths) // 64), "num_pages": pages}, Recipe(lengths=lengths))
        for lengths in requests
    ]


def _prefill(*sequences: tuple[int, ...]) -> list[Case]:
    return [
        ({"total_seq_len": sum(lengths), "num_seqs": len(lengths), "len_cu_seqlens": len(lengths) + 1}, Recipe(lengths=lengths))
        for lengths in sequences
    ]


OPERATORS: Mapping[str, Operator] = {
    operator.name: operator
    for operator in (
        Operator("rmsnorm", {"cpu": _rows(16, 64), "cuda": _rows(64, 2048)}),
        Operator("softmax", {"cpu": _rows(8, 32), "cuda": _rows(64, 1024)}),
        Operator("dsa_topk", {"cpu": _topk(128, (100, 2500), (4000, 60, 2300)), "cuda": _topk(2048, (100, 2500), (40000, 60, 9000, 2300))}),
        Operator(
            "gemm",
            {"cpu": [({"M": 4}, Recipe()), ({"M": 33}, Recipe())], "cuda": [({"M": 64}, Recipe()), ({"M": 2048}, Recipe())]},
            {"N": 512, "K": 512},
        ),
        Operator(
            "gdn_decode",
            {"cpu": _rows(1, 4), "cuda": _rows(4, 64)},
            scalars={"scale": 128**-0.5},
        ),
        Operator("gdn_prefill", {"cpu": _prefill((20,), (70, 9)), "cuda": _prefill((20,), (300, 90))}, scalars={"scale": 128**-0.5}),
        Operator(
            "moe_fp8",
            {"cpu": _tokens(3, 8), "cuda": _tokens(16, 64)},
            {
                "hidden_size": 256, "num_hidden_blocks": 2, "intermediate_size": 128, "num_intermediate_blocks": 1,
                "gemm1_out_size": 256, "num_gemm1_out_blocks": 2,
            },
            {"local_expert_offset": 32, "routed_scaling_factor": 2.5},
        ),
    )
}  # fmt: skip
