"""Floors against what was really measured on an H200: no kernel of any landscape beats one, and the best of the large ones come near."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from ksearch.records.reading import StoredRun
from ksearch.store.jsonl import import_jsonl

ROOT = Path(__file__).parents[2]


def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("floors", ROOT / "benchmarks" / "profiling" / "floors.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_no_recorded_kernel_is_faster_than_its_floor() -> None:
    rows = benchmark().all_rows()
    assert {row.landscape.split(".")[0] for row in rows} >= {"dsa_topk", "gdn_decode", "gemm", "rmsnorm", "softmax"}
    assert not [row for row in rows if row.ratio <= 1.0]
    large = {row.landscape: row.ratio for row in rows if row.axes.get("batch_size", row.axes.get("M", 0)) >= 2048}
    assert large
    assert all(ratio < 1.5 for ratio in large.values()), "a floor that nothing comes near says little"


def test_a_recorded_run_shows_its_floors(tmp_path: Path) -> None:
    with (ROOT / "runs" / "recorded" / "dsa_topk-h200-surrogate" / "run.jsonl").open("rb") as file:
        paths = import_jsonl(file, tmp_path)
    with StoredRun.open(str(paths.folder)) as run:
        record, whole = run.record(), run.bounds()
    assert record.bounds is not None
    assert whole is not None
    assert record.incumbent is not None
    assert (record.bounds.source, record.bounds.binds) == ("measured", "launch")
    assert whole.ceilings.bandwidth == pytest.approx(4.56e12, rel=0.01)
    assert record.bounds.floor_us < record.incumbent.latency_us
    assert [row.regime for row in record.bounds.regimes] == ["short", "medium", "long"]
