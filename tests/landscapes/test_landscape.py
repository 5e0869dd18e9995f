"""A landscape survives its file, answers for what it recorded, and refuses what contradicts itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from ksearch.landscapes.landscape import Landscape, LandscapeError, Point, RecordedTechnique, TimedWorkload, load, save
from ksearch.worldmodel.catalogue import Technique

UNROLL = Technique(
    id="unroll", target="loop", sets={"unroll": 4}, needs={"unroll": (1,)}, intent="unroll", rationale="latency",
    gain_mean=0.2, gain_sd=0.1, p_success=0.9, difficulty=1, parameter="4",
)


def landscape(**changed: object) -> Landscape:
    fields: dict[str, object] = {
        "name": "toy", "definition": "toy_op", "family": "toy/cpu", "device": "cpu", "device_name": "a cpu", "timer": "judge-clock",
        "recorded": "2026-11-21", "versions": {"torch": "2"}, "language": "cpp", "defaults": {"unroll": 1},
        "techniques": (RecordedTechnique.of(UNROLL),),
        "workloads": (TimedWorkload(uuid="a", regime="short", weight=1.0, baseline_us=10.0),), "sigma_noise": 0.01,
        "points": (
            Point(config={"unroll": 1}, code="c1", status="PASSED", latencies_us=(9.0,)),
            Point(config={"unroll": 4}, code="c2", status="COMPILE_ERROR", stage="compile", message="no"),
        ),
        "sources": {"c1": (("kernel.cpp", "int x;"),)},
    }
    return Landscape.model_validate({**fields, **changed})


def test_a_landscape_survives_its_file(tmp_path: Path) -> None:
    path = tmp_path / "toy.landscape.json.xz"
    save(landscape(), path)
    assert load(path) == landscape()


def test_it_answers_by_configuration_in_any_order_of_entries() -> None:
    assert landscape().at({"unroll": 4}).stage == "compile"
    with pytest.raises(LandscapeError, match="no record of"):
        landscape().at({"unroll": 8})


def test_its_catalogue_is_the_recorded_one() -> None:
    assert landscape().catalogue.techniques == (UNROLL,)


def test_a_point_with_latencies_must_have_passed() -> None:
    wrong = Point(config={"unroll": 4}, code="c2", status="COMPILE_ERROR", latencies_us=(1.0,))
    with pytest.raises(ValueError, match="1 latencies and status COMPILE_ERROR"):
        landscape(points=(*landscape().points[:1], wrong))


def test_a_file_that_is_no_landscape_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.landscape.json.xz"
    path.write_bytes(b"not xz")
    with pytest.raises(LandscapeError, match=r"x\.landscape"):
        load(path)
