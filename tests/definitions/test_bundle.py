"""The bundled data: valid for flashinfer_bench and for ksearch, and true to the recorded facts."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from flashinfer_bench.data import Definition as TheirDefinition
from flashinfer_bench.data import Trace as TheirTrace
from flashinfer_bench.data import TraceSet

from ksearch.definitions.catalog import ALIASES, DATA, all_definitions, bundled_files, bundled_workloads, definition_json, load_definition
from ksearch.definitions.embed import reference_source
from ksearch.definitions.kits import kit_for
from ksearch.definitions.regimes import regime_counts
from ksearch.definitions.schema import Definition, ScalarInput

NAMES = list(bundled_files())


@pytest.mark.parametrize("name", NAMES)
def test_both_schemas_read_the_same_definition(name: str) -> None:
    text = bundled_files()[name].read_text()
    theirs = TheirDefinition.model_validate_json(text)
    ours = Definition.model_validate_json(text)
    assert TheirDefinition.model_validate_json(definition_json(ours)) == theirs
    assert Definition.model_validate_json(theirs.model_dump_json()) == ours
    assert json.loads(definition_json(ours)) == json.loads(text)
    assert bundled_files()[name].parent.name == ours.op_type
    assert list(theirs.inputs) == list(ours.inputs)


@pytest.mark.parametrize("name", NAMES)
def test_json_embeds_the_reference_file(name: str) -> None:
    assert load_definition(name).reference == reference_source(name)


@pytest.mark.parametrize("folder", ["workloads", "workloads_cpu"])
@pytest.mark.parametrize("name", NAMES)
def test_every_workload_is_a_flashinfer_trace(name: str, folder: str) -> None:
    definition = load_definition(name)
    lines = (DATA / folder / definition.op_type / f"{name}.jsonl").read_text().splitlines()
    theirs = [TheirTrace.model_validate_json(line) for line in lines]
    ours = bundled_workloads(name, "cpu" if folder.endswith("cpu") else "cuda")
    assert [trace.workload.uuid for trace in theirs] == [workload.uuid for workload in ours]
    assert len({workload.uuid for workload in ours}) == len(ours)
    for trace, workload in zip(theirs, ours, strict=True):
        assert trace.is_workload_trace()
        assert trace.definition == name
        assert set(trace.workload.axes) == set(definition.var_axes)
        assert set(workload.inputs) == set(definition.inputs)
        scalars = {name for name, spec in definition.inputs.items() if spec.shape is None}
        assert {name for name, spec in workload.inputs.items() if isinstance(spec, ScalarInput)} == scalars


def test_trace_set_reads_the_bundle_as_a_dataset() -> None:
    traces = TraceSet.from_path(str(DATA))
    assert set(traces.definitions) == set(NAMES)
    assert set(traces.workloads) == set(NAMES)


def test_every_bundled_operator_has_its_own_kit_and_alias() -> None:
    assert set(ALIASES.values()) == set(NAMES)
    kits = [kit_for(definition).name for definition in all_definitions()]
    assert "generic" not in kits
    assert set(kits) >= {"dsa_topk", "dsa_attention", "gdn_decode", "gdn_prefill", "gemm", "gemm_fp8", "moe_fp8", "rmsnorm", "softmax"}


def test_the_recorded_topk_workloads() -> None:
    definition = load_definition("dsa_topk")
    workloads = bundled_workloads(definition.name, "cuda")
    lengths = [workload.recipe.lengths for workload in workloads]
    assert len(workloads) == 128
    assert regime_counts(definition, workloads) == {"short": 69, "medium": 39, "long": 20}
    assert all(len(row) == workload.axes["batch_size"] for row, workload in zip(lengths, workloads, strict=True))
    assert all(workload.axes["max_num_pages"] == -(-max(row) // 64) for row, workload in zip(lengths, workloads, strict=True))
    assert {workload.axes["num_pages"] for workload in workloads} == {11923}
    over = [[n for n in row if n > 2048] for row in lengths]
    assert sorted(len(row) for row in over) == [0] * 69 + [1] * 59
    assert sum(2112 <= row[0] <= 2817 for row in over if row) == 39
    assert sum(5194 <= row[0] <= 5806 for row in over if row) == 20
    assert {len(row) for row in lengths} <= set(range(1, 32))
    assert workloads[0].uuid == "30cecff1-7ea4-474b-90fc-7f4a87206d8e"


@pytest.mark.parametrize(
    ("alias", "count", "axis", "least", "greatest"),
    [
        ("dsa_attention", 23, "num_tokens", 1, 8),
        ("moe_fp8", 19, "seq_len", 1, 14107),
        ("gdn_decode", 54, "batch_size", 1, 64),
        ("gdn_prefill", 100, "total_seq_len", 6, 8192),
    ],
)
def test_the_other_recorded_workloads(alias: str, count: int, axis: str, least: int, greatest: int) -> None:
    workloads = bundled_workloads(load_definition(alias).name, "cuda")
    values = [workload.axes[axis] for workload in workloads]
    assert (len(values), min(values), max(values)) == (count, least, greatest)


def test_regimes_agree_with_and_without_recorded_lengths() -> None:
    """A public dataset keeps lengths in safetensors; the block table's width must tell the same regime."""
    definition = load_definition("dsa_topk")
    for workload in bundled_workloads(definition.name, "cuda"):
        bare = workload.model_copy(update={"recipe": type(workload.recipe)()})
        assert kit_for(definition).regime(definition, bare) == kit_for(definition).regime(definition, workload)


def test_listing_definitions_imports_no_torch() -> None:
    code = (
        "import sys\n"
        "import ksearch.cli.definitions\n"
        "from ksearch.definitions.catalog import all_definitions, bundled_workloads\n"
        "assert all(bundled_workloads(d.name, 'cuda') for d in all_definitions())\n"
        "assert not {'torch', 'flashinfer_bench', 'safetensors', 'triton'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
