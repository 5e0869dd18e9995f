from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from ksearch.coder.playbook.registry import family_for
from ksearch.coder.types import Target
from ksearch.definitions.catalog import load_definition, workloads_for
from ksearch.definitions.regimes import stratified
from ksearch.landscapes.landscape import Landscape, save
from ksearch.landscapes.madeup import synthetic_landscape

CUDA = Target("cuda", "sm_90", ("cuda",))


@cache
def landscape(definition: str = "gdn_decode", most: int = 120, seed: int = 4) -> Landscape:
    found = load_definition(definition)
    workloads = stratified(found, workloads_for(found, "cuda"), 4, 0)
    return synthetic_landscape(family_for(found, CUDA), found, CUDA, workloads, most=most, seed=seed)


@pytest.fixture
def landscape_file(tmp_path: Path) -> Path:
    path = tmp_path / "one.landscape.json.xz"
    save(landscape(), path)
    return path
