"""`ksearch surrogate score` and `tune` as a user calls them."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from ksearch.cli.main import app
from ksearch.errors import BadInput
from tests.forecasting.test_samples import RECORDED


def ran(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["surrogate", *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_score_replays_a_forecaster_over_a_landscape(landscape_file: Path) -> None:
    rows = json.loads(ran("score", str(landscape_file), "--forecaster", "neighbours", "--json"))
    (row,) = rows
    assert row["forecaster"] == "neighbours"
    assert row["outcomes"] >= 50
    assert 0.5 < row["pairwise"] <= 1.0
    assert [share["share"] for share in row["shares"]] == [0.05, 0.1, 0.25, 0.5, 0.75]


def test_score_prints_a_table_for_each_forecaster(landscape_file: Path) -> None:
    text = ran("score", str(landscape_file), "--forecaster", "neighbours", "--forecaster", "statistical", "--most", "60")
    for word in ("neighbours", "statistical", "pairwise", "AUROC", "regret", "standing"):
        assert word in text


def test_tune_recommends_a_budget_and_says_what_it_rests_on(landscape_file: Path) -> None:
    text = ran("tune", str(landscape_file), "--forecaster", "neighbours")
    assert "recommended: --surrogate-budget" in text
    assert "outcomes" in text
    tuned = json.loads(ran("tune", str(landscape_file), "--forecaster", "neighbours", "--json"))
    least, *_, most = sorted(row["measured"] for row in tuned["rows"])
    assert 0 < least <= most <= 1.5 * least, "settings are compared at about equal measurements"


def test_too_few_outcomes_are_refused() -> None:
    with pytest.raises(BadInput, match=r"dsa_topk-h200: \d+ outcomes"):
        ran("score", str(RECORDED))
    with pytest.raises(BadInput, match=r"\d+ outcomes"):
        ran("tune", str(RECORDED))


def test_plots_are_drawn_as_svg_and_nothing_else(landscape_file: Path, tmp_path: Path) -> None:
    drawn = tmp_path / "scores.svg"
    ran("score", str(landscape_file), "--forecaster", "neighbours", "--most", "60", "--json", "--plot", str(drawn))
    root = ElementTree.parse(drawn).getroot()
    circles = [element for element in root.iter() if element.tag.endswith("circle")]
    assert len(circles) > 50, "a point for each outcome"
    assert all(float(circle.attrib["cx"]) < 320 for circle in circles)
    ran("tune", str(landscape_file), "--forecaster", "neighbours", "--plot", str(drawn))
    assert "regret" in drawn.read_text()
    with pytest.raises(BadInput, match=r"scores\.svg"):
        ran("tune", str(landscape_file), "--forecaster", "neighbours", "--plot", str(tmp_path / "scores.png"))
