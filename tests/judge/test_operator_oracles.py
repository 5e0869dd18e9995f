"""Oracles of single operators: honest variants pass, and skipped structure fails where a tolerance alone would let it pass."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

from ksearch.attack.operators import OPERATORS
from ksearch.definitions.catalog import load_definition
from ksearch.definitions.generate import make_inputs
from ksearch.definitions.schema import Definition, Recipe, Workload
from ksearch.judge.oracles import Problem, oracle_for
from ksearch.judge.oracles.attention import AttentionOracle
from ksearch.judge.oracles.base import Errors, Expectation, Oracle
from ksearch.judge.oracles.gdn import BFLOAT16, TF32, GdnOracle
from ksearch.judge.oracles.moe import MoeOracle, _contributions
from ksearch.judge.reference import Reference, _products_rounded_to

Outputs = list[Any]


class Case:
    """One workload of an operator with what is right for it."""

    def __init__(self, definition: Definition, workload: Workload) -> None:
        self.definition, self.workload = definition, workload
        self.reference = Reference(definition)
        self.oracle: Oracle = oracle_for(definition, self.reference)
        self.inputs = make_inputs(definition, workload, 11)
        self.expectation: Expectation = self.oracle.expect("w", self.inputs, lambda seed: make_inputs(definition, workload, seed))
        self.right: Outputs = self.reference.as_written(self.inputs)

    def found(self, outputs: Sequence[Any]) -> Problem | Errors:
        declared = [getattr(torch, spec.dtype) for spec in self.definition.outputs.values()]
        return self.oracle.check(self.expectation, [value.to(dtype) for value, dtype in zip(outputs, declared, strict=True)])

    def rerun(self, **changed: Any) -> Outputs:
        """The reference on inputs of which some are others."""
        given = dict(zip(self.definition.inputs, self.inputs, strict=True)) | changed
        return self.reference.as_written(tuple(given.values()))


def case_of(name: str, axes: dict[str, int], scalars: dict[str, float], recipe: Recipe | None = None) -> Case:
    found = load_definition(name)
    inputs = {key: {"type": "scalar", "value": scalars[key]} if key in scalars else {"type": "random"} for key in found.inputs}
    return Case(found, Workload.model_validate({"axes": axes, "inputs": inputs, "uuid": "w", "recipe": (recipe or Recipe()).model_dump()}))


@pytest.fixture(scope="module")
def decode() -> Case:
    return case_of("gdn_decode", {"batch_size": 8}, {"scale": 128**-0.5})


@pytest.fixture(scope="module")
def prefill() -> Case:
    recipe = Recipe(lengths=(40, 9))
    return case_of("gdn_prefill", {"total_seq_len": 49, "num_seqs": 2, "len_cu_seqlens": 3}, {"scale": 128**-0.5}, recipe)


@pytest.fixture(scope="module")
def attention() -> Case:
    return case_of("dsa_sparse_attention", {"num_tokens": 4, "num_pages": 64}, {"sm_scale": 0.07})


@pytest.fixture(scope="module")
def moe() -> Case:
    operator = OPERATORS["moe_fp8"]
    workload = operator.workloads("cpu")[1].workload
    return Case(operator.definition, workload.model_copy(update={"axes": {**workload.axes, "seq_len": 48}}))


def test_operators_get_their_own_oracle(decode: Case, prefill: Case, attention: Case, moe: Case) -> None:
    kinds = [type(case.oracle) for case in (decode, prefill, attention, moe)]
    assert kinds == [GdnOracle, GdnOracle, AttentionOracle, MoeOracle]
    for case in (decode, prefill, attention, moe):
        assert isinstance(case.found(case.right), Errors)
        case.oracle.refuse_nonsense(case.expectation)


def rounded_products(case: Case, bits: int) -> Outputs:
    with _products_rounded_to(bits):
        return case.reference.as_written(case.inputs)


def test_products_of_tensor_cores_are_honest_in_state_updates(decode: Case, prefill: Case) -> None:
    assert isinstance(decode.found(rounded_products(decode, TF32)), Errors)
    assert isinstance(prefill.found(rounded_products(prefill, BFLOAT16)), Errors)


def truncated(state: torch.Tensor) -> torch.Tensor:
    return (state.contiguous().view(torch.int32) & -65536).view(torch.float32)


def nearest(state: torch.Tensor) -> torch.Tensor:
    return state.bfloat16().float()


def without_a_block(state: torch.Tensor) -> torch.Tensor:
    """The update of the last sixteen keys is forgotten: what stays is near, the state being large."""
    out = state.clone()
    out[..., -16:] *= 0.999
    return out


@pytest.mark.parametrize("damage", [truncated, nearest, without_a_block])
def test_a_state_in_bfloat16_or_partly_updated_fails_in_decoding(decode: Case, damage: Callable[[torch.Tensor], torch.Tensor]) -> None:
    output, state = decode.right
    assert isinstance(decode.found([output, damage(state)]), Problem)


def test_a_state_that_leans_to_one_side_fails_in_prefill(prefill: Case) -> None:
    output, state = prefill.right
    assert isinstance(prefill.found([output, truncated(state)]), Problem)


def test_a_forgotten_history_fails_in_prefill(prefill: Case) -> None:
    """The first eight tokens of the longer sequence add nothing."""
    lazy = dict(zip(prefill.definition.inputs, prefill.inputs, strict=True))
    b = lazy["b"].clone()
    b[:8] = -60
    assert isinstance(prefill.found(prefill.rerun(b=b)), Problem)


def kept_entries(case: Case, keep: Callable[[torch.Tensor], torch.Tensor]) -> Outputs:
    """Attention over part of the chosen entries."""
    indices = dict(zip(case.definition.inputs, case.inputs, strict=True))["sparse_indices"].clone()
    for row in indices:
        chosen = (row >= 0).nonzero().reshape(-1)
        row[chosen[~keep(torch.arange(len(chosen)))]] = -1
    return case.rerun(sparse_indices=indices)


SKIPPED: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "a block of 64": lambda place: place >= 64,
    "one in 256": lambda place: place % 256 != 255,
    "half": lambda place: place % 2 == 0,
}


@pytest.mark.parametrize("which", sorted(SKIPPED))
def test_attention_that_skips_entries_fails(attention: Case, which: str) -> None:
    assert isinstance(attention.found(kept_entries(attention, SKIPPED[which])), Problem)


def test_a_sum_that_tells_of_skipped_entries_fails_even_beside_a_right_output(attention: Case) -> None:
    _, lse = attention.right
    assert isinstance(attention.found([attention.right[0], lse + math.log2(1 - 1 / 1024)]), Problem)
    assert isinstance(attention.found([attention.right[0], lse + 2e-4 * torch.randn_like(lse)]), Errors)


def test_an_empty_row_has_a_sum_of_minus_infinity_and_nothing_else() -> None:
    case = case_of("dsa_sparse_attention", {"num_tokens": 3, "num_pages": 64}, {"sm_scale": 0.07})
    given = dict(zip(case.definition.inputs, case.inputs, strict=True))
    given["sparse_indices"][1] = -1
    case.expectation = case.oracle.expect("empty", tuple(given.values()))
    output, lse = case.reference.as_written(tuple(given.values()))
    assert bool(lse[1].isinf().all())
    assert isinstance(case.found([output, lse]), Errors)
    for stand_in in (-1e30, 0.0, float("inf"), float("nan")):
        wrong = lse.clone()
        wrong[1] = stand_in
        assert isinstance(case.found([output, wrong]), Problem)
    emptied = lse.clone()
    emptied[0, 0] = -float("inf")
    assert isinstance(case.found([output, emptied]), Problem)


Kept = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


def summed(case: Case, *, quantised: bool, skip: Kept | None = None) -> Outputs:
    tokens, experts, added = _contributions(case.inputs, list(range(case.right[0].shape[0])), quantised=quantised)
    kept = torch.ones(len(tokens)) if skip is None else skip(tokens, experts, added)
    return [torch.zeros_like(case.right[0], dtype=torch.float32).index_add_(0, tokens, added * kept.unsqueeze(1))]


def test_intermediates_in_fp8_are_honest(moe: Case) -> None:
    assert isinstance(moe.found(summed(moe, quantised=False)), Errors)
    assert isinstance(moe.found(summed(moe, quantised=True)), Errors)


CHEATS: dict[str, Kept] = {
    "one expert": lambda tokens, experts, added: (experts != experts[len(experts) // 2]).float(),
    "one pair, the least of all": lambda tokens, experts, added: (added.norm(dim=1) > added.norm(dim=1).min()).float(),
    "the weaker half of an expert": lambda tokens, experts, added: 1 - 0.5 * (experts == experts[0]).float(),
    "six per cent of one expert": lambda tokens, experts, added: 1 - 0.06 * (experts == experts[0]).float(),
    "three per cent of everything": lambda tokens, experts, added: torch.full((len(tokens),), 0.97),
}


@pytest.mark.parametrize("which", sorted(CHEATS))
def test_a_mixture_without_part_of_an_expert_fails(moe: Case, which: str) -> None:
    assert isinstance(moe.found(summed(moe, quantised=False, skip=CHEATS[which])), Problem)
