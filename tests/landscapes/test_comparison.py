"""What a comparison says follows from what was replayed, and its intervals from the seeds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ksearch.cli.main import app
from ksearch.errors import BadInput
from ksearch.landscapes.benchmark import fields_of, policies_of
from ksearch.landscapes.comparison import Score, costs, mean, ratio, run_tasks, synthetic_field, tasks_of
from ksearch.landscapes.ground import reachable, reaches
from ksearch.landscapes.landscape import save
from ksearch.landscapes.measured_run import ground_of
from ksearch.landscapes.replay import ReplayedSearch, Setting, replay
from ksearch.landscapes.summary import compare, plot
from ksearch.landscapes.synthetic import draw
from tests.landscapes.test_landscape import landscape


def scored(policy: str, seed: int, reached: int | None, field: str = "f", budget: int = 10) -> Score:
    curve = tuple(0.5 if reached is None or place < reached else 0.0 for place in range(budget + 1))
    return Score(
        field=field, policy=policy, evaluators=1, seed=seed, budget=budget, reached=reached, reached_s=None if reached is None else 1.0,
        measured=reached,
        evaluations=budget, seconds=10.0, issuing_seconds=9.0, curve=curve,
    )  # fmt: skip


def test_a_search_that_never_arrives_costs_twice_its_budget() -> None:
    rows = [scored("puct", 0, 4), scored("puct", 1, None)]
    assert costs(rows, "puct") == {"f": [4, 20]}
    assert rows[0].area == pytest.approx(0.5 * 4 / 11)


def test_the_ratio_is_a_geometric_mean_over_landscapes() -> None:
    mine, theirs = {"a": [2.0] * 8, "b": [8.0] * 8}, {"a": [4.0] * 8, "b": [4.0] * 8}
    assert ratio(mine, theirs).value == pytest.approx(1.0)
    halved = ratio({"a": [2.0] * 8}, {"a": [4.0] * 8})
    assert (halved.low, halved.value, halved.high) == (0.5, 0.5, 0.5)
    with pytest.raises(ValueError, match="same landscapes"):
        ratio(mine, {"a": [4.0] * 8})


def test_an_interval_holds_its_figure_and_widens_with_spread() -> None:
    narrow, wide = mean([9.0, 10.0, 11.0] * 5), mean([1.0, 10.0, 19.0] * 5)
    assert narrow.low <= narrow.value <= narrow.high
    assert wide.high - wide.low > narrow.high - narrow.low


def test_a_comparison_of_replayed_searches(tmp_path: Path) -> None:
    scores = run_tasks(tasks_of([synthetic_field("needle", "tuning")], ["puct", "random"], seeds=3, budget=15))
    result = compare(scores)
    assert (result.policies, result.fields, result.seeds) == (("puct", "random"), ("needle",), 3)
    assert set(result.ratios) == {"random"}
    assert all(len(row.curve) == 16 and list(row.curve) == sorted(row.curve, reverse=True) for row in scores if row.policy == "random")
    plot(scores, tmp_path / "regret.png")
    assert (tmp_path / "regret.png").stat().st_size > 5000


def test_a_measured_run_is_a_closed_ground() -> None:
    search = ReplayedSearch(draw("additive", 2), Setting(budget=60))
    search.finish()
    ground = ground_of(search.state)
    assert len(ground.spots) > 30
    done = replay(ground, Setting(policy="random", budget=200))
    assert done.exhausted
    assert reaches(ground, done.improvements[-1].reward)
    assert ground.best == pytest.approx(max(spot.reward for spot in ground.spots.values() if spot.reward is not None))


def test_a_short_run_is_refused() -> None:
    search = ReplayedSearch(draw("additive", 2), Setting(budget=10))
    search.finish()
    with pytest.raises(BadInput, match="at least 30"):
        ground_of(search.state)


def test_reachable_configurations_of_a_catalogue() -> None:
    ground = draw("needle", 1)
    configs = list(reachable(ground.catalogue))
    outcomes = {ground.catalogue.outcome(config) for config in configs}
    assert len(outcomes) == len(configs)
    assert dict(ground.catalogue.defaults) in configs


def test_the_command_compares_a_recorded_file(tmp_path: Path) -> None:
    path = tmp_path / "toy.landscape.json.xz"
    save(landscape(), path)
    options = ["--seeds", "2", "--budget", "3", "--policies", "puct,greedy", "--json"]
    done = CliRunner().invoke(app, ["bench", "policy", str(tmp_path), *options])
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert [cell["policy"] for cell in result["cells"]] == ["puct", "greedy"]
    assert result["cells"][0]["reached"] == 1.0


def test_bad_names_are_refused() -> None:
    with pytest.raises(BadInput, match="best-of-n"):
        policies_of("puct,astar")
    with pytest.raises(BadInput):
        fields_of(["no-such-run"], None)
