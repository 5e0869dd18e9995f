"""`ksearch definitions` as a person and a script call it."""

from __future__ import annotations

import json

import pytest
import typer
from flashinfer_bench.data import Definition as TheirDefinition
from typer.testing import CliRunner

from ksearch.cli.definitions import definitions_command
from ksearch.definitions.catalog import DATA, bundled_files
from ksearch.errors import BadInput

app = typer.Typer()
app.command()(definitions_command)
runner = CliRunner()


def output(*arguments: str) -> str:
    result = runner.invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_list_has_a_line_for_each_definition() -> None:
    rows = [line.split("\t") for line in output().splitlines()]
    assert [row[1] for row in rows] == list(bundled_files())
    topk = next(row for row in rows if row[0] == "dsa_topk")
    assert topk[2:4] == ["dsa_paged", "cuda:128 cpu:12"]
    assert len(topk[4]) > 20


def test_the_list_as_json() -> None:
    found = json.loads(output("--json"))
    assert {entry["name"] for entry in found} == set(bundled_files())
    assert next(entry for entry in found if entry["alias"] == "gdn_decode")["workloads"] == {"cuda": 54, "cpu": 8}


@pytest.mark.parametrize("name", ["dsa_topk", "rms", "moe_fp8"])
def test_a_definition_s_json_is_flashinfer_bench_s(name: str) -> None:
    printed = TheirDefinition.model_validate_json(output(name, "--json"))
    assert printed == TheirDefinition.model_validate_json(bundled_files()[printed.name].read_text())


def test_describing_one() -> None:
    text = output("dsa_topk")
    for part in (
        "alias dsa_topk",
        "head_dim_with_scale\t132",
        "batch_size\tvar",
        "topk <= max_num_pages",
        "cuda\tshort\t69",
        "cpu\tlong\t2",
    ):
        assert part in text
    assert "k_index_cache_fp8\t[num_pages, page_size, kv_cache_num_heads, head_dim_with_scale]\tint8" in text


def test_a_dataset_comes_first() -> None:
    text = output("dsa_topk", "--dataset", str(DATA))
    assert "dataset\tmedium\t39" in text


def test_errors_are_bad_input() -> None:
    for arguments in (["nothing_like_it"], ["rmsnorm", "--dataset", "/nowhere"]):
        result = runner.invoke(app, arguments)
        assert isinstance(result.exception, BadInput)
        assert result.exception.exit_code == 2
