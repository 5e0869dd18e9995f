"""Samples of landscapes and runs: legal, complete, and with no outcome where none may be known."""

from __future__ import annotations

from pathlib import Path

import pytest

from ksearch.coder.playbook.registry import family_for
from ksearch.definitions.catalog import load_definition, workloads_for
from ksearch.definitions.regimes import stratified
from ksearch.errors import BadInput
from ksearch.forecasting.history import History, history
from ksearch.forecasting.outcomes import load_sources, replayed, unjudged
from ksearch.forecasting.samples import walk
from ksearch.landscapes.madeup import synthetic_landscape
from ksearch.report.export import import_run
from ksearch.surrogates.neighbours import Neighbours
from ksearch.surrogates.types import Forecast, Sample
from tests.forecasting.conftest import CUDA, landscape

RECORDED = Path(__file__).resolve().parents[2] / "runs" / "recorded" / "dsa_topk-h200" / "run.jsonl"


def test_a_walk_meets_every_code_once_each_from_a_parent_that_passed() -> None:
    samples = walk(landscape(), seed=3)
    outcome = {sample.candidate: sample for sample in samples}
    assert len(outcome) == len(samples)
    for sample in samples[1:]:
        assert sample.parent is not None
        parent = outcome[sample.parent]
        assert parent.passed
        assert sample.parent_reward == parent.reward
        assert set(parent.plan) < set(sample.plan)
        assert sample.parent_sources == parent.sources


def test_equal_seeds_walk_alike_and_other_seeds_do_not() -> None:
    names = [[sample.candidate for sample in walk(landscape(), seed)] for seed in (1, 1, 2)]
    assert names[0] == names[1] != names[2]


def test_a_made_up_landscape_says_so_and_is_the_same_every_time() -> None:
    first = landscape()
    definition = load_definition("gdn_decode")
    workloads = stratified(definition, workloads_for(definition, "cuda"), 4, 0)
    again = synthetic_landscape(family_for(definition, CUDA), definition, CUDA, workloads, most=120, seed=4)
    assert first == again
    assert (first.timer, first.device_name) == ("synthetic", "synthetic")
    assert {point.passed for point in first.points} == {True, False}


class Spy(Neighbours):
    """Notes what it is shown before it learns it."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Sample] = []

    def forecast(self, sample: Sample) -> Forecast | None:
        self.seen.append(sample)
        return super().forecast(sample)


def test_no_forecast_sees_an_outcome(landscape_file: Path) -> None:
    spy, (source,) = Spy(), load_sources([str(landscape_file)], None, 40)
    record = replayed(spy, source)
    assert len(record.judged) == len(spy.seen) == len(source.samples)
    assert all(sample.passed is None and sample.reward is None for sample in spy.seen)
    assert unjudged(source.samples[0]).sources == source.samples[0].sources


def test_a_recorded_run_gives_samples_with_code_plans_and_regimes() -> None:
    (source,) = load_sources([str(RECORDED)], None)
    assert source.device == "NVIDIA H200"
    assert len(source.samples) > 20
    for sample in source.samples:
        assert sample.reward is not None or sample.passed is False
        assert sample.sources
        assert sample.parent_sources
        assert sum(regime.weight for regime in sample.regimes) == pytest.approx(1.0)
        assert all(regime.parent_us is not None and regime.moved_bytes for regime in sample.regimes)
        assert "//" not in "".join(line for text in sample.sources for line in text.splitlines() if '"' not in line)


def test_earlier_runs_on_the_device_are_taken_in_and_survive_their_file(tmp_path: Path) -> None:
    import_run(RECORDED, tmp_path)
    (source,) = load_sources([str(RECORDED)], None)
    found = history(tmp_path, source.definition, "NVIDIA H200", "statistical")
    assert [sample.candidate for sample in found.samples] == [sample.candidate for sample in source.samples]
    assert History.load(found.dump().encode()).samples == found.samples
    assert history(tmp_path, source.definition, "another device", "statistical").samples == ()
    assert history(tmp_path / "nowhere", "x", "y", "z") == History()


def test_what_is_no_run_and_no_landscape_is_named(tmp_path: Path) -> None:
    for name in (str(tmp_path / "x.landscape.json.xz"), str(tmp_path / "x.jsonl"), "no-such-run"):
        with pytest.raises(BadInput, match=r"x|no-such-run"):
            load_sources([name], tmp_path)
