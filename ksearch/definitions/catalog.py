"""The definitions that come with ksearch, and finding one by name, alias, prefix or file."""

from __future__ import annotations

import difflib
import json
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import ValidationError

from ksearch.definitions.schema import Definition, Workload
from ksearch.definitions.untrusted import MAX_JSON_BYTES, first_problem, read_text
from ksearch.errors import BadInput

if TYPE_CHECKING:
    from ksearch.definitions.dataset import Dataset

DATA = Path(__file__).parent / "data"
"""A FlashInfer-Trace dataset root of its own: definitions/ and workloads/; workloads_cpu/ holds small ones."""

DeviceKind = Literal["cpu", "cuda"]

ALIASES = {
    "dsa_topk": "dsa_topk_indexer_fp8_h64_d128_topk2048_ps64",
    "dsa_attention": "dsa_sparse_attention_h16_ckv512_kpe64_topk2048_ps64",
    "moe_fp8": "moe_fp8_block_scale_ds_routing_topk8_ng8_kg4_e32_h7168_i2048",
    "gdn_decode": "gdn_decode_qk4_v8_d128_k_last",
    "gdn_prefill": "gdn_prefill_qk4_v8_d128_k_last",
    "rmsnorm": "rmsnorm_h4096",
    "fused_add_rmsnorm": "fused_add_rmsnorm_h4096",
    "softmax": "softmax_h4096",
    "gemm": "gemm_n4096_k4096",
    "gemm_fp8": "gemm_fp8_block_scale_n4096_k4096",
    "gqa_decode": "gqa_paged_decode_h32_kv4_d128_ps1",
    "mla_decode": "mla_paged_decode_h16_ckv512_kpe64_ps1",
}


def alias_of(name: str) -> str | None:
    return next((alias for alias, full in ALIASES.items() if full == name), None)


@lru_cache(maxsize=1)
def bundled_files() -> dict[str, Path]:
    """Name and JSON file of every bundled definition, in order of names; nothing is parsed."""
    return {path.stem: path for path in sorted(DATA.glob("definitions/*/*.json"), key=lambda path: path.stem)}


@lru_cache(maxsize=64)
def _bundled(name: str) -> Definition:
    return definition_file(bundled_files()[name])


def definition_file(path: Path) -> Definition:
    """A Definition from a JSON file; BadInput names the file and the field."""
    try:
        return Definition.model_validate_json(read_text(path, MAX_JSON_BYTES, follow=True))
    except ValidationError as error:
        raise BadInput(f"{path} is not a FlashInfer-Trace definition: {first_problem(error)}") from error


def all_definitions(dataset: Dataset | None = None) -> tuple[Definition, ...]:
    """The dataset's and the bundled definitions by name; the dataset's own win over bundled ones of the same name."""
    found = {name: _bundled(name) for name in bundled_files()}
    found.update(dataset.definitions if dataset else {})
    return tuple(found[name] for name in sorted(found))


def load_definition(query: str, dataset: Dataset | None = None) -> Definition:
    """The definition that `query` names: a JSON file, an exact name, an alias, or an unambiguous prefix of either.

    Raises BadInput listing the candidates of an ambiguous prefix, or the nearest names of an unknown one.
    """
    if query.endswith(".json") or "/" in query or "\\" in query:
        return definition_file(Path(query))
    name = resolve_name(query, set(dataset.definitions) if dataset else set())
    if dataset and name in dataset.definitions:
        return dataset.definitions[name]
    return _bundled(name)


def resolve_name(query: str, more: set[str] | None = None) -> str:
    """The full name behind a name, alias or prefix, among the bundled definitions and `more`."""
    names = {*bundled_files(), *(more or ())}
    if query in names:
        return query
    if query in ALIASES:
        return ALIASES[query]
    spellings = {**{name: name for name in names}, **ALIASES}
    matches: list[str] = sorted({full for spelling, full in spellings.items() if query and spelling.startswith(query)})
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise BadInput(f"definition {query!r} is ambiguous: {', '.join(matches)}")
    near = difflib.get_close_matches(query, spellings, n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(near)}?" if near else "see `ksearch definitions`"
    raise BadInput(f"unknown definition {query!r}: {hint}")


@lru_cache(maxsize=64)
def bundled_workloads(name: str, device_kind: DeviceKind) -> tuple[Workload, ...]:
    """The bundled workloads of a definition for a kind of device; empty for a definition that isn't bundled."""
    if name not in bundled_files():
        return ()
    folder = "workloads_cpu" if device_kind == "cpu" else "workloads"
    path = DATA / folder / bundled_files()[name].parent.name / f"{name}.jsonl"
    return tuple(Workload.model_validate(json.loads(line)["workload"]) for line in path.read_text(encoding="utf-8").splitlines())


def workloads_for(definition: Definition, device_kind: DeviceKind, dataset: Dataset | None = None) -> tuple[Workload, ...]:
    """The full set of workloads: the dataset's where it has some, else the bundled ones for this kind of device."""
    own = dataset.complete_workloads(definition.name) if dataset else ()
    if found := own or bundled_workloads(definition.name, device_kind):
        return found
    raise BadInput(f"no workloads are known for {definition.name}: give a file with --workloads, or a dataset that has some with --dataset")


def definition_json(definition: Definition) -> str:
    """The Definition as FlashInfer-Trace JSON: what is unset is left out, so that flashinfer_bench reads back the same."""
    return definition.model_dump_json(indent=2, exclude_unset=True)
