"""What the page is made from agrees with the records, and every number in it can be had as JSON."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ksearch.cli.main import app
from ksearch.errors import BadInput
from ksearch.records.model import ForecastRecord, RunRecord
from ksearch.records.reading import StoredRun
from ksearch.report.page.calibration import calibration, crps, forecasts_of, spearman
from ksearch.report.page.data import page_data
from ksearch.report.page.details import candidate_detail
from ksearch.report.page.model import ClaimPoint, PageData
from ksearch.report.page.render import LIBRARY, LICENCES, Extension, Live, asset, render_page
from ksearch.report.page.write import report_json, write_report
from ksearch.settings import load_overlay, merge, parse_assignment, resolve

DOCS = Path(__file__).resolve().parents[2] / "docs"
SCHEMA, DOCUMENT = DOCS / "schemas/report.json", DOCS / "report.md"


@pytest.fixture(scope="module")
def loaded(runs: Path) -> tuple[PageData, RunRecord]:
    with StoredRun.open("dsa_topk-h200", runs) as run:
        return page_data(run), run.record()


def test_every_node_and_candidate_is_there(loaded: tuple[PageData, RunRecord]) -> None:
    data, record = loaded
    for node, known in zip(data.nodes, record.nodes, strict=True):
        assert (node.id, node.parent, node.N, node.Q, node.best, node.gain) == (
            known.id, known.parent, known.N, known.Q, known.best, known.gain
        )  # fmt: skip
        assert (None if node.action is None else data.actions[node.action]) == known.action
        assert tuple(data.actions[index] for index in node.queued) == known.queued
    assert [(c.id, c.reward, c.latency_us) for c in data.candidates] == [(c.id, c.reward, c.latency_us) for c in record.candidates]


def test_counts_add_up(loaded: tuple[PageData, RunRecord]) -> None:
    data, record = loaded
    policy = data.policy
    assert sum(row.nodes for row in policy.depths) == len(data.nodes) == sum(row.nodes for row in policy.widening)
    assert policy.opened + policy.queued + policy.refused == policy.proposed
    assert sum(row.count for row in policy.outcomes) == len(record.tickets)
    spent = sum(row.device_seconds or 0.0 for row in data.costs)
    assert spent == pytest.approx(sum(candidate.device_seconds for candidate in record.candidates))


def test_regimes_of_the_headline_average_to_its_latency(loaded: tuple[PageData, RunRecord]) -> None:
    headline = loaded[0].headline
    assert headline is not None
    weighted = sum(row.weight * row.latency_us for row in headline.regimes if row.latency_us is not None)
    assert weighted / sum(row.weight for row in headline.regimes) == pytest.approx(headline.latency_us)


def test_a_moment_shows_nothing_later(runs: Path) -> None:
    with StoredRun.open("dsa_topk-h200", runs) as run:
        data = page_data(run, 100)
    assert data.run.seq == 100
    assert max(node.seq for node in data.nodes) <= 100
    assert max(row.seq for row in data.progress) <= 100


def test_a_twin_shows_the_verdict_of_the_code_it_shares(runs: Path) -> None:
    with StoredRun.open("dsa_topk-h200", runs) as run:
        record = run.record()
        twin = next(candidate for candidate in record.candidates if candidate.twin is not None)
        assert twin.twin is not None
        detail = candidate_detail(run, record, twin)
        assert detail.evaluations == candidate_detail(run, record, record.candidates[twin.twin]).evaluations != ()
        assert detail.sources[0].text == run.solution(twin).sources[0].content


def test_the_command_that_searches_again_means_the_same_settings(loaded: tuple[PageData, RunRecord]) -> None:
    data, record = loaded
    line = next(entry.command for entry in data.commands if entry.command.startswith("ksearch run"))
    words = shlex.split(line)
    assert words[:3] == ["ksearch", "run", "--definition"]
    assignments = [parse_assignment(text) for flag, text in zip(words[4::2], words[5::2], strict=True) if flag == "--set"]
    again = resolve([merge([load_overlay("default"), *assignments, {"definition": words[3]}])])
    assert again.model_dump(mode="json") == record.settings


@pytest.mark.parametrize(("mean", "sd", "value"), [(0.0, 1.0, 0.3), (0.2, 0.05, 0.5), (-1.0, 2.0, -1.0)])
def test_crps_is_the_integral_that_defines_it(mean: float, sd: float, value: float) -> None:
    from statistics import NormalDist

    normal, step = NormalDist(mean, sd), sd / 500
    points = [mean - 12 * sd + step * i for i in range(12_000)]
    assert crps(mean, sd, value) == pytest.approx(sum((normal.cdf(x) - (x >= value)) ** 2 for x in points) * step, abs=2e-3 * sd)


def test_rank_correlation_shares_ranks_among_ties() -> None:
    assert spearman([1, 2, 3], [10, 20, 30]) == pytest.approx(1)
    assert spearman([1, 2, 2, 4], [4, 3, 3, 1]) == pytest.approx(-1)
    assert spearman([1, 1], [1, 2]) is None


def test_a_calibration_of_claims_that_came_true() -> None:
    points = tuple(ClaimPoint(node=i, claimed=i / 10, sd=0.1, p_success=1.0, passed=True, gain=i / 10) for i in range(5))
    found = calibration("planner", points)
    assert (found.bias, found.mae, found.coverage, found.rank, found.brier) == (0, 0, 1, pytest.approx(1), 0)
    assert calibration("planner", points[:1]).bias is None


def test_json_and_its_schema(runs: Path) -> None:
    """Run `python -m ksearch.report.page.schema > docs/schemas/report.json` after a change of the model."""
    from ksearch.report.page.schema import report_schema

    assert json.loads(SCHEMA.read_text()) == report_schema()
    page = json.loads(report_json("dsa_topk-h200", runs, None))
    assert PageData.model_validate_json(json.dumps(page)).run.name == "dsa_topk-h200"
    assert json.loads(report_json("dsa_topk-h200", runs, 31))[0]["candidate"] == 21


@pytest.mark.usefixtures("hostile")
def test_json_of_a_hostile_run_is_inert_in_a_terminal(runs: Path) -> None:
    text = report_json("hostile", runs, None) + report_json("hostile", runs, 1)
    assert text.isascii()
    assert not re.search(r"[\x00-\x1f\x7f]", text)


def test_the_command_line(runs: Path, tmp_path: Path) -> None:
    out = CliRunner().invoke(app, ["report", "dsa_topk-h200", "--runs-dir", str(runs), "-o", str(tmp_path / "a.html")])
    assert out.exit_code == 0
    assert out.stdout.strip() == str(tmp_path / "a.html")
    assert (tmp_path / "a.html").read_text().startswith("<!doctype html>")
    assert isinstance(CliRunner().invoke(app, ["report", "x", "--node", "1"]).exception, BadInput)
    assert isinstance(CliRunner().invoke(app, ["report", "x", "--json", "-o", "y"]).exception, BadInput)


@pytest.mark.usefixtures("hostile")
def test_the_default_file_is_named_by_the_folder_not_by_the_log(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert write_report("hostile", runs, None) == Path("hostile.html")
    assert [entry.name for entry in tmp_path.iterdir()] == ["hostile.html"]


def test_a_file_that_cannot_be_written_is_refused(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="name a file in a folder that exists"):
        write_report("dsa_topk-h200", runs, tmp_path / "no" / "a.html")


def test_a_live_page_holds_no_kernels_and_may_ask_its_own_server(loaded: tuple[PageData, RunRecord]) -> None:
    page = render_page(loaded[0], live=Live("token=a&b"), extensions=[Extension(script="window.added = 1;", style=".added {}")])
    assert '<meta name="ksearch-live" content="token=a&amp;b">' in page
    assert "connect-src &#x27;self&#x27;" in page
    assert '<script type="text/plain" id="ksearch-details"></script>' in page
    assert "connect-src" not in render_page(loaded[0])


def test_the_library_is_the_one_that_was_published_and_carries_its_licence(loaded: tuple[PageData, RunRecord]) -> None:
    digests = dict(reversed(line.split()) for line in asset("vendor/SHA256SUMS").splitlines())
    assert sorted(digests) == sorted(f"d3-{part}.min.js" for part in LIBRARY)
    for name, digest in digests.items():
        assert hashlib.sha256(asset(f"vendor/{name}").encode()).hexdigest() == digest
        assert name.rsplit("-", 1)[0] in asset(LICENCES)
    assert asset(LICENCES) in render_page(loaded[0])


def test_forecasts_are_held_against_what_was_measured(loaded: tuple[PageData, RunRecord]) -> None:
    _, record = loaded
    said = ForecastRecord(forecaster="oracle", p_passes=1.0, reward=6.0, sigma=0.5, audit=False, retired="")
    rewards = ((candidate, candidate.reward) for candidate in record.candidates)
    exact = [c if r is None else c.model_copy(update={"forecast": said.model_copy(update={"reward": r})}) for c, r in rewards]
    (found,) = forecasts_of(record.model_copy(update={"candidates": tuple(exact)}))
    assert found.source == "forecaster oracle"
    assert found.measured == sum(c.reward is not None and c.node != 0 for c in record.candidates)
    assert (found.bias, found.coverage) == (pytest.approx(0), 1)
    assert forecasts_of(record) == ()
