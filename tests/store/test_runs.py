from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from ksearch.store.errors import BadRunName, UnknownRun
from ksearch.store.log import EventLog
from ksearch.store.runs import RunPaths, check_name, default_runs_dir, find_run, list_runs, new_run_id


def make(runs: Path, name: str, created: float) -> RunPaths:
    paths = RunPaths(runs / name)
    EventLog.create(paths.database, clock=lambda: created).close()
    return paths


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    folder = tmp_path / "runs"
    for created, name in enumerate(["20261121-093000-dsa_topk-7f3a", "20261122-080000-dsa_topk-0b1c", "20261122-090000-rmsnorm-11aa"]):
        make(folder, name, 100.0 + created)
    return folder


def test_ids_sort_by_time_and_are_in_utc() -> None:
    now = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
    assert new_run_id("dsa_topk", now, "7f3a") == "20261121-093000-dsa_topk-7f3a"
    assert new_run_id("dsa_topk", now.astimezone(timezone(timedelta(hours=9))), "7f3a") == "20261121-093000-dsa_topk-7f3a"
    assert new_run_id("../my op/ü", now, "7f3a") == "20261121-093000-my-op-7f3a"
    assert new_run_id("a", now, "ff") < new_run_id("a", now + timedelta(seconds=1), "00")
    with pytest.raises(ValueError, match="time zone"):
        new_run_id("a", datetime(2026, 11, 21), "7f3a")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../a", "-x", ".hidden", "a b", "latest", "x" * 101, "a\n"])
def test_names_that_are_no_plain_folder_are_refused(name: str) -> None:
    with pytest.raises(BadRunName):
        check_name(name)


def test_runs_are_listed_oldest_first_and_damaged_ones_are_shown(runs: Path) -> None:
    (runs / "aaa").mkdir()
    (runs / "aaa" / "run.sqlite").write_bytes(b"")
    (runs / "notes").mkdir()
    make(runs, "0-named-later", 200.0)
    entries = list_runs(runs)
    assert [entry.paths.name[:9] for entry in entries] == ["aaa", "20261121-", "20261122-", "20261122-", "0-named-l"]
    assert "empty" in (entries[0].problem or "")
    assert [entry.problem for entry in entries[1:]] == [None] * 4
    assert list_runs(runs / "absent") == []


def test_a_listing_says_which_run_is_being_written(runs: Path) -> None:
    with EventLog.open_writer(find_run("latest", runs).database):
        assert [entry.writer is not None for entry in list_runs(runs)] == [False, False, True]


def test_a_run_is_found_by_name_prefix_path_and_as_the_latest(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = runs / "20261121-093000-dsa_topk-7f3a"
    for wanted in (folder.name, "20261121", str(folder), str(folder / "run.sqlite")):
        assert find_run(wanted, runs).folder == folder
    monkeypatch.chdir(runs.parent)
    assert find_run(f"runs/{folder.name}", Path("elsewhere")).folder.resolve() == folder
    assert find_run("latest", runs).name == "20261122-090000-rmsnorm-11aa"
    make(runs, "0-older-name-newer-run", 500.0)
    assert find_run("latest", runs).name == "0-older-name-newer-run"


def test_an_exact_name_goes_before_longer_ones(runs: Path) -> None:
    make(runs, "a", 1.0)
    make(runs, "ab", 2.0)
    assert find_run("a", runs).name == "a"


def test_unknown_runs_are_refused_with_a_suggestion(runs: Path) -> None:
    with pytest.raises(UnknownRun, match=r"beginning of 2 runs: .*0b1c, .*11aa"):
        find_run("20261122", runs)
    with pytest.raises(UnknownRun, match=r"unknown run.*did you mean 20261121-093000-dsa_topk-7f3a"):
        find_run("20261121-093000-dsa_topk-7f3b", runs)
    for wanted in ("zzz", ""):
        with pytest.raises(UnknownRun, match="ksearch runs"):
            find_run(wanted, runs)
    for wanted in ("x", "latest"):
        with pytest.raises(UnknownRun, match="no runs in"):
            find_run(wanted, runs / "absent")


def test_the_runs_folder_is_the_option_the_variable_the_checkouts_or_here(tmp_path: Path) -> None:
    checkout, inside = tmp_path / "checkout", tmp_path / "checkout" / "docs" / "deep"
    inside.mkdir(parents=True)
    (checkout / "pyproject.toml").write_text('[project]\nname = "ksearch-kernels"\n')
    (inside / "pyproject.toml").write_text("not [ toml")
    variable = {"KSEARCH_RUNS": "/from/variable"}
    assert default_runs_dir(Path("opt"), cwd=inside, environ=variable) == Path("opt")
    assert default_runs_dir(cwd=inside, environ=variable) == Path("/from/variable")
    assert default_runs_dir(cwd=inside, environ={"KSEARCH_RUNS": ""}) == checkout / "runs"
    assert default_runs_dir(cwd=tmp_path, environ={}) == tmp_path / "runs"
