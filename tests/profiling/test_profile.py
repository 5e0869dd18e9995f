"""`ksearch profile`, end to end on cpu and with input that can't be used."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ksearch.cli.main import app
from ksearch.definitions.catalog import load_definition, workloads_for
from ksearch.definitions.regimes import weighted
from ksearch.errors import BadInput
from ksearch.evaluators.fake import FakeEvaluator
from ksearch.judge.verdict import Job, Status
from ksearch.profiling.bounds import bounds_of
from ksearch.profiling.ceilings import Ceilings, Level, Peak
from ksearch.profiling.command import Wanted, lines_of, profile, profiled, worst_of_each
from ksearch.profiling.profile import Profile
from ksearch.verify.cases import Case, Options, cases_of

CEILINGS = Ceilings(
    device="test", source="measured", levels=(Level(from_bytes=0, bytes_per_s=1e12),),
    peaks=(Peak(unit="vector_fp32", operations_per_s=1e13),), launch_us=1.0, timer="cupti", details="made up",
)  # fmt: skip
KERNEL = '''import torch
def run(hidden_states, weight, output):
    x = hidden_states.to(torch.float32)
    output.copy_(x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * weight.to(torch.float32))
'''


def case(tmp_path: Path, toy: str) -> Case:
    """A solution that the fake evaluator reads its speed from."""
    kernel = tmp_path / "mine.py"
    kernel.write_text(f"# toy: {toy}\n{KERNEL}")
    return cases_of([kernel], Options(device="cpu", definition="rmsnorm"))[0]


def found(tmp_path: Path, toy: str, wanted: Wanted | None = None) -> Profile:
    given = case(tmp_path, toy)
    bounds = bounds_of(given.job.definition, given.job.workloads, CEILINGS, "mean")
    with closing(FakeEvaluator()) as evaluator:
        return profiled(given, bounds, evaluator, wanted or Wanted())


def test_shares_of_the_ceilings(tmp_path: Path) -> None:
    profile = found(tmp_path, '{"speedup": 10}')
    assert profile.status is Status.PASSED
    for row in profile.workloads:
        assert row.latency_us is not None
        assert row.bandwidth_share == pytest.approx(row.moved_bytes / 1e12 / (row.latency_us * 1e-6))
        assert row.compute_share == pytest.approx(row.operations / 1e13 / (row.latency_us * 1e-6))
        assert row.above_floor == pytest.approx(row.latency_us / row.floor_us - 1)
    assert profile.latency_us is not None
    assert profile.above_floor == pytest.approx(profile.latency_us / profile.objective_floor_us - 1)
    assert sum(row.workloads for row in profile.regimes) == len(profile.workloads)
    assert profile.missing is not None
    assert "--counters" in profile.missing


def test_a_rejected_solution_is_told_and_never_run_outside_the_wall(tmp_path: Path) -> None:
    profile = found(tmp_path, '{"fail": "INCORRECT_NUMERICAL"}', Wanted(counters=True))
    assert (profile.status, profile.latency_us, profile.above_floor) == (Status.INCORRECT_NUMERICAL, None, None)
    assert profile.missing is not None
    assert "only what the judge passes" in profile.missing
    text = "\n".join(lines_of(profile))
    assert "INCORRECT_NUMERICAL" in text
    assert "nan" not in text.lower()


def test_on_cpu_counters_are_missing_in_one_line(tmp_path: Path) -> None:
    profile = found(tmp_path, '{"speedup": 10}', Wanted(counters=True))
    assert profile.counters == ()
    assert profile.missing is not None
    assert "\n" not in profile.missing
    assert "measured on cpu" in profile.missing


def test_counters_look_at_the_worst_workload_of_each_regime(tmp_path: Path) -> None:
    profile = found(tmp_path, '{"speedup": 10}')
    workloads = {judged.workload.uuid: judged for judged in case(tmp_path, "{}").job.workloads}
    chosen = worst_of_each(profile, workloads)
    assert list(chosen) == [row.regime for row in profile.regimes]
    for regime, judged in chosen.items():
        excess = {row.uuid: (row.latency_us or 0) - row.floor_us for row in profile.workloads if row.regime == regime}
        assert excess[judged.workload.uuid] == max(excess.values())


def test_what_a_person_reads(tmp_path: Path) -> None:
    text = "\n".join(lines_of(found(tmp_path, '{"speedup": 10}')))
    for words in ("rmsnorm_h4096 on", "the floor of", "ceilings     measured: 1,000 GB/s; 10 fp32 TFLOP/s; launch 1.00 us", "bound by"):
        assert words in text


@pytest.mark.slow
def test_the_command_on_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real judge, real ceilings, two small workloads."""
    monkeypatch.setenv("KSEARCH_CACHE", str(tmp_path / "cache"))
    (tmp_path / "mine.py").write_text(KERNEL)
    uuids = ",".join(workload.uuid for workload in workloads_for(load_definition("rmsnorm", None), "cpu", None)[:2])
    command = ["profile", str(tmp_path / "mine.py"), "-d", "rmsnorm", "--device", "cpu", "--workloads", uuids, "--json"]
    answer = CliRunner().invoke(app, command)
    assert answer.exit_code == 0, answer.output
    profile = Profile.model_validate_json(answer.stdout)
    assert (profile.status, len(profile.workloads), profile.ceilings.source) == (Status.PASSED, 2, "measured")
    assert all(row.latency_us and row.floor_us > 0 for row in profile.workloads)
    assert json.loads(answer.stdout)["basis"] == "declared"


@pytest.fixture
def kernel(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(KERNEL)
    return path


def test_bad_input_is_refused_before_anything_is_measured(kernel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ksearch.profiling.command.ceilings_of", lambda *a, **k: pytest.fail("measured before the input was read"))
    cpu = Options(device="cpu", definition="rmsnorm")
    with pytest.raises(BadInput, match="give a solution, or --run"):
        profile(None, None, None, cpu, Wanted(), as_json=True)
    with pytest.raises(BadInput, match="not both"):
        profile(kernel, "run", None, cpu, Wanted(), as_json=True)
    with pytest.raises(BadInput, match="no such file"):
        profile(kernel.with_name("none.py"), None, None, cpu, Wanted(), as_json=True)
    with pytest.raises(BadInput, match="--device cuda:63"):
        profile(kernel, None, None, Options(device="cuda:63", definition="rmsnorm"), Wanted(), as_json=True)
    with pytest.raises(BadInput, match="unknown run"):
        profile(None, "nothing", kernel.parent, cpu, Wanted(), as_json=True)
    with pytest.raises(BadInput):
        profile(kernel, None, None, Options(device="cpu", definition="rmsnorm", workloads="no-such-regime"), Wanted(), as_json=True)


def test_a_job_can_hold_any_weighting(tmp_path: Path) -> None:
    """Bounds are of the workloads asked for, not of the definition's whole set."""
    definition = load_definition("rmsnorm", None)
    few = weighted(definition, workloads_for(definition, "cpu", None)[:2])
    given = case(tmp_path, '{"speedup": 10}')
    job: Job = given.job.model_copy(update={"workloads": few})
    with closing(FakeEvaluator()) as evaluator:
        profile = profiled(Case("x", job), bounds_of(definition, few, CEILINGS, "mean"), evaluator, Wanted())
    assert len(profile.workloads) == 2
