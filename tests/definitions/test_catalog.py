"""Names, aliases, prefixes, files; regimes, subsets and selections."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ksearch.definitions.catalog import ALIASES, DATA, bundled_workloads, load_definition, resolve_name, workloads_for
from ksearch.definitions.regimes import regime_counts, regime_of, stratified, weighted
from ksearch.definitions.selection import select_workloads
from ksearch.errors import BadInput

TOPK = load_definition("dsa_topk")
ALL = bundled_workloads(TOPK.name, "cuda")


def test_names_aliases_and_prefixes() -> None:
    assert all(resolve_name(alias) == name == resolve_name(name) for alias, name in ALIASES.items())
    assert resolve_name("dsa_t") == ALIASES["dsa_topk"]
    assert resolve_name("rms") == "rmsnorm_h4096"
    assert resolve_name("gemm") == "gemm_n4096_k4096"
    assert resolve_name("dsa_sparse") == ALIASES["dsa_attention"]


def test_an_ambiguous_prefix_lists_its_names() -> None:
    with pytest.raises(BadInput, match=r"'gdn' is ambiguous: gdn_decode_qk4_v8_d128_k_last, gdn_prefill_qk4_v8_d128_k_last"):
        resolve_name("gdn")


@pytest.mark.parametrize(
    ("typo", "nearest"), [("dsa_tpok", "dsa_topk"), ("rmsnrom", "rmsnorm"), ("sofmax", "softmax"), ("moefp8", "moe_fp8")]
)
def test_an_unknown_name_suggests_the_nearest(typo: str, nearest: str) -> None:
    with pytest.raises(BadInput, match=rf"unknown definition '{typo}': did you mean .*{nearest}"):
        load_definition(typo)


@pytest.mark.parametrize("query", ["", "qqqqqqq"])
def test_nothing_near_points_to_the_list(query: str) -> None:
    with pytest.raises(BadInput, match="ksearch definitions"):
        load_definition(query)


def test_a_definition_file(tmp_path: Path) -> None:
    source = DATA / "definitions" / "rmsnorm" / "rmsnorm_h4096.json"
    assert load_definition(str(source)) == load_definition("rmsnorm")
    broken = tmp_path / "broken.json"
    with pytest.raises(BadInput, match=r"broken\.json.*[Nn]o such file"):
        load_definition(str(broken))
    broken.write_text("{")
    with pytest.raises(BadInput, match=r"broken\.json is not a FlashInfer-Trace definition"):
        load_definition(str(broken))
    content = json.loads(source.read_text())
    content["inputs"]["weight"]["shape"] = ["nowhere"]
    broken.write_text(json.dumps(content))
    with pytest.raises(BadInput, match="nowhere"):
        load_definition(str(broken))


def test_a_definition_without_workloads_says_what_to_give() -> None:
    alone = TOPK.model_copy(update={"name": "mine"})
    with pytest.raises(BadInput, match="--workloads"):
        workloads_for(alone, "cpu")
    assert workloads_for(TOPK, "cuda") == ALL


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(1, 140), st.integers(0, 2**32))
def test_a_stratified_subset_stands_for_the_full_set(k: int, seed: int) -> None:
    chosen = stratified(TOPK, ALL, k, seed)
    assert chosen == stratified(TOPK, ALL, k, seed)
    assert len(chosen) == min(max(k, 6), len(ALL))
    assert sum(j.weight for j in chosen) == pytest.approx(1)
    uuids = [j.workload.uuid for j in chosen]
    assert uuids == [w.uuid for w in ALL if w.uuid in set(uuids)]
    for regime, count in regime_counts(TOPK, ALL).items():
        members = [w for w in ALL if regime_of(TOPK, w) == regime]
        longest = [max(w.recipe.lengths) for w in members]
        picked = [j for j in chosen if j.regime == regime]
        assert {min(longest), max(longest)} <= {max(j.workload.recipe.lengths) for j in picked}
        assert sum(j.weight for j in picked) == pytest.approx(count / len(ALL))
        assert len({j.weight for j in picked}) == 1


def test_another_seed_draws_other_members() -> None:
    assert stratified(TOPK, ALL, 12, 1) != stratified(TOPK, ALL, 12, 2)


def test_stratified_with_single_member_regimes() -> None:
    gemm = load_definition("gemm_fp8")
    workloads = bundled_workloads(gemm.name, "cpu")
    chosen = stratified(gemm, workloads, 3, 0)
    assert {j.regime: round(j.weight, 6) for j in chosen} == {"m1-16": 0.4, "m17-512": 0.2}


def test_selecting_everything_is_the_plain_mean() -> None:
    assert select_workloads(TOPK, ALL) == weighted(TOPK, ALL)
    assert {j.weight for j in weighted(TOPK, ALL)} == {1 / 128}


def test_selecting_regimes_uuids_and_weights() -> None:
    assert len(select_workloads(TOPK, ALL, "short")) == 69
    assert len(select_workloads(TOPK, ALL, "medium, long")) == 59
    one = ALL[5].uuid
    assert [j.workload.uuid for j in select_workloads(TOPK, ALL, one[:8])] == [one]
    picked = select_workloads(TOPK, ALL, f"long=3,{one}=1")
    assert sum(j.weight for j in picked if j.regime == "long") == pytest.approx(0.75)
    assert len(picked) == 21


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("tiny", r"'tiny' is no regime \(short"),
        ("", "no regime"),
        ("short,all", "twice"),
        ("short=1,long", "every item or to none"),
        ("short=0", "positive number"),
        ("short=nan", "positive number"),
        ("short=-1", "positive number"),
        ("short=x", "positive number"),
        ("nowhere.jsonl", "nowhere.jsonl"),
    ],
)
def test_bad_selections_are_refused(spec: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        select_workloads(TOPK, ALL, spec)


def test_selection_files(tmp_path: Path) -> None:
    names = tmp_path / "subset.txt"
    names.write_text(f"# mine\nlong=2\n{ALL[0].uuid}=1  # the smallest\n\n")
    assert len(select_workloads(TOPK, ALL, str(names))) == 21
    own = tmp_path / "own.jsonl"
    lines = [{"definition": TOPK.name, "workload": w.model_dump(mode="json"), "weight": n + 1} for n, w in enumerate(ALL[:3])]
    own.write_text("\n".join(json.dumps(line) for line in lines) + "\n")
    assert [j.weight for j in select_workloads(TOPK, (), str(own))] == pytest.approx([1 / 6, 2 / 6, 3 / 6])
    own.write_text(json.dumps({**lines[0], "definition": "rmsnorm_h4096"}))
    with pytest.raises(BadInput, match=r"own\.jsonl:1: a workload of 'rmsnorm_h4096'"):
        select_workloads(TOPK, (), str(own))
    own.write_text("\n\n{broken")
    with pytest.raises(BadInput, match=r"own\.jsonl:3"):
        select_workloads(TOPK, (), str(own))
    own.write_text("\n".join(json.dumps(lines[0]) for _ in range(2)))
    with pytest.raises(BadInput, match="twice"):
        select_workloads(TOPK, (), str(own))
    names.write_text("\n")
    with pytest.raises(BadInput, match="names no workload"):
        select_workloads(TOPK, ALL, str(names))
