"""Settings: overlays merge, unknown keys are refused with a hint, presets are valid, flags win."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksearch.errors import BadInput
from ksearch.settings import all_keys, load_overlay, merge, parse_assignment, preset_names, resolve

BASE = {"definition": "rmsnorm"}


@pytest.mark.parametrize("name", preset_names())
def test_presets_are_valid(name: str) -> None:
    settings = resolve([BASE, load_overlay(name)])
    assert settings.budget.max_evaluations or settings.budget.max_time_s, "a preset must end by itself"


def test_a_later_overlay_wins_and_keeps_its_neighbours() -> None:
    settings = resolve([BASE, parse_assignment("evaluation.timed_calls=7"), parse_assignment("evaluation.workloads=3")])
    assert (settings.evaluation.timed_calls, settings.evaluation.workloads) == (7, 3)


@pytest.mark.parametrize(
    ("assignment", "hint"),
    [
        ("evaluation.timed_cals=7", "evaluation.timed_calls"),
        ("budget.max_evaluations=-1", "greater than or equal to 0"),
        ("policy=mcts", "puct"),
        ("device=tpu", "device"),
        ("evaluation.workloads=many", "evaluation.workloads"),
        ("nonsense", "key=value"),
        ("=3", "key=value"),
    ],
)
def test_bad_assignments_name_the_setting_and_the_way_out(assignment: str, hint: str) -> None:
    with pytest.raises(BadInput, match=hint):
        resolve([BASE, parse_assignment(assignment)])


def test_an_unknown_preset_lists_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="quick"):
        load_overlay(str(tmp_path / "absent.yaml"))


@pytest.mark.parametrize("text", ["- a list", "a: [", "3"])
def test_a_malformed_config_file_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(BadInput, match=r"mine\.yaml"):
        load_overlay(str(file))


inner = st.dictionaries(st.sampled_from("pq"), st.integers(0, 9), max_size=2)
overlays = st.fixed_dictionaries({}, optional={"a": st.integers(0, 9), "b": inner, "c": inner})


@given(st.tuples(overlays, overlays, overlays))
def test_merging_is_associative(parts: tuple[dict[str, Any], ...]) -> None:
    a, b, c = parts
    assert merge([merge([a, b]), c]) == merge([a, merge([b, c])])


def test_every_key_can_be_assigned_by_its_dotted_name() -> None:
    for key in all_keys():
        overlay = parse_assignment(f"{key}=1")
        for part in key.split("."):
            overlay = overlay[part]
        assert overlay == 1
