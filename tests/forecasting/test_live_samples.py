"""A live run's samples hold what a recorded landscape's do, merges included."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from ksearch.definitions.catalog import load_definition, workloads_for
from ksearch.definitions.schema import Solution
from ksearch.forecasting.candidates import SampleMaker
from ksearch.forecasting.replays import LandscapeSamples
from ksearch.judge.verdict import CompileReport, DeviceInfo, Evidence, JudgedWorkload, Stage, Status, Verdict, WorkloadResult
from ksearch.landscapes.ground import RecordedGround
from ksearch.landscapes.landscape import Landscape, Point
from ksearch.landscapes.replay import ReplayedSearch, Setting
from ksearch.profiling.bounds import bounds_of
from ksearch.profiling.datasheets import datasheet_of
from ksearch.profiling.run import event_of
from ksearch.store.fold import RunState
from ksearch.surrogates.features import compile_features
from ksearch.surrogates.types import Sample
from ksearch.tree.types import NodeId
from tests.forecasting.conftest import landscape

DEVICE = "NVIDIA H200"


@dataclass
class Live:
    """A search whose solutions, verdicts and bounds can be read back, as from a run's log."""

    ground: RecordedGround
    state: RunState
    workloads: tuple[JudgedWorkload, ...]
    blobs: dict[str, bytes] = field(default_factory=dict)

    def get_blob(self, digest: str) -> bytes:
        return self.blobs[digest]

    @property
    def maker(self) -> SampleMaker:
        return SampleMaker(self.state, self, load_definition(self.ground.landscape.definition), self.workloads)


@pytest.fixture(scope="module")
def live() -> Live:
    ground = RecordedGround(on_device(landscape()))
    search = ReplayedSearch(ground, Setting(seed=1, budget=25))
    search.finish()
    found = Live(ground, search.state, judged_workloads(ground.landscape))
    for point in ground.landscape.points:
        found.blobs[f"solution {point.code}"] = solution_of(ground.landscape, point).model_dump_json().encode()
        found.blobs[f"verdict {point.code}"] = verdict_of(ground.landscape, point).model_dump_json().encode()
    for number, candidate in search.state.candidates.items():
        code = search.steps.spots[number].code
        candidate.written = candidate.written.model_copy(update={"solution": f"solution {code}", "language": ground.landscape.language})
        for kind, answer in candidate.verdicts.items():
            candidate.verdicts[kind] = answer.model_copy(update={"verdict": f"verdict {code}"})
    ceilings = datasheet_of(DEVICE)
    assert ceilings is not None
    bounds = bounds_of(load_definition(ground.landscape.definition), found.workloads, ceilings, "mean")
    found.blobs["bounds"] = bounds.model_dump_json().encode()
    search.state.apply(event_of(bounds, "", "bounds"), 0.0)
    search.state.header = search.state.header.model_copy(
        update={"definition_name": ground.landscape.definition, "device_name": ground.landscape.device_name}
    )
    return found


def on_device(made_up: Landscape) -> Landscape:
    """With compile reports and the name of a device whose ceilings are known."""
    points = tuple(point.model_copy(update={"registers": 16 + n, "spill_bytes": n % 3}) for n, point in enumerate(made_up.points))
    return Landscape.model_validate(made_up.model_dump() | {"device_name": DEVICE, "points": points})


def judged_workloads(made_up: Landscape) -> tuple[JudgedWorkload, ...]:
    by_uuid = {one.uuid: one for one in workloads_for(load_definition(made_up.definition), "cuda")}
    return tuple(JudgedWorkload(workload=by_uuid[one.uuid], regime=one.regime, weight=one.weight) for one in made_up.workloads)


def solution_of(made_up: Landscape, point: Point) -> Solution:
    sources = [{"path": path, "content": text} for path, text in made_up.sources[point.code]]
    spec = {"language": made_up.language, "target_hardware": ["cuda"], "entry_point": f"{sources[0]['path']}::run"}
    return Solution.model_validate(
        {"name": point.code, "definition": made_up.definition, "author": "test", "spec": spec, "sources": sources}
    )  # fmt: skip


def verdict_of(made_up: Landscape, point: Point) -> Verdict:
    rows = [
        WorkloadResult(uuid=one.uuid, regime=one.regime, weight=one.weight, latency_us=value, baseline_us=one.baseline_us)
        for one, value in zip(made_up.workloads, point.latencies_us, strict=False)
    ]  # fmt: skip
    return Verdict(
        job=point.code, solution=point.code, status=Status(point.status), workloads=tuple(rows),
        compile=CompileReport(seconds=1.0, cached=False, registers=point.registers, spill_bytes=point.spill_bytes,
                              shared_bytes=point.shared_bytes),
        device=DeviceInfo(kind="cuda", name=DEVICE), evidence=None if point.passed else Evidence(message="made up"),
        stage=None if point.passed else Stage.COMPILE,
    )  # fmt: skip


def pairs(live: Live, *, judged: bool) -> list[tuple[Sample, Sample]]:
    """The same candidates as the run has them and as the landscape has them."""
    numbers = [number for number in live.state.candidates if number > 0]
    recorded = LandscapeSamples(live.ground, live.state)
    if judged:
        numbers = [number for number in numbers if "evaluate" in live.state.candidates[number].verdicts]
        return list(zip(live.maker.judged(numbers), recorded.judged(numbers), strict=True))
    return list(zip(live.maker.asked(numbers), recorded.asked(numbers), strict=True))


@pytest.mark.parametrize("judged", [True, False])
def test_live_and_recorded_samples_of_a_candidate_are_the_same(live: Live, judged: bool) -> None:
    both = pairs(live, judged=judged)
    assert len(both) > 15
    for mine, theirs in both:
        for ours, other in zip(mine.regimes, theirs.regimes, strict=True):
            assert (ours.name, ours.shapes) == (other.name, other.shapes)
            for name in ("weight", "moved_bytes", "floor_us", "baseline_us", "parent_us"):
                assert getattr(ours, name) == pytest.approx(getattr(other, name))
        assert replace(mine, regimes=()) == replace(theirs, regimes=())


def test_they_know_the_floor_and_what_the_compiler_said_before(live: Live) -> None:
    for mine, _ in pairs(live, judged=False):
        assert mine.parent_compiled is not None
        assert mine.compiled is None
        assert all(regime.floor_us is not None for regime in mine.regimes)
    assert all(dict(compile_features(mine.compiled)) for mine, _ in pairs(live, judged=True))


def test_a_merge_is_its_parts(live: Live) -> None:
    assert live.state.tree is not None
    merged = 0
    for number, (mine, _) in zip((n for n in live.state.candidates if n > 0), pairs(live, judged=False), strict=True):
        plan = live.state.tree.plan(NodeId(live.state.candidates[number].written.node))
        assert mine.last_keys == plan[-1].steps
        assert tuple(step.key for step in mine.steps) == mine.plan
        merged += bool(plan[-1].parts)
    assert merged > 3
