from __future__ import annotations

from dataclasses import replace

import pytest

from ksearch.coder.playbook.coder import PlaybookCoder
from ksearch.coder.playbook.mechanism import Family
from ksearch.coder.types import Draft, NothingToWrite, Target, WriteRequest
from ksearch.definitions.schema import Definition, Solution
from ksearch.tree.types import Plan, WriteMode
from ksearch.worldmodel.catalogue import IllegalPlan

CPU = Target("cpu", None, ("python", "cpp"))


def plan(family: Family, definition: Definition, *keys: str) -> Plan:
    found = {technique.key: technique.action() for technique in family.catalogue(definition, CPU).techniques}
    return tuple(found[key] for key in keys)


def request(definition: Definition, steps: Plan, mode: WriteMode = WriteMode.FIRST, attempt: int = 1,
            previous: Solution | None = None) -> WriteRequest:
    return WriteRequest(definition, CPU, steps, mode, attempt, previous=previous)


def written(answer: Draft | NothingToWrite) -> Solution:
    assert isinstance(answer, Draft), answer
    return answer.solution


def test_a_plan_becomes_a_solution_that_says_how_to_build_it(dsa: tuple[Family, Definition]) -> None:
    family, definition = dsa
    steps = plan(family, definition, "gather_pages|cache|", "rewrite_in|language|cpp")
    solution = written(PlaybookCoder(family).write(request(definition, steps)))
    assert solution.definition == definition.name
    assert solution.author == "ksearch playbook"
    assert solution.spec.language == "cpp"
    assert solution.spec.binding == "tvm-ffi"
    assert solution.spec.target_hardware == ("cpu",)
    assert solution.spec.destination_passing_style
    assert solution.spec.entry_point == "kernel.cpp::run"
    assert solution.digest[:16] in solution.name
    assert "rewrite_in|language|cpp" in (solution.description or "")


def test_the_root_is_the_empty_plan(dsa: tuple[Family, Definition]) -> None:
    family, definition = dsa
    coder = PlaybookCoder(family)
    root = coder.root(definition, CPU)
    assert root.digest == written(coder.write(request(definition, ()))).digest
    assert root.spec.language == "python"


def test_names_differ_where_code_does(dsa: tuple[Family, Definition]) -> None:
    family, definition = dsa
    coder = PlaybookCoder(family)
    names = {
        written(coder.write(request(definition, plan(family, definition, *keys)))).name
        for keys in ((), ("gather_pages|cache|",), ("skip_short|scoring|all",))
    }
    assert len(names) == 3


def test_an_illegal_plan_is_refused(dsa: tuple[Family, Definition]) -> None:
    family, definition = dsa
    steps = plan(family, definition, "rewrite_in|language|cpp")
    with pytest.raises(IllegalPlan, match="rewrite_in"):
        PlaybookCoder(family).write(request(definition, steps))


def test_repairs_are_new_code_that_keeps_the_last_step(dsa: tuple[Family, Definition]) -> None:
    family, definition = dsa
    coder = PlaybookCoder(family)
    steps = plan(
        family, definition, "gather_pages|cache|", "rewrite_in|language|cpp", "keep_scratch|memory|", "prefetch|memory|pages=1",
        "score|dot products|heads", "register_tile|scoring|tile=4",
    )
    first = written(coder.write(request(definition, steps)))
    second = written(coder.write(request(definition, steps, WriteMode.REPAIR, 2, first)))
    third = written(coder.write(request(definition, steps, WriteMode.REPAIR, 3, second)))
    assert len({first.digest, second.digest, third.digest}) == 3
    for repaired in (second, third):
        assert "constexpr int TILE = 4;" in repaired.sources[0].content


def test_a_plan_that_leaves_nothing_open_has_no_repair(dsa: tuple[Family, Definition]) -> None:
    family, definition = dsa
    coder = PlaybookCoder(family)
    steps = plan(family, definition, "gather_pages|cache|")
    first = written(coder.write(request(definition, steps)))
    assert isinstance(coder.write(request(definition, steps, WriteMode.REPAIR, 2, first)), NothingToWrite)


def test_templates_have_no_refinement(dsa: tuple[Family, Definition]) -> None:
    family, definition = dsa
    refine = replace(plan(family, definition, "gather_pages|cache|")[0], technique="refine", target="")
    answer = PlaybookCoder(family).write(request(definition, (refine,), WriteMode.REFINE))
    assert isinstance(answer, NothingToWrite)
