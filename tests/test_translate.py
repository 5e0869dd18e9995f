"""From verdict to reward: the formulas, and what the absence of a measurement does."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksearch.judge.verdict import Evidence, Stage, Status, Verdict, WorkloadResult
from ksearch.translate import failed_stage, mean_latencies, reward, sigma_noise

times = st.floats(0.5, 5000)
rows = st.lists(st.tuples(st.floats(0.01, 1), times, times), min_size=1, max_size=8)


def verdict(cells: list[tuple[float, float, float]]) -> Verdict:
    workloads = tuple(
        WorkloadResult(uuid=f"w{i}", regime="r", weight=weight, latency_us=latency, baseline_us=baseline)
        for i, (weight, latency, baseline) in enumerate(cells)
    )
    return Verdict(job="j", solution="s", status=Status.PASSED, workloads=workloads)


def weights(cells: list[tuple[float, float, float]]) -> dict[str, float]:
    return {f"w{i}": cell[0] for i, cell in enumerate(cells)}


@given(rows)
def test_exp_of_the_mean_reward_is_the_ratio_of_weighted_mean_latencies(cells: list[tuple[float, float, float]]) -> None:
    total = sum(cell[0] for cell in cells)
    candidate = sum(cell[0] * cell[1] for cell in cells) / total
    baseline = sum(cell[0] * cell[2] for cell in cells) / total
    latencies = mean_latencies(verdict(cells), weights(cells))
    assert latencies.candidate_us == pytest.approx(candidate)
    assert math.exp(reward(verdict(cells), weights(cells), "mean")) == pytest.approx(baseline / candidate)


@given(rows, st.floats(0.1, 10))
def test_a_uniformly_faster_kernel_gains_the_same_under_both_objectives(cells: list[tuple[float, float, float]], factor: float) -> None:
    faster = [(weight, latency / factor, baseline) for weight, latency, baseline in cells]
    for objective in ("mean", "geomean"):
        gain = reward(verdict(faster), weights(cells), objective) - reward(verdict(cells), weights(cells), objective)
        assert gain == pytest.approx(math.log(factor), abs=1e-9)


def test_only_the_named_workloads_count() -> None:
    cells = [(0.5, 10.0, 100.0), (0.5, 1000.0, 1000.0)]
    assert reward(verdict(cells), {"w0": 0.5}, "mean") == pytest.approx(math.log(10))


def test_a_workload_that_the_verdict_lacks_is_an_error_not_a_zero() -> None:
    with pytest.raises(KeyError):
        reward(verdict([(1.0, 1.0, 1.0)]), {"absent": 1.0}, "mean")


def test_a_missing_baseline_is_an_error_not_a_zero() -> None:
    row = WorkloadResult(uuid="w0", regime="r", weight=1.0, latency_us=2.0)
    with pytest.raises(ValueError, match="w0"):
        reward(Verdict(job="j", solution="s", status=Status.PASSED, workloads=(row,)), {"w0": 1.0}, "mean")


def test_failed_stage_names_the_stage_and_refuses_a_passed_verdict() -> None:
    failed = Verdict(job="j", solution="s", status=Status.TIMEOUT, stage=Stage.TIMING, evidence=Evidence(message="too slow"))
    assert failed_stage(failed) == "timing"
    with pytest.raises(ValueError, match="passed"):
        failed_stage(verdict([(1.0, 1.0, 1.0)]))


def test_noise_that_was_not_measured_falls_back_to_the_documented_default() -> None:
    assert sigma_noise(verdict([(1.0, 1.0, 1.0)])) == 0.02
