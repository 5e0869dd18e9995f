"""The corpus as data: whole, sound, and every hack in at least two spellings where it can be tried."""

from __future__ import annotations

import ast
from collections import Counter

import pytest

from ksearch.attack.corpus_files import NEUTRALISED, corpus
from ksearch.attack.hacks import HACKS, NOT_THE_JUDGES, why_not
from ksearch.judge.verdict import Status


def test_every_hack_is_tried_in_two_spellings_or_says_why_not() -> None:
    for device in ("cpu", "cuda"):
        tried = Counter(entry.hack for entry in corpus() if device in entry.devices)
        for hack in HACKS:
            assert tried[hack] >= 2 or why_not(hack, device), f"{hack} on {device}: {tried[hack]} spellings"
            assert not (tried[hack] and why_not(hack, device)), f"{hack} on {device} is tried, and said not to be"
    assert set(NOT_THE_JUDGES) == {"H47", "H48"}


@pytest.mark.parametrize("entry", corpus(), ids=lambda entry: entry.name)
def test_entries_are_sound(entry) -> None:  # type: ignore[no-untyped-def]
    names = {other.name for other in corpus()}
    assert entry.twin in names, "its honest twin is missing"
    assert set(entry.expect) - {NEUTRALISED, *Status} == set()
    assert set(entry.expect).isdisjoint({Status.COMPILE_ERROR, Status.INFRASTRUCTURE}), "that would test nothing"
    for source in entry.solution.sources:
        if source.path.endswith(".py"):
            ast.parse(source.content)
    if entry.hack is None:
        assert entry.expect == ("PASSED",)


def test_every_language_has_honest_kernels() -> None:
    for device, languages in {"cpu": {"python", "cpp"}, "cuda": {"python", "triton", "cuda"}}.items():
        found = {entry.solution.spec.language for entry in corpus() if entry.hack is None and device in entry.devices}
        assert languages <= found
