from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass

import pytest
import torch

from ksearch.coder.playbook.generic import GenericFamily
from ksearch.coder.playbook.mechanism import Family, Rendering
from ksearch.coder.playbook.reference import float_constant
from ksearch.coder.playbook.registry import all_families, families_for, family_for, has_templates
from ksearch.coder.playbook.union import CHOICE, UnionFamily
from ksearch.coder.types import Target
from ksearch.definitions.schema import Definition
from ksearch.worldmodel.catalogue import Catalogue, Config, IllegalPlan, Technique

CPU = Target("cpu", None, ("python", "cpp"))


def test_families_are_found_by_definition(family_and_definition: tuple[Family, Definition]) -> None:
    family, definition = family_and_definition
    assert family.name in {found.name for found in all_families()}
    assert [found.name for found in families_for(definition, CPU)] == [family.name]
    chosen = family_for(definition, CPU)
    assert chosen.name == family.name
    assert has_templates(chosen)


def test_the_name_of_a_definition_does_not_matter(family_and_definition: tuple[Family, Definition]) -> None:
    family, definition = family_and_definition
    assert family.covers(definition.model_copy(update={"name": "mine"}), CPU)


def test_other_types_are_not_covered(family_and_definition: tuple[Family, Definition]) -> None:
    family, definition = family_and_definition
    name, spec = next(iter(definition.inputs.items()))
    changed = {**definition.inputs, name: spec.model_copy(update={"dtype": "float16"})}
    assert not family.covers(definition.model_copy(update={"inputs": changed}), CPU)


def reference(body: str, outputs: tuple[str, ...] = ("y",)) -> Definition:
    return Definition.model_validate({
        "name": "novel", "op_type": "novel", "axes": {"n": {"type": "var"}},
        "inputs": {"x": {"shape": ["n"], "dtype": "float32"}, "factor": {"shape": None, "dtype": "float32"}},
        "outputs": {name: {"shape": ["n"], "dtype": "float32"} for name in outputs},
        "reference": f"import torch\n\ndef run(x, factor):\n    {body}\n",
    })


@pytest.mark.parametrize(("body", "outputs"), [
    ("return x * factor", ("y",)), ("return (x * factor, x + 1)", ("y", "z")), ("return {'z': x + 1, 'y': x * factor}", ("y", "z")),
])
def test_without_templates_the_reference_is_wrapped(body: str, outputs: tuple[str, ...]) -> None:
    definition = reference(body, outputs)
    family = family_for(definition, CPU)
    assert not has_templates(family)
    catalogue = family.catalogue(definition, CPU)
    plans = [(), *((technique.action(),) for technique in catalogue.legal(()))]
    for plan in plans:
        namespace: dict[str, object] = {}
        exec(family.render(definition, CPU, catalogue.config(plan)).sources[0][1], namespace)
        x, results = torch.arange(3.0), [torch.full((3,), -7.0) for _ in outputs]
        namespace["run"](x, 2.0, *results)  # type: ignore[operator]
        assert torch.equal(results[0], x * 2)
        assert len(results) == 1 or torch.equal(results[1], x + 1)
    assert len(plans) > 1


def test_compilation_is_offered_on_cuda_alone() -> None:
    definition, family = reference("return x * factor"), GenericFamily()
    ids = {t.id for t in family.catalogue(definition, Target("cuda", "sm_90", ("python",))).techniques}
    assert "torch_compile" in ids
    assert "torch_compile" not in {t.id for t in family.catalogue(definition, CPU).techniques}


@dataclass(frozen=True)
class Toy:
    name: str

    def covers(self, definition: Definition, target: Target) -> bool:
        return True

    def catalogue(self, definition: Definition, target: Target) -> Catalogue:
        step = Technique("widen", "loop", {"block": 2}, "", "", 0.1, 0.1, 0.9, 1, needs={"block": (1,)})
        return Catalogue(self.name, {"block": 1}, (step,))

    def render(self, definition: Definition, target: Target, config: Config) -> Rendering:
        return Rendering("python", "kernel.py::run", (("kernel.py", f"# {self.name} {config['block']}\ndef run(): pass\n"),))

    def fallbacks(self, config: Config, failed_stage: str | None) -> tuple[Config, ...]:
        return ({**config, "block": 4},)


def test_several_families_are_one_space_with_a_choice_at_the_root() -> None:
    definition, union = reference("return x"), UnionFamily((Toy("toy/one"), Toy("toy/two")))
    catalogue = union.catalogue(definition, CPU)
    switch, one, two = catalogue.techniques
    assert {t.key for t in catalogue.legal(())} == {switch.key, one.key}
    other = catalogue.config((switch.action(), two.action()))
    assert union.render(definition, CPU, other).sources[0][1].startswith("# toy/two 2")
    assert union.render(definition, CPU, catalogue.config((one.action(),))).sources[0][1].startswith("# toy/one 2")
    with pytest.raises(IllegalPlan):
        catalogue.config((one.action(), switch.action()))
    (fallback,) = union.fallbacks(other, None)
    assert fallback[CHOICE] == "toy/two"
    assert fallback["toy/two:block"] == 4
    assert fallback["toy/one:block"] == 1


@pytest.mark.parametrize(("text", "value"), [
    ("EPS = 1e-6", 1e-6), ("def run():\n    eps = 1e-5", 1e-5), ("x = 1", None), ("EPS = 1e-6\neps = 1e-5", None),
])
def test_constants_of_references(text: str, value: float | None) -> None:
    assert float_constant(text, "eps") == value


def test_the_playbook_loads_without_torch() -> None:
    code = (
        "import sys; from ksearch.coder.playbook import coder, registry; registry.all_families(); "
        "assert not {'torch', 'triton', 'tvm_ffi', 'numpy'} & set(sys.modules), 'a template family imports it'"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stderr == ""
