"""GPU families: what they cover, and that every step of every plan changes the code. What the code does is tested apart."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ksearch.coder.playbook.dsa_topk_triton import FAMILIES as DSA_TOPK
from ksearch.coder.playbook.gdn_decode_cuda import FAMILIES as GDN_DECODE
from ksearch.coder.playbook.mechanism import Family, Rendering, fallbacks_of
from ksearch.coder.playbook.rmsnorm_cuda import FAMILIES as RMSNORM
from ksearch.coder.playbook.rmsnorm_cuda.family import epsilon_of
from ksearch.coder.types import Target
from ksearch.definitions.schema import Definition
from ksearch.tree.types import Plan
from ksearch.worldmodel.catalogue import Config

BOTH = ("triton", "cuda")
SM90 = Target("cuda", "sm_90", BOTH)
TARGETS = (SM90, Target("cuda", "sm_100", ("cuda", "triton")), Target("cuda", "sm_90", ("triton",)), Target("cuda", "sm_90", ("cuda",)))

Pairs = Mapping[str, tuple[Family, Definition]]


@pytest.fixture(scope="module")
def pairs(
    dsa: tuple[Family, Definition], rmsnorm: tuple[Family, Definition], gdn: tuple[Family, Definition]
) -> dict[str, tuple[Family, Definition]]:
    return {"dsa": (DSA_TOPK[0], dsa[1]), "rmsnorm": (RMSNORM[0], rmsnorm[1]), "gdn": (GDN_DECODE[0], gdn[1])}


def source_of(rendering: Rendering) -> str:
    ((_, text),) = rendering.sources
    return text


@pytest.mark.parametrize("name", ["dsa", "rmsnorm", "gdn"])
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_random_walk_stays_legal_and_changes_the_code_at_every_step(pairs: Pairs, name: str, data: st.DataObject) -> None:
    family, definition = pairs[name]
    target = data.draw(st.sampled_from([target for target in TARGETS if family.covers(definition, target)]))
    catalogue = family.catalogue(definition, target)
    plan: Plan = ()
    rendering = family.render(definition, target, catalogue.defaults)
    assert rendering.language in target.languages
    for _ in range(data.draw(st.integers(1, 16))):
        if not (legal := catalogue.legal(plan)):
            break
        plan = (*plan, data.draw(st.sampled_from(legal)).action())
        config = catalogue.config(plan)
        child = family.render(definition, target, config)
        assert child == family.render(definition, target, dict(config)), "rendering is pure"
        assert child.sources != rendering.sources, f"{plan[-1].key} changes nothing after {[a.key for a in plan[:-1]]}"
        assert child.language in target.languages
        check_source(child)
        rendering = child


def check_source(rendering: Rendering) -> None:
    text = source_of(rendering)
    if rendering.language == "triton":
        functions = [node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)]
        names = [function.name for function in functions]
        assert names[-1] == "run"
        assert len(names) == len(set(names))
        unused = [name for name in names[:-1] if text.count(f"{name}(") + text.count(f"{name}[") < 2]
        assert not unused, f"never called: {unused}"
        assert "#%" not in text
    else:
        assert rendering.binding == "tvm-ffi"
        assert text.count("TVM_FFI_DLL_EXPORT_TYPED_FUNC(run") == 1
        assert text.count("{") == text.count("}")
        assert "//%" not in text


@pytest.mark.parametrize("name", ["dsa", "rmsnorm", "gdn"])
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_variants_for_repairs_are_code_too(pairs: Pairs, name: str, data: st.DataObject) -> None:
    """Python names must all be bound; for C++ the compiler finds out, in another test."""
    family, definition = pairs[name]
    catalogue = family.catalogue(definition, SM90)
    plan: Plan = ()
    for _ in range(data.draw(st.integers(4, 16))):
        if not (legal := catalogue.legal(plan)):
            break
        plan = (*plan, data.draw(st.sampled_from(legal)).action())
    for other in fallbacks_of(family, catalogue.config(plan), "numerics"):
        check_bound(family.render(definition, SM90, other))


def check_bound(rendering: Rendering) -> None:
    check_source(rendering)
    if rendering.language != "triton":
        return
    module = ast.parse(source_of(rendering))
    bound = {"torch", "triton", "tl", "range", "min", "max"}
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef):
            bound |= {node.name, *(argument.arg for argument in node.args.args)}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            bound.add(node.id)
    used = {node.id for node in ast.walk(module) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    assert not used - bound
    assert arities_agree(module)


def arities_agree(module: ast.Module) -> bool:
    """Calls of this file's own functions give as many arguments as they take."""
    takes = {node.name: len(node.args.args) for node in module.body if isinstance(node, ast.FunctionDef)}
    calls = [node for node in ast.walk(module) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    return all(len(call.args) == takes[call.func.id] for call in calls if isinstance(call.func, ast.Name) and call.func.id in takes)


@pytest.mark.parametrize("name", ["dsa", "rmsnorm", "gdn"])
def test_claims_are_sane(pairs: Pairs, name: str) -> None:
    family, definition = pairs[name]
    techniques = family.catalogue(definition, SM90).techniques
    assert len(techniques) >= 20
    assert all(0 < t.p_success < 1 and t.gain_sd > 0 and 1 <= t.difficulty <= 5 and t.intent and t.rationale for t in techniques)


@pytest.mark.parametrize("name", ["rmsnorm", "gdn"])
@pytest.mark.parametrize("languages", [("triton",), ("cuda",)])
def test_one_language_stays_in_it(pairs: Pairs, name: str, languages: tuple[str, ...]) -> None:
    family, definition = pairs[name]
    target = Target("cuda", "sm_90", languages)
    catalogue = family.catalogue(definition, target)
    assert "rewrite_in" not in Counter(technique.id for technique in catalogue.techniques)
    assert catalogue.defaults["language"] == languages[0]


@pytest.mark.parametrize("name", ["rmsnorm", "gdn"])
def test_with_two_languages_the_other_can_be_reached(pairs: Pairs, name: str) -> None:
    family, definition = pairs[name]
    for languages in (BOTH, BOTH[::-1]):
        catalogue = family.catalogue(definition, Target("cuda", "sm_90", languages))
        rewrites = [technique for technique in catalogue.techniques if technique.id == "rewrite_in"]
        assert [technique.parameter for technique in rewrites] == [languages[1]]
        assert catalogue.defaults["language"] == languages[0]


@pytest.mark.parametrize("name", ["dsa", "rmsnorm", "gdn"])
def test_other_devices_and_types_are_not_covered(pairs: Pairs, name: str) -> None:
    family, definition = pairs[name]
    assert family.covers(definition.model_copy(update={"name": "mine"}), SM90)
    assert not family.covers(definition, Target("cpu", None, (*BOTH, "python", "cpp")))
    assert not family.covers(definition, Target("cuda", "sm_90", ("python",)))
    first, spec = next(iter(definition.inputs.items()))
    changed = {**definition.inputs, first: spec.model_copy(update={"dtype": "float16"})}
    assert not family.covers(definition.model_copy(update={"inputs": changed}), SM90)


def test_triton_has_no_e4m3_before_ada(pairs: Pairs) -> None:
    family, definition = pairs["dsa"]
    assert not family.covers(definition, Target("cuda", "sm_80", BOTH))


def test_float32_products_never_meet_the_largest_tile(pairs: Pairs) -> None:
    """Their operands would not fit shared memory, whichever of the two steps came first."""
    family, definition = pairs["dsa"]
    catalogue = family.catalogue(definition, SM90)
    by_key = {technique.key: technique for technique in catalogue.techniques}
    assert "tile|tiles|tokens=256" not in {technique.key for technique in catalogue.legal(())}
    narrow = (by_key["scale_sums|dequantisation|"].action(), by_key["tensor_cores|products|f16"].action())
    assert "tile|tiles|tokens=256" in {technique.key for technique in catalogue.legal(narrow)}
    config: Config = {**catalogue.config(narrow), "tile": 256}
    assert all(other["dot"] == "f16" or other["tile"] == 64 for other in fallbacks_of(family, config, None))


@pytest.mark.parametrize(("body", "epsilon"), [
    ("EPS = 1e-6\n", 1e-6), ("def run(x):\n    return x.rsqrt(x.mean() + 1e-5)", 1e-5), ("def run(x):\n    return x + 1.0", None),
    ("def run(x):\n    return (x + 1e-5) * (x + 1e-6)", None),
])
def test_epsilon_is_read_from_the_reference(body: str, epsilon: float | None) -> None:
    assert epsilon_of(body) == epsilon
