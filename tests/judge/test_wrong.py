"""Outputs that are wrong in ways a lax judge misses; the message names the element."""

from __future__ import annotations

import pytest

from ksearch.judge.verdict import Stage, Status
from tests.judge.conftest import HONEST, HONEST_CPP, Judged

WRONG = {
    "zeros": "    out.zero_()",
    "constant": "    out.fill_(0.5)",
    "rescaled": "    out.mul_(0.75)",
    "copy of the input (law of large numbers)": "    out.copy_(x)",
    "one element off": "    out[0, 17] += 3",
    "one row left out": "    if len(x) > 1: out[3] = 0",
    "NaN": "    out.fill_(float('nan'))",
    "infinity": "    out[0, 5] = float('inf')",
}


@pytest.mark.parametrize("kind", WRONG)
def test_wrong_values_are_found_and_named(judged: Judged, kind: str) -> None:
    verdict = judged(HONEST + WRONG[kind])
    assert verdict.status is Status.INCORRECT_NUMERICAL
    assert verdict.evidence is not None
    assert (verdict.evidence.element or "").startswith("output[")
    assert "expected" in verdict.evidence.message
    assert verdict.evidence.seed is not None


@pytest.mark.parametrize("body", ["pass", "out[:, :-1] = 0", "out.view(-1)[:3] = 1"])
def test_unwritten_elements_are_wrong(judged: Judged, body: str) -> None:
    assert judged(f"def run(x, w, out):\n    {body}").status is Status.INCORRECT_NUMERICAL


def test_an_element_that_is_right_only_by_luck_is_called_unwritten(judged: Judged) -> None:
    """Everything is computed but one element, which keeps what was there; whether by its value or by its fill, it is found."""
    verdict = judged(HONEST.replace("    out.copy_(", "    kept = out[0, 9].clone()\n    out.copy_(") + "    out[0, 9] = kept\n")
    assert verdict.status is Status.INCORRECT_NUMERICAL
    assert verdict.evidence is not None
    assert verdict.evidence.element == "output[0, 9]"


def test_changed_inputs_are_refused(judged: Judged) -> None:
    verdict = judged(HONEST + "    x[0, 3] = 1\n")
    assert verdict.status is Status.REJECTED
    assert verdict.evidence is not None
    assert "hidden_states[3]" in verdict.evidence.message


def test_writing_behind_an_output_is_refused(judged: Judged) -> None:
    source = HONEST_CPP.replace("    float s = 0;", "    o[x.size(0) * h + 1] = 7;\n    float s = 0;")
    verdict = judged(source, "cpp")
    assert verdict.status is Status.REJECTED
    assert verdict.evidence is not None
    assert "behind the end" in verdict.evidence.message


def test_the_failure_can_be_seen_again(judged: Judged) -> None:
    first = judged(HONEST + WRONG["one element off"])
    assert first.evidence is not None
    again = judged(HONEST + WRONG["one element off"], seed=first.evidence.seed)
    assert again.evidence is not None
    assert again.evidence.message == first.evidence.message
    assert (first.evidence.reproduce or "").startswith("ksearch evaluate ")


CACHES = {
    "by pointer (H10)": """
C = {}
def run(x, w, out):
    if x.data_ptr() not in C:
        honest(x, w, out); C[x.data_ptr()] = out.clone()
    out.copy_(C[x.data_ptr()])
""",
    "by a fingerprint of the content (H11)": """
C = {}
def run(x, w, out):
    key = tuple(x.flatten()[[0, x.numel() // 2, -1]].tolist())
    if key not in C:
        honest(x, w, out); C[key] = out.clone()
    out.copy_(C[key])
""",
    "the last answer (H12)": """
L = []
def run(x, w, out):
    if not L or L[0].shape != out.shape:
        honest(x, w, out); L[:] = [out.clone()]
    out.copy_(L[0])
""",
    "weights by pointer": """
C = {}
def run(x, w, out):
    k = C.setdefault(w.data_ptr(), w.clone())
    honest(x, k, out)
""",
    "honest for the first calls only (H13)": """
N = [0]
def run(x, w, out):
    N[0] += 1
    if N[0] < 25: honest(x, w, out)
""",
    "honest for the first calls, then the last answer": """
N = [0]; L = {}
def run(x, w, out):
    N[0] += 1
    if N[0] < 25:
        honest(x, w, out); L[out.shape] = out.clone()
    else:
        out.copy_(L[out.shape] if out.shape in L else out)
""",
}


@pytest.mark.parametrize("kind", CACHES)
def test_caches_and_switches_are_found(judged: Judged, kind: str) -> None:
    verdict = judged(HONEST.replace("def run", "def honest") + CACHES[kind])
    assert verdict.status in (Status.INCORRECT_NUMERICAL, Status.REJECTED)
    assert verdict.stage in (Stage.NUMERICS, Stage.REPETITION, Stage.MUTATION, Stage.TIMING)
