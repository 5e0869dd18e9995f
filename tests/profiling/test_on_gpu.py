"""On an NVIDIA GPU: its ceilings, a profile, launches and counters of a real kernel."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ksearch.cli.main import app
from ksearch.devices import gpus
from ksearch.profiling.datasheets import datasheet_of
from ksearch.profiling.devices import ceilings_of
from ksearch.profiling.profile import Profile

pytestmark = pytest.mark.gpu

INCUMBENT = Path(__file__).parents[2] / "runs" / "recorded" / "dsa_topk-h200" / "incumbent.json"


def test_measured_ceilings_lie_below_the_datasheet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KSEARCH_CACHE", str(tmp_path))
    device = gpus()[0]
    found, sheet = ceilings_of(device, here=True), datasheet_of(device.name)
    assert (found.source, found.device) == ("measured", device.name)
    assert 0.3 < found.launch_us < 20
    if sheet is not None:
        assert 0.6 * sheet.bandwidth < found.bandwidth <= sheet.bandwidth
        assert 0.4 * sheet.peak("tensor_half") < found.peak("tensor_half") < 1.15 * sheet.peak("tensor_half")


@pytest.mark.timeout(600)
def test_the_recorded_incumbent_is_above_its_floor(tmp_path: Path) -> None:
    answer = CliRunner().invoke(app, ["profile", str(INCUMBENT), "--device", "cuda", "--workloads", "long", "--counters", "--json"])
    assert answer.exit_code == 0, answer.output
    profile = Profile.model_validate(json.loads(answer.stdout))
    assert all(row.above_floor is not None and row.above_floor > 0 for row in profile.workloads)
    assert profile.compile is not None
    assert profile.compile.tensor_instructions
    digest = profile.counters[0]
    assert digest.launches or profile.missing
    assert digest.kernels or profile.missing
    assert digest.text or profile.missing
