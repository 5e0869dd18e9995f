"""A user's dataset: written with flashinfer_bench's own classes, read back, and broken in the ways datasets break."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from flashinfer_bench.data import (
    BuildSpec,
    Correctness,
    Environment,
    Evaluation,
    EvaluationStatus,
    Performance,
    SafetensorsInput,
    Solution,
    SourceFile,
    Trace,
    Workload,
    save_json_file,
    save_jsonl_file,
)
from flashinfer_bench.data import Definition as TheirDefinition
from flashinfer_bench.data import RandomInput as TheirRandomInput
from safetensors.torch import save_file

from ksearch.definitions.catalog import all_definitions, load_definition, workloads_for
from ksearch.definitions.dataset import read_dataset
from ksearch.definitions.generate import fresh_values, make_inputs
from ksearch.errors import BadInput

GATHER = {
    "name": "gather_d4",
    "op_type": "gather",
    "axes": {"n": {"type": "var"}, "d": {"type": "const", "value": 4}},
    "inputs": {"table": {"shape": ["n", "d"], "dtype": "float32"}, "index": {"shape": ["n"], "dtype": "int32"}},
    "outputs": {"rows": {"shape": ["n", "d"], "dtype": "float32"}},
    "reference": "def run(table, index):\n    return table[index.long()]\n",
}
INDEX = torch.tensor([2, 0, 1], dtype=torch.int32)
BLOB = "blob/workloads/gather/gather_d4/a.safetensors"


def solution(name: str) -> Solution:
    spec = BuildSpec(language="python", target_hardware=["cpu"], entry_point="main.py::run", destination_passing_style=False, binding=None)
    return Solution(
        name=name, definition="gather_d4", author="a", spec=spec, sources=[SourceFile(path="main.py", content=GATHER["reference"])]
    )


def recorded(path: str = BLOB, key: str = "index", axes: dict[str, int] | None = None) -> Workload:
    inputs = {"table": TheirRandomInput(), "index": SafetensorsInput(path=path, tensor_key=key)}
    return Workload(axes=axes or {"n": 3}, inputs=inputs, uuid="w1")


def trace(name: str, latency_ms: float, status: EvaluationStatus = EvaluationStatus.PASSED) -> Trace:
    passed = status is EvaluationStatus.PASSED
    error = Correctness(max_absolute_error=0.0 if passed else 9.0)
    evaluation = Evaluation(
        status=status,
        environment=Environment(hardware="NVIDIA_H200"),
        timestamp="2026-01-01T00:00:00",
        log="",
        correctness=error,
        performance=Performance(latency_ms=latency_ms, reference_latency_ms=1.0, speedup_factor=1 / latency_ms) if passed else None,
    )
    return Trace(definition="gather_d4", workload=recorded(), solution=name, evaluation=evaluation)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    save_json_file(TheirDefinition.model_validate(GATHER), tmp_path / "definitions/gather/gather_d4.json")
    save_jsonl_file([Trace(definition="gather_d4", workload=recorded())], tmp_path / "workloads/gather/gather_d4.jsonl")
    for name in ("slow", "quick", "wrong"):
        save_json_file(solution(name), tmp_path / f"solutions/gather/{name}.json")
    traces = [trace("slow", 0.5), trace("quick", 0.1), trace("wrong", 0.01, EvaluationStatus.INCORRECT_NUMERICAL)]
    save_jsonl_file(traces, tmp_path / "traces/gather/gather_d4.jsonl")
    (tmp_path / BLOB).parent.mkdir(parents=True)
    save_file({"index": INDEX, "wide": INDEX.long(), "short": INDEX[:2].clone()}, str(tmp_path / BLOB))
    return tmp_path


def files(root: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_round_trip_without_writing(root: Path) -> None:
    before = files(root)
    dataset = read_dataset(root)
    definition = load_definition("gather", dataset)
    assert definition == load_definition("gather_d4", dataset)
    assert definition in all_definitions(dataset)
    (workload,) = workloads_for(definition, "cpu", dataset)
    table, index = make_inputs(definition, workload, seed=1, dataset_root=dataset.root)
    assert table.shape == (3, 4)
    assert torch.equal(index, INDEX)
    new_table, same_index = fresh_values(definition, workload, (table, index), seed=2, dataset_root=dataset.root)
    assert not torch.equal(new_table, table)
    assert torch.equal(same_index, INDEX)
    assert same_index.data_ptr() != index.data_ptr()
    assert [solution.name for solution in dataset.solutions["gather_d4"]] == ["quick", "slow", "wrong"]
    assert {trace.evaluation.status for trace in dataset.traces["gather_d4"] if trace.evaluation} == {"PASSED", "INCORRECT_NUMERICAL"}
    best = dataset.best_solution("gather_d4")
    assert best
    assert best.name == "quick"
    assert dataset.best_solution("rmsnorm_h4096") is None
    assert files(root) == before


def test_a_dataset_s_definition_wins_over_the_bundled_one(root: Path) -> None:
    own = {**GATHER, "name": "rmsnorm_h4096"}
    (root / "definitions" / "mine.json").write_text(json.dumps(own))
    assert load_definition("rmsnorm", read_dataset(root)).op_type == "gather"
    assert load_definition("rmsnorm").op_type == "rmsnorm"


def test_links_inside_a_dataset_are_followed(root: Path) -> None:
    """Download caches keep the content elsewhere and link to it."""
    content = root.parent / f"{root.name}-content"
    (root / BLOB).rename(content)
    (root / BLOB).symlink_to(content)
    dataset = read_dataset(root)
    (workload,) = dataset.workloads["gather_d4"]
    assert torch.equal(make_inputs(dataset.definitions["gather_d4"], workload, 1, dataset_root=root)[1], INDEX)


@pytest.mark.parametrize("path", ["/etc/hosts", "../secret.safetensors", "blob/../../x", "blob\\..\\x"])
def test_a_path_out_of_the_dataset_is_refused(root: Path, path: str) -> None:
    save_jsonl_file([Trace(definition="gather_d4", workload=recorded(path))], root / "workloads/gather/gather_d4.jsonl")
    with pytest.raises(BadInput, match=r"gather_d4\.jsonl:1: .*stay inside"):
        read_dataset(root)


@pytest.mark.parametrize(("key", "message"), [("wide", "int64"), ("short", r"\(2,\)"), ("gone", "gone")])
def test_a_recorded_tensor_must_fit(root: Path, key: str, message: str) -> None:
    save_jsonl_file([Trace(definition="gather_d4", workload=recorded(key=key))], root / "workloads/gather/gather_d4.jsonl")
    dataset = read_dataset(root)
    (workload,) = dataset.workloads["gather_d4"]
    with pytest.raises(BadInput, match=rf"input 'index' of workload w1.*{message}"):
        make_inputs(dataset.definitions["gather_d4"], workload, 1, dataset_root=root)


def test_recorded_inputs_need_the_dataset(root: Path) -> None:
    dataset = read_dataset(root)
    (workload,) = dataset.workloads["gather_d4"]
    with pytest.raises(BadInput, match="--dataset"):
        make_inputs(dataset.definitions["gather_d4"], workload, 1)


def broken(content: dict[str, Any], **changes: Any) -> str:
    return json.dumps({**content, **changes})


WORKLOAD_LINE = json.loads(Trace(definition="gather_d4", workload=recorded()).model_dump_json())


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("definitions/gather/bad.json", "{", r"bad\.json: .*JSON"),
        ("definitions/gather/bad.json", broken(GATHER, name="other", reference="def walk(): pass"), r"bad\.json: .*run"),
        ("definitions/gather/bad.json", broken(GATHER), r"gather_d4\.json: definition 'gather_d4' is already in .*bad\.json"),
        ("definitions/gather/bad.json", broken(GATHER, name="other", op_type=""), r"bad\.json: op_type"),
        ("solutions/bad.json", "[]", r"solutions/bad\.json"),
        ("solutions/gather/slow2.json", solution("slow").model_dump_json(), r"slow2\.json: solution 'slow' is already in"),
        ("workloads/gather/b.jsonl", "\n\n{not json}\n", r"b\.jsonl:3: .*JSON"),
        ("workloads/gather/b.jsonl", broken(WORKLOAD_LINE, workload={"axes": {}, "inputs": {}, "uuid": "x"}), r"b\.jsonl:1: .*axes n"),
        (
            "workloads/gather/b.jsonl",
            broken(WORKLOAD_LINE, workload={"axes": {"n": 1}, "inputs": {"y": {"type": "random"}}, "uuid": "x"}),
            r"b\.jsonl:1: .*no input 'y'",
        ),
        ("workloads/gather/b.jsonl", trace("slow", 0.5).model_dump_json(), r"b\.jsonl:1: .*belongs in traces"),
        ("traces/b.jsonl", json.dumps(WORKLOAD_LINE), r"b\.jsonl:1: .*needs a solution"),
        ("traces/b.jsonl", "\xff", r"b\.jsonl"),
    ],
)
def test_malformed_datasets_name_file_and_line(root: Path, file: str, text: str, message: str) -> None:
    (root / file).write_bytes(text.encode("latin-1"))
    with pytest.raises(BadInput, match=message) as caught:
        read_dataset(root)
    assert "\n" not in str(caught.value)


def test_a_path_that_is_no_dataset_is_refused_and_not_created(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="not a folder"):
        read_dataset(tmp_path / "gone")
    assert not (tmp_path / "gone").exists()
    with pytest.raises(BadInput, match="no folder 'definitions'"):
        read_dataset(tmp_path)


def test_a_partly_downloaded_dataset_serves_what_is_there(root: Path) -> None:
    (root / "definitions/other.json").write_text(json.dumps({**GATHER, "name": "other"}))
    elsewhere = broken(WORKLOAD_LINE, definition="other", workload=recorded("blob/gone").model_dump(mode="json"))
    orphan = broken(WORKLOAD_LINE, definition="kept_elsewhere")
    (root / "workloads/other.jsonl").write_text(f"{elsewhere}\n{orphan}\n")
    dataset = read_dataset(root)
    assert len(workloads_for(load_definition("gather", dataset), "cuda", dataset)) == 1
    with pytest.raises(BadInput, match=r"workload w1 of other: .*blob/gone is missing"):
        workloads_for(load_definition("other", dataset), "cuda", dataset)
