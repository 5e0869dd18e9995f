"""`ksearch compare`: what was measured alike is set side by side, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ksearch.errors import BadInput, Unavailable
from ksearch.records.reading import StoredRun
from ksearch.report import plot
from ksearch.report.compare import comparison_lines, print_comparison
from ksearch.report.comparison import Comparison, comparison_of
from tests.views.conftest import printable, searched


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two searches of the same landscape, one of which had three evaluations only."""
    folder = tmp_path_factory.mktemp("pair")
    return [searched(folder / name, count, name) for name, count in (("long", 20), ("short", 3))]


@pytest.fixture
def runs(pair: list[Path]) -> Iterator[list[StoredRun]]:
    opened = [StoredRun.open(str(folder)) for folder in pair]
    yield opened
    for run in opened:
        run.close()


def test_ratios_are_to_the_best_and_near_means_five_percent(runs: list[StoredRun]) -> None:
    comparison = comparison_of(runs)
    assert len(comparison.groups) == 1
    assert comparison.differences == ()
    best = comparison.groups[0].best_us
    assert best == min(side.incumbent.latency_us for side in comparison.runs if side.incumbent is not None)
    for side in comparison.runs:
        assert side.incumbent is not None
        assert side.ratio == side.incumbent.latency_us / best
        assert (side.near_best is not None) == (side.ratio <= 1.05)
        if side.near_best is not None:
            before = [row for row in side.progress if row.evaluations < side.near_best.evaluations and row.incumbent_us is not None]
            assert all(row.incumbent_us > 1.05 * best for row in before if row.incumbent_us is not None)


@pytest.mark.parametrize("field", ["device_name", "workloads", "definition", "judge_version"])
def test_other_conditions_are_never_set_against_each_other(runs: list[StoredRun], field: str) -> None:
    state = runs[1].state()
    state.header = state.header.model_copy(update={field: "another"})
    comparison = comparison_of(runs)
    assert len(comparison.groups) == 2
    assert len(comparison.differences) == 1
    assert [side.ratio for side in comparison.runs] == [1.0, 1.0]
    assert "are not set against each other" in "\n".join(comparison_lines(comparison))


@pytest.mark.parametrize("count", [1, 0])
def test_fewer_than_two_runs_are_refused(runs: list[StoredRun], count: int) -> None:
    with pytest.raises(BadInput, match="at least two"):
        comparison_of(runs[:count])


def test_the_same_run_twice_is_refused(pair: list[Path]) -> None:
    with pytest.raises(BadInput, match="named twice"):
        print_comparison([str(pair[0]), str(pair[0])], None, plot=None, as_json=False)


def test_json_survives(pair: list[Path], runs: list[StoredRun], capsys: pytest.CaptureFixture[str]) -> None:
    print_comparison([str(folder) for folder in pair], None, plot=None, as_json=True)
    assert Comparison.model_validate_json(capsys.readouterr().out) == comparison_of(runs)


def test_a_plot_has_a_line_for_each_run(pair: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    file = tmp_path / "course.svg"
    print_comparison([str(folder) for folder in pair], None, plot=file, as_json=False)
    svg = file.read_text("utf-8")
    assert svg.count("<!--  long -->") == svg.count("<!--  short -->") == 2
    assert re.search(r"long +puct +", capsys.readouterr().out)


def test_without_matplotlib_the_way_out_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(Unavailable, match=r"ksearch-kernels\[plot\]"):
        plot.check_plot(tmp_path / "a.svg")


@pytest.mark.parametrize("name", ["a.txt", "absent/a.svg"])
def test_a_plot_that_cant_be_written_is_refused_first(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput, match="--plot"):
        plot.check_plot(tmp_path / name)


def test_hostile_text_is_inert(pair: list[Path], hostile: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "course.svg"
    pytest.importorskip("matplotlib")
    print_comparison([str(pair[0]), str(hostile)], None, plot=file, as_json=False)
    assert printable(capsys.readouterr().out)
    assert "<script>" not in file.read_text("utf-8")
