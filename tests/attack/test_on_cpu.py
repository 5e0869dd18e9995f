"""One spelling of each hack on the judge, for real; `ksearch attack` tries all of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ksearch.attack.corpus_files import corpus
from ksearch.attack.trial import Trials
from ksearch.evaluators.local import LocalEvaluator

CHOSEN = (
    "rmsnorm/H02_gc_tensors", "rmsnorm/H04_zero_inputs", "rmsnorm/H05_padding", "rmsnorm/H07_python_api.cpp",
    "rmsnorm/H10_metadata_by_pointer",
    "gemm/H12_weights_by_sample", "rmsnorm/H13_counter", "rmsnorm/H14_super_batch", "softmax/H15_constant", "rmsnorm/H17_known_rows",
    "gemm/H18_skip_tiles", "dsa_topk/H20_nearly_best", "rmsnorm/H24_detached_thread.cpp", "rmsnorm/H25_sleeping_thread",
    "rmsnorm/H28_compute_in_bind", "rmsnorm/H28_answer_early", "rmsnorm/H32_forge_and_leave", "softmax/H40_bfloat16", "rmsnorm/H42_network",
    "rmsnorm/H44_many_calls",
)  # fmt: skip
"""Those that a change of the judge's protocol, wall or oracles is likeliest to let through."""
HONEST = ("rmsnorm/honest_scratch", "rmsnorm/honest_tuned", "rmsnorm/honest_threads.cpp", "dsa_topk/honest_half")


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trials]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KSEARCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        evaluator = LocalEvaluator("cpu", compile_workers=1)
        yield Trials(evaluator, "cpu", corpus())
        evaluator.close()


@pytest.mark.parametrize("name", [*CHOSEN, *HONEST])
def test_cheats_gain_nothing_and_honest_kernels_pass(trials: Trials, name: str) -> None:
    entry = trials.by_name[name]
    if entry.hack is None or not entry.may_pass:
        (result,) = trials.run([entry])
        assert result.expected, (result.outcome, result.verdict.evidence)
        return
    # Whether it gained is a matter of time, which a test can't hold: only that it ends in a verdict that its kind may have.
    verdict = trials.verdict(entry)
    assert verdict.status.value in {"PASSED", *entry.expect}, verdict.evidence
