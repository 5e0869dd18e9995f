"""Bounds in a run: logged once, read back, shown; a search that reaches the floor ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from ksearch.briefing.kernels import kernel_text
from ksearch.devices import Device, cpu
from ksearch.judge.verdict import Status, Verdict, WorkloadResult
from ksearch.prepare import prepare
from ksearch.profiling import devices
from ksearch.profiling.bounds import bounds_of
from ksearch.profiling.ceilings import Ceilings, Level, Peak
from ksearch.profiling.devices import NotMeasured, ceilings_of
from ksearch.profiling.run import bounds_for, event_of, incumbent_above_floor, is_at_floor, learn_bounds
from ksearch.records.reading import StoredRun
from ksearch.report.summary import summarise
from ksearch.report.text import us
from ksearch.settings import Settings
from ksearch.store.changes import facts_of
from ksearch.store.events import BoundsKnown, RunEnded
from ksearch.store.journal import read_state
from ksearch.store.jsonl import import_jsonl
from ksearch.store.log import EventLog
from ksearch.worldmodel.briefing import document_text
from ksearch.worldmodel.document import Document, Insert, Kind, edited
from tests.search.conftest import Bench, bench, solution_of  # noqa: F401 - a fixture

CEILINGS = Ceilings(
    device="test", source="measured", levels=(Level(from_bytes=0, bytes_per_s=1e9),),
    peaks=(Peak(unit="vector_fp32", operations_per_s=1e9),), launch_us=0.0, timer="judge-clock", details="",
)  # fmt: skip


def at(floor_us: float) -> BoundsKnown:
    return BoundsKnown(
        bounds="", op_class="toy", source="measured", basis="all inputs", floor_us=floor_us, objective_floor_us=floor_us,
        binds="memory", regimes=(),
    )  # fmt: skip


def test_a_search_ends_when_the_incumbent_is_at_the_floor(bench: Bench) -> None:  # noqa: F811
    """First without a floor, to know what this search finds; then again with the floor just below that."""
    bench.search()
    assert bench.journal is not None
    best = bench.journal.state.incumbent
    assert best is not None
    again = Bench(bench.folder.parent / "again", bench.settings)
    again.create().record(at(best.latency_us * 0.99))
    ending = again.search()
    assert (ending.status, "at the floor" in ending.reason) == ("done", True)
    assert again.journal is not None
    assert again.journal.state.evaluations <= bench.journal.state.evaluations


def test_without_the_setting_it_searches_on(bench: Bench) -> None:  # noqa: F811
    bench.settings = bench.settings.model_copy(update={"stop_above_floor": None})
    bench.create().record(at(1e9))
    assert bench.search().status == "budget"


def test_a_floor_far_above_the_incumbent_is_disproved_and_stops_nothing(bench: Bench) -> None:  # noqa: F811
    bench.create().record(at(1e9))
    assert bench.search().status == "budget"


@pytest.mark.parametrize(
    ("above", "limit", "expected"),
    [(0.02, 0.03, True), (0.04, 0.03, False), (-0.02, 0.0, True), (-0.2, 0.5, False), (None, 0.03, False), (0.0, None, False)],
)
def test_at_the_floor(above: float | None, limit: float | None, expected: bool) -> None:
    assert is_at_floor(above, limit) is expected


def test_bounds_are_logged_once_and_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ksearch.profiling.run.ceilings_of", lambda device, *, here: CEILINGS)
    setup = prepare(Settings(definition="rmsnorm", device="cpu"))
    bench = Bench(tmp_path / "run", setup.settings)  # noqa: F811
    journal = bench.create()
    learn_bounds(journal, setup)
    learn_bounds(journal, setup)
    events = [stored for stored in journal.log.events() if stored.type == "bounds_known"]
    assert len(events) == 1
    journal.log.close()
    with StoredRun.open(str(tmp_path / "run")) as run:
        record, whole = run.record(), run.bounds()
        assert record.bounds is not None
        assert whole is not None
        assert [row.regime for row in record.bounds.regimes] == [row.regime for row in whole.regimes]
        assert record.bounds.floor_us == whole.floor.floor_us
        assert len(whole.workloads) == len(setup.full)
    with EventLog.open_reader(tmp_path / "run" / "run.sqlite") as log:
        state = read_state(log)
        assert state.bounds == event_of(whole, "rmsnorm", record.bounds.bounds)
        summary = summarise(state, log, RunEnded(status="done", reason=""), None)
        assert (summary.floor_us, summary.floor_source) == (whole.floor.floor_us, "measured")
        assert incumbent_above_floor(state, log) is None


def test_planner_and_coder_see_the_gap_by_regime() -> None:
    """The kernel's text has it beside each latency; the world model's document has the operator's class and what binds it, whatever edits
    come after."""
    setup = prepare(Settings(definition="rmsnorm", device="cpu"))
    bounds = event_of(bounds_of(setup.definition, setup.full, CEILINGS, "mean"), setup.definition.op_type, "")
    first = bounds.regimes[0]
    row = WorkloadResult(uuid="w", regime=first.regime, weight=1.0, latency_us=3 * first.floor_us)
    verdict = Verdict(job="j", solution="s", status=Status.PASSED, workloads=(row,))
    text = kernel_text(solution_of(""), verdict, {}, bounds)
    assert f"3.00 times its floor of {us(first.floor_us)} us (bound by {first.binds})" in text
    assert "floor" not in kernel_text(solution_of(""), verdict, {})
    document = edited(Document(operator=facts_of(bounds)), Insert(Kind.QUESTION, "why?"))
    assert "Operator class rmsnorm" in document_text(document)
    assert f"bound by {bounds.binds}" in document_text(document)
    assert "why?" in document_text(document)


def test_the_fake_evaluator_has_no_floor() -> None:
    assert bounds_for(prepare(Settings(definition="rmsnorm", device="cpu", evaluator="fake"))) is None


def test_runs_from_before_bounds_still_read(tmp_path: Path) -> None:
    recorded = Path(__file__).parents[2] / "runs" / "recorded" / "dsa_topk-h200" / "run.jsonl"
    with recorded.open("rb") as file:
        paths = import_jsonl(file, tmp_path)
    with StoredRun.open(str(paths.folder)) as run:
        assert run.record().bounds is None
        assert run.bounds() is None


def test_a_measured_cpu_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KSEARCH_CACHE", str(tmp_path))
    found = ceilings_of(cpu(), here=True)
    assert (found.source, found.launch_us, found.timer) == ("measured", 0.0, "cpu-time")
    assert 1e8 < found.bandwidth < 1e12, "bytes a second of one core"
    monkeypatch.setattr(devices, "_measure", lambda device: pytest.fail("measured again"))
    assert ceilings_of(cpu(), here=True) == found


def test_a_device_that_can_not_be_measured_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KSEARCH_CACHE", str(tmp_path))
    monkeypatch.setattr(devices, "MEASURING_S", 0.01)
    gone = ceilings_of(Device("cuda:63", "NVIDIA H200", "sm_90"), here=True)
    assert gone.source == "datasheet"
    assert "not measured: cuda:63" in gone.details
    assert not list(tmp_path.rglob("*.json")), "only what was measured is kept"
    with pytest.raises(NotMeasured, match="no datasheet"):
        ceilings_of(Device("cuda:63", "Unheard-of 9000", "sm_90"), here=True)
