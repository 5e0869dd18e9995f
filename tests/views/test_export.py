"""`ksearch export`: other programs' own readers take every format, and no text of a run does harm there."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from ksearch.definitions.schema import Definition, Solution
from ksearch.errors import BadInput
from ksearch.judge.verdict import Evidence, Stage, Status, Verdict, WorkloadResult
from ksearch.records.model import RunRecord
from ksearch.records.reading import StoredRun
from ksearch.report.export import export_run
from ksearch.report.tables import csv_text, dot_text, graphml_text
from ksearch.report.traces import _evaluation, traces_of
from tests.views.conftest import HOSTILE, printable

RECORDED = Path(__file__).parents[2] / "runs" / "recorded" / "dsa_topk-h200" / "run.jsonl"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search on a real GPU, from its export."""
    from ksearch.report.export import import_run

    return Path(import_run(RECORDED, tmp_path_factory.mktemp("runs")))


def exported(run: Path, form: str, tmp_path: Path, node: int | None = None) -> str:
    output = tmp_path / "out"
    export_run(str(run), None, form=form, node=node, output=output)
    return output.read_text("utf-8")


def test_traces_load_with_flashinfer_benchs_own_classes(recorded: Path, tmp_path: Path) -> None:
    data = pytest.importorskip("flashinfer_bench.data")
    lines = exported(recorded, "trace", tmp_path).splitlines()
    traces = [data.Trace.model_validate_json(line) for line in lines]
    assert all(trace.is_successful() for trace in traces)
    with StoredRun.open(str(recorded)) as run:
        record, definition, full = run.record(), run.definition(), run.workloads()
        assert record.incumbent is not None
        best = record.candidates[record.incumbent.candidate]
        verdict = run.verdict(best.evaluations[-1].verdict)
    mine = [trace for trace in traces if trace.solution == best.name]
    assert {trace.workload.uuid for trace in mine} == {judged.workload.uuid for judged in full}
    assert {trace.definition for trace in mine} == {definition.name}
    times = {row.uuid: row.latency_us for row in verdict.workloads}
    for trace in mine:
        known = times[trace.workload.uuid]
        assert known is not None
        assert math.isclose(trace.evaluation.performance.latency_ms, known / 1000)


def test_a_rejection_is_a_runtime_error_with_its_reason(run: StoredRun) -> None:
    record = run.record()
    verdict = Verdict(
        job="j", solution="0", status=Status.REJECTED, stage=Stage.TIMING, evidence=Evidence(message="it moved work to another stream")
    )
    evaluation = _evaluation(record, verdict, None, "2026-01-01", record.candidates[0].evaluations[0])
    assert evaluation.status == "RUNTIME_ERROR"
    assert evaluation.log == "rejected: it moved work to another stream"
    assert evaluation.correctness is None
    assert evaluation.performance is None


def test_wrong_numbers_keep_their_errors_and_unmeasured_ones_are_nan(run: StoredRun) -> None:
    data = pytest.importorskip("flashinfer_bench.data")
    record = run.record()
    row = WorkloadResult(uuid="w", regime="all", weight=1.0, max_abs_error=math.inf)
    verdict = Verdict(job="j", solution="0", status=Status.INCORRECT_NUMERICAL, stage=Stage.NUMERICS, evidence=Evidence(message="off"))
    mine = _evaluation(record, verdict, row, "2026-01-01", record.candidates[0].evaluations[0])
    theirs = data.Evaluation.model_validate_json(mine.model_dump_json(exclude_none=True))
    assert theirs.correctness.max_absolute_error == math.inf
    assert math.isnan(theirs.correctness.max_relative_error)


def test_a_folder_of_exports_is_a_trace_set(recorded: Path, tmp_path: Path) -> None:
    """In the layout of FlashInfer-Bench's datasets, loaded by its own TraceSet: every trace finds its definition and solution."""
    data = pytest.importorskip("flashinfer_bench.data")
    with StoredRun.open(str(recorded)) as run:
        definition, workloads = run.definition(), run.workloads()
        solutions = {candidate.name: run.solution(candidate) for candidate in run.record().candidates}
    root, name = tmp_path / "set", definition.name
    _write(root / "definitions" / definition.op_type / f"{name}.json", definition.model_dump_json(exclude_none=True))
    lines = [{"definition": name, "workload": judged.workload.model_dump(mode="json"), "solution": None} for judged in workloads]
    _write(root / "workloads" / definition.op_type / f"{name}.jsonl", "\n".join(map(json.dumps, lines)))
    for solution in solutions.values():
        _write(root / "solutions" / "ksearch" / name / f"{solution.name}.json", solution.model_dump_json(exclude_none=True))
    _write(root / "traces" / definition.op_type / f"{name}.jsonl", exported(recorded, "trace", tmp_path))
    loaded = data.TraceSet.from_path(str(root))
    traces = loaded.traces[name]
    assert list(loaded.definitions) == [name]
    assert len(loaded.workloads[name]) == len(workloads)
    assert {trace.solution for trace in traces} <= {solution.name for solution in loaded.solutions[name]}
    assert {trace.workload.uuid for trace in traces} == {trace.workload.uuid for trace in loaded.workloads[name]}
    assert loaded.summary()["total"] == len(traces)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n", encoding="utf-8")


def test_infrastructure_gives_no_trace(recorded: Path) -> None:
    with StoredRun.open(str(recorded)) as run:
        record = run.record()
        first = record.candidates[0]
        lost = tuple(answer.model_copy(update={"status": "INFRASTRUCTURE"}) for answer in first.evaluations)
        only = record.model_copy(update={"candidates": (first.model_copy(update={"evaluations": lost}),)})
        assert list(traces_of(run, only)) == []


def test_graphml_reads_back_as_the_same_tree(folder: Path, run: StoredRun, tmp_path: Path) -> None:
    import networkx as nx

    graph = nx.parse_graphml(exported(folder, "graphml", tmp_path), node_type=int)
    record = run.record()
    assert set(graph.nodes) == {node.id for node in record.nodes}
    for node in record.nodes[1:]:
        assert list(graph.predecessors(node.id)) == [node.parent]
        assert graph.nodes[node.id].get("gain") == node.gain
        assert graph.nodes[node.id]["N"] == node.N


def test_dot_has_every_node_and_edge(folder: Path, run: StoredRun, tmp_path: Path) -> None:
    text, record = exported(folder, "dot", tmp_path), run.record()
    assert len(re.findall(r"^  \d+ \[label=", text, re.MULTILINE)) == len(record.nodes)
    assert set(re.findall(r"(\d+) -> (\d+)", text)) == {(str(node.parent), str(node.id)) for node in record.nodes[1:]}
    if shutil.which("dot"):
        subprocess.run(["dot", "-Tsvg", "-o", "/dev/null"], input=text, text=True, check=True)


def test_csv_reads_back(folder: Path, run: StoredRun, tmp_path: Path) -> None:
    export_run(str(folder), None, form="csv", node=None, output=tmp_path / "tables")
    rows = list(csv.DictReader((tmp_path / "tables" / "nodes.csv").open(encoding="utf-8", newline="")))
    record = run.record()
    assert [int(row["node"]) for row in rows] == [node.id for node in record.nodes]
    assert [row["gain"] for row in rows] == ["" if node.gain is None else repr(node.gain) for node in record.nodes]
    candidates = list(csv.DictReader((tmp_path / "tables" / "candidates.csv").open(encoding="utf-8", newline="")))
    assert len(candidates) == len(record.candidates)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "\r=1"])
def test_no_text_is_a_formula_and_numbers_stay_numbers(text: str) -> None:
    _, cells = csv.reader(io.StringIO(csv_text([{"text": text, "gain": -0.5, "none": None}]), newline=""))
    assert cells[0][0] not in "=+-@\t\r "
    assert cells[1:] == ["-0.5", ""]


def test_json_is_the_record(folder: Path, run: StoredRun, tmp_path: Path) -> None:
    assert RunRecord.model_validate_json(exported(folder, "json", tmp_path)) == run.record()


def test_kernels_of_the_incumbent_and_of_any_node(folder: Path, run: StoredRun, tmp_path: Path) -> None:
    record = run.record()
    assert record.incumbent is not None
    solution = Solution.model_validate_json(exported(folder, "solution", tmp_path))
    assert solution == run.solution(record.candidates[record.incumbent.candidate])
    root = Solution.model_validate_json(exported(folder, "solution", tmp_path, node=0))
    assert root == run.solution(record.candidates[0])


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        ({"form": "xml"}, "one of solution"),
        ({"form": "csv"}, "--output"),
        ({"form": "json", "node": 1}, "--node goes with"),
        ({"form": "solution", "node": 999}, "has no node 999"),
    ],
)
def test_what_cant_be_done_is_refused(folder: Path, arguments: dict[str, object], hint: str) -> None:
    with pytest.raises(BadInput, match=re.escape(hint)):
        export_run(str(folder), None, **{"node": None, "output": None, **arguments})  # type: ignore[arg-type]


def test_hostile_text_is_inert_in_every_format(hostile: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import networkx as nx

    with StoredRun.open(str(hostile)) as run:
        record = run.record()
        rows, dot, graphml = run.nodes(), dot_text(record), graphml_text(record)
    assert printable(csv_text(rows).replace("\r\n", "\n"))
    assert printable(dot)
    assert not re.search(r"(?<!\\)(\\\\)*\\[NGELTHrl]", dot), "no escape of Graphviz's own but the line end of labels"
    assert printable(graphml)
    assert "<script>" not in graphml
    assert nx.parse_graphml(graphml, node_type=int).nodes[1]["technique"].endswith('"\\N')
    for form, node in (("solution", 1), ("json", None)):
        export_run(str(hostile), None, form=form, node=node, output=None)
        out = capsys.readouterr().out
        assert out.isascii()
        assert printable(out)
    assert json.loads(record.model_dump_json())["definition"] == HOSTILE


def test_a_definition_is_read_from_the_run(recorded: Path) -> None:
    with StoredRun.open(str(recorded)) as run:
        assert isinstance(run.definition(), Definition)
        assert len(run.subset()) == 10
