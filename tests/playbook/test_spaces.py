"""Every reachable configuration renders to text of its own; a sample of them is run in test_numerics.py."""

from __future__ import annotations

import ast
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ksearch.coder.playbook.mechanism import Family, fallbacks_of
from ksearch.coder.types import Target
from ksearch.definitions.schema import Definition
from ksearch.tree.types import Plan

TARGETS = (
    Target("cpu", None, ("python", "cpp")), Target("cpu", None, ("python",)), Target("cpu", None, ("python", "cpp"), threads=4),
)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), target=st.sampled_from(TARGETS))
def test_a_random_walk_stays_legal_and_changes_the_code_at_every_step(
    family_and_definition: tuple[Family, Definition], data: st.DataObject, target: Target
) -> None:
    family, definition = family_and_definition
    catalogue = family.catalogue(definition, target)
    plan: Plan = ()
    rendering = family.render(definition, target, catalogue.config(plan))
    for _ in range(data.draw(st.integers(1, 16))):
        legal = catalogue.legal(plan)
        if not legal:
            break
        plan = (*plan, data.draw(st.sampled_from(legal)).action())
        config = catalogue.config(plan)
        child = family.render(definition, target, config)
        assert child == family.render(definition, target, dict(config)), "rendering is pure"
        assert child.sources != rendering.sources, f"{plan[-1].key} changes nothing after {[a.key for a in plan[:-1]]}"
        assert child.language in target.languages
        check_source(child.language, child.sources[0][1])
        for other in fallbacks_of(family, config, "numerics"):
            family.render(definition, target, other)
        rendering = child


def check_source(language: str, text: str) -> None:
    if language == "python":
        module = ast.parse(text)
        assert [node.name for node in module.body if isinstance(node, ast.FunctionDef)][-1] == "run"
    else:
        assert text.count("TVM_FFI_DLL_EXPORT_TYPED_FUNC(run") == 1
        assert text.count("{") == text.count("}")
        assert text.count("#if") == text.count("#endif")
        assert "//%" not in text


def test_every_technique_can_be_reached(family_and_definition: tuple[Family, Definition]) -> None:
    family, definition = family_and_definition
    catalogue = family.catalogue(definition, TARGETS[2])
    reached: set[str] = set()
    frontier: list[Plan] = [()]
    seen = {frozenset(catalogue.defaults.items())}
    while frontier and len(reached) < len(catalogue.techniques):
        plan = frontier.pop()
        for technique in catalogue.legal(plan):
            child = (*plan, technique.action())
            state = frozenset(catalogue.config(child).items())
            if technique.key not in reached or (state not in seen and len(seen) < 3000):
                frontier.append(child)
            reached.add(technique.key)
            seen.add(state)
    assert reached == {technique.key for technique in catalogue.techniques}


def test_claims_are_sane(family_and_definition: tuple[Family, Definition]) -> None:
    family, definition = family_and_definition
    techniques = family.catalogue(definition, TARGETS[2]).techniques
    assert len(techniques) >= 8
    assert all(0 < t.p_success < 1 and t.gain_sd > 0 and 1 <= t.difficulty <= 5 for t in techniques)
    assert all(t.intent and t.rationale for t in techniques)


def test_without_cpp_no_technique_leads_to_it(family_and_definition: tuple[Family, Definition]) -> None:
    family, definition = family_and_definition
    ids = Counter(technique.id for technique in family.catalogue(definition, TARGETS[1]).techniques)
    assert "rewrite_in" not in ids
    assert ids


def test_threads_are_offered_only_when_there_are_several(dsa: tuple[Family, Definition]) -> None:
    family, definition = dsa
    offered = [any(t.id == "threads" for t in family.catalogue(definition, target).techniques) for target in TARGETS]
    assert offered == [False, False, True]


@pytest.mark.parametrize("device", ["cuda"])
def test_cpu_families_leave_other_devices_alone(family_and_definition: tuple[Family, Definition], device: str) -> None:
    family, definition = family_and_definition
    assert not family.covers(definition, Target(device, "sm_90", ("python", "triton", "cuda")))
