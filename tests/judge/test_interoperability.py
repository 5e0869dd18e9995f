"""FlashInfer-Bench's own evaluator and this judge give the same candidates the same pass or fail.

On cpu its builders, input generator and checks run as they are, but for `torch.cuda.synchronize`, which has nothing to wait for
there; its timing needs a GPU, and is part of the test that is marked so.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ksearch.definitions.schema import Solution
from ksearch.judge.verdict import Status
from tests.judge.conftest import HONEST, Judged, definition, solution

benchmark = pytest.importorskip("flashinfer_bench.bench.evaluators.default", reason="flashinfer-bench is not installed")

NORM = "x.float() * torch.rsqrt(x.float().square().mean(-1, keepdim=True) + 1e-5) * w.float()"
RETURNED = f"import torch\ndef run(x, w):\n    return ({NORM}).to(x.dtype)\n"
ANOTHER_EPSILON = HONEST.replace("1e-5", "1.1e-5")


def into(expression: str) -> str:
    return f"import torch\ndef run(x, w, out):\n    y = {NORM}\n    out.copy_({expression})\n"


@dataclass(frozen=True)
class Tried:
    source: str
    right: bool
    returns: bool = False


CANDIDATES = {
    "plain": Tried(HONEST, right=True),
    "returning": Tried(RETURNED, right=True, returns=True),
    "another epsilon": Tried(ANOTHER_EPSILON, right=True),
    "zeros": Tried(into("y * 0"), right=False),
    "a twentieth too much": Tried(into("y * 1.05"), right=False),
    "without the weights": Tried(into("y / w.float()"), right=False),
    "shifted": Tried(into("y.roll(1, -1)"), right=False),
    "a nan": Tried(into("torch.where(torch.arange(y.shape[-1]) == 7, torch.nan, y)"), right=False),
    "the last element": Tried(into("torch.where(torch.arange(y.shape[-1]) == y.shape[-1] - 1, y + 1, y)"), right=False),
    "raises": Tried("def run(x, w, out):\n    raise ValueError('no')\n", right=False),
    "another shape": Tried(RETURNED.replace(".to(x.dtype)", ".to(x.dtype).flatten()"), right=False, returns=True),
    "another type": Tried(RETURNED.replace(".to(x.dtype)", ".double()"), right=False, returns=True),
}


def theirs(candidate: Solution, device: str, folder: Path, *, timed: bool) -> str:
    """The name of FlashInfer-Bench's status."""
    from flashinfer_bench.bench.config import BenchmarkConfig
    from flashinfer_bench.compile import BuilderRegistry
    from flashinfer_bench.data import Definition, Workload
    from flashinfer_bench.data import Solution as TheirSolution

    asked = Definition.model_validate_json(definition().model_dump_json(exclude_none=True))
    given = {"hidden_states": {"type": "random"}, "weight": {"type": "random"}}
    workload = Workload.model_validate({"axes": {"batch_size": 5}, "inputs": given, "uuid": "w"})
    config = BenchmarkConfig(num_trials=1, warmup_runs=1, iterations=3, profile_baseline=timed, log_dir=str(folder))
    expected = benchmark.DefaultEvaluator.build_baseline(asked, workload, config, device)
    runnable = BuilderRegistry.get_instance().build(asked, TheirSolution.model_validate_json(candidate.model_dump_json(exclude_none=True)))
    common: dict[str, Any] = {"cfg": config, "log_path": str(folder / "log"), "device": device}
    try:
        if timed:
            done = benchmark.DefaultEvaluator.evaluate(
                asked, runnable, expected.inputs, expected.outputs, expected.mean_latency_ms, **common
            )
            return str(done.status.value)
        _, failed = benchmark.DefaultEvaluator.check_correctness(asked, runnable, expected.inputs, expected.outputs, **common)
        return "PASSED" if failed is None else str(failed.status.value)
    finally:
        runnable.cleanup()


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FIB_CACHE_PATH", str(tmp_path))
    (tmp_path / "log").touch()


@pytest.mark.parametrize("name", CANDIDATES)
def test_the_same_pass_or_fail_on_cpu(judged: Judged, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    monkeypatch.setattr("torch.cuda.synchronize", lambda _device: None)
    tried = CANDIDATES[name]
    their_status = theirs(solution(tried.source, returns=tried.returns), "cpu", tmp_path, timed=False)
    ours = judged(tried.source, returns=tried.returns)
    assert (ours.status is Status.PASSED, their_status == "PASSED") == (tried.right, tried.right), (ours.evidence, their_status)


@pytest.mark.gpu
@pytest.mark.parametrize("name", [name for name, tried in CANDIDATES.items() if "arange" not in tried.source])
def test_the_same_pass_or_fail_on_a_gpu(tmp_path: Path, name: str) -> None:
    from ksearch.evaluators.judge_process import JudgeProcess
    from tests.judge.conftest import job_of

    tried = CANDIDATES[name]
    candidate = solution(tried.source, returns=tried.returns)
    judge = JudgeProcess("cuda:0")
    try:
        ours = judge.judge(job_of(candidate, device="cuda:0", limits={"timeout_s": 60.0}))
    finally:
        judge.kill()
    their_status = theirs(candidate, "cuda:0", tmp_path, timed=True)
    assert (ours.status is Status.PASSED, their_status == "PASSED") == (tried.right, tried.right), (ours.evidence, their_status)
