"""Oracles alone, in this process: what they let pass and what not."""

from __future__ import annotations

import pytest
import torch

from ksearch.definitions.generate import make_inputs
from ksearch.definitions.schema import Definition, Workload
from ksearch.judge.oracles import Problem, oracle_for
from ksearch.judge.oracles.base import DefinitionRefused, Errors
from ksearch.judge.oracles.measures import Measures
from ksearch.judge.oracles.tolerance import ROUNDINGS, _compare
from ksearch.judge.reference import Reference
from tests.judge.conftest import definition

TOPK = "dsa_topk_indexer_fp8_h64_d128_topk2048_ps64"


def topk_case(lengths: list[int]) -> tuple[object, object, tuple[object, ...], torch.Tensor]:
    found = definition(TOPK)
    inputs = {name: {"type": "random"} for name in found.inputs}
    axes = {"batch_size": len(lengths), "max_num_pages": -(-max(lengths) // 64), "num_pages": 80}
    workload = Workload.model_validate({"axes": axes, "inputs": inputs, "uuid": "w", "recipe": {"lengths": lengths}})
    made = make_inputs(found, workload, 7)
    oracle = oracle_for(found, Reference(found))
    right = Reference(found).as_written(made)[0]
    return oracle, oracle.expect("w", made), made, right


@pytest.fixture(scope="module")
def topk():  # type: ignore[no-untyped-def]
    return topk_case([100, 2500, 2049, 1])


def test_topk_order_is_free(topk) -> None:  # type: ignore[no-untyped-def]
    oracle, expectation, _, right = topk
    shuffled = right[:, torch.randperm(right.shape[1])]
    assert isinstance(oracle.check(expectation, [right]), Errors)
    assert isinstance(oracle.check(expectation, [shuffled]), Errors)


def broken_count(right: torch.Tensor) -> torch.Tensor:
    right[0, 99] = -1
    return right


def broken_unique(right: torch.Tensor) -> torch.Tensor:
    right[1, 5] = right[1, 6]
    return right


def broken_reach(right: torch.Tensor) -> torch.Tensor:
    right[0, 3] = 80 * 64 + 1
    return right


def broken_negative(right: torch.Tensor) -> torch.Tensor:
    right[0, 3] = -7
    return right


@pytest.mark.parametrize("damage", [broken_count, broken_unique, broken_reach, broken_negative])
def test_topk_refuses_what_no_right_answer_has(topk, damage) -> None:  # type: ignore[no-untyped-def]
    oracle, expectation, _, right = topk
    assert isinstance(oracle.check(expectation, [damage(right.clone())]), Problem)


def test_topk_first_tokens_of_a_long_row_are_not_its_best(topk) -> None:  # type: ignore[no-untyped-def]
    oracle, expectation, inputs, right = topk
    lazy = right.clone()
    positions = torch.arange(2048)
    lazy[1] = (inputs[4][1][positions // 64] * 64 + positions % 64).to(torch.int32)
    found = oracle.check(expectation, [lazy])
    assert isinstance(found, Problem)
    assert "rank" in found.message


def small(reference: str, dtype: str = "float32") -> Definition:
    return Definition.model_validate(
        {
            "name": "small",
            "op_type": "test",
            "axes": {"n": {"type": "var"}, "h": {"type": "const", "value": 8}},
            "inputs": {"x": {"shape": ["n", "h"], "dtype": dtype}},
            "outputs": {"y": {"shape": ["n", "h"], "dtype": dtype}},
            "reference": f"import torch\ndef run(x):\n    {reference}\n",
        }
    )


def test_a_correct_infinity_is_correct_and_a_finite_stand_in_is_not() -> None:
    found = small("y = x.clone(); y[0] = float('-inf'); return y")
    oracle = oracle_for(found, Reference(found))
    x = torch.randn(3, 8)
    expectation = oracle.expect("w", (x,))
    right = x.clone()
    right[0] = float("-inf")
    assert isinstance(oracle.check(expectation, [right]), Errors)
    assert isinstance(oracle.check(expectation, [torch.where(right.isfinite(), right, -1e30)]), Problem)
    assert isinstance(oracle.check(expectation, [torch.full_like(right, float("nan"))]), Problem)


@pytest.mark.parametrize("reference", ["return x * 0", "return x * 0 + 3", "return x / 0 * 0"])
def test_definitions_that_nonsense_would_pass_are_refused(reference: str) -> None:
    found = small(reference)
    oracle = oracle_for(found, Reference(found))
    with pytest.raises(DefinitionRefused):
        oracle.refuse_nonsense(oracle.expect("w", (torch.randn(3, 8),)))


def test_float32_may_sum_in_another_order_but_not_in_tf32() -> None:
    found = small("return torch.softmax(x @ x.T, dim=1) @ x")
    oracle = oracle_for(found, Reference(found))
    x = torch.randn(64, 8)
    expectation = oracle.expect("w", (x,))
    right = Reference(found).as_written((x,))[0]
    assert isinstance(oracle.check(expectation, [right * (1 + 3e-7)]), Errors)
    assert isinstance(oracle.check(expectation, [right * (1 + 2.0**-11)]), Problem)


def test_the_rounding_of_a_towering_element_is_honest_and_more_is_not() -> None:
    truth = torch.full((4, 4096), 1e-4, dtype=torch.float64)
    truth[1, 7] = 0.6285041
    honest, wrong = truth.clone(), truth.clone()
    honest[1, 7] *= 1 + 2.0**-23
    wrong[1, 7] *= 1 + 2.0**-19
    tight = Measures(row=1.0, band=1.0, largest=1e-6, share=1.0)
    rounding = ROUNDINGS * torch.finfo(torch.float32).eps
    assert isinstance(_compare("out", truth, honest, tight, rounding), Errors)
    assert isinstance(_compare("out", truth, wrong, tight, rounding), Problem)


def test_the_float64_reference_is_not_the_rounded_one() -> None:
    found = small("return (x.to(torch.float32).square().mean(-1, keepdim=True) * x.to(torch.float32)).to(x.dtype)", "bfloat16")
    x = torch.randn(4, 8).bfloat16()
    reference = Reference(found)
    written = reference.as_written((x,))
    exact = reference.in_float64((x,), written)[0]
    assert exact.dtype == torch.float64
    assert torch.equal(exact, x.double().square().mean(-1, keepdim=True) * x.double())
    low = reference.in_input_type((x,))
    assert low is not None
    assert low[0].dtype == torch.bfloat16


def damaged_band(right: torch.Tensor) -> torch.Tensor:
    """One tile of columns a little off in every row: too thin to show in a row."""
    out = right.clone()
    out[:, 128:192] *= 1 + 1.8e-5
    return out


def damaged_share(right: torch.Tensor) -> torch.Tensor:
    """Everything a little too small, as when a sliver of every sum is skipped."""
    return right * (1 - 4e-6)


@pytest.mark.parametrize(("damage", "word"), [(damaged_band, "cluster"), (damaged_share, "lean")])
def test_errors_with_a_structure_fail_where_rounding_passes(damage, word: str) -> None:  # type: ignore[no-untyped-def]
    found = small("return x.repeat(1, 128) * 0.7")
    oracle = oracle_for(found, Reference(found))
    x = torch.rand(64, 8) + 1
    expectation = oracle.expect("w", (x,))
    exact = Reference(found).in_float64((x,), Reference(found).as_written((x,)))[0]
    assert isinstance(oracle.check(expectation, [exact.float()]), Errors)
    wrong = oracle.check(expectation, [damage(exact).float()])
    assert isinstance(wrong, Problem)
    assert word in wrong.message


def test_topk_takes_the_scores_own_size_for_its_unit(topk) -> None:  # type: ignore[no-untyped-def]
    """Swapping the last fiftieth of the choice for the tokens after it moves scores by a hundredth: once enough to pass."""
    oracle, expectation, _, right = topk
    row = expectation.content[1]
    order = row.scores.sort(descending=True).indices
    lazy = right.clone()
    positions = torch.cat([order[:2007], order[2048:2089]])
    lazy[1] = (row.pages[positions // 64] * 64 + positions % 64).to(torch.int32)
    assert isinstance(oracle.check(expectation, [lazy]), Problem)
