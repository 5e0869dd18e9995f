"""Edits and solutions from a model: applied only when unambiguous, refused with a reason otherwise."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksearch.coder.model.coder import stripped
from ksearch.coder.model.edits import BadEdit, Edit, applied
from ksearch.coder.model.forms import EDIT, WRITE, read_solution
from ksearch.coder.model.tuning import tuned, tuning_actions
from ksearch.coder.types import Target
from ksearch.definitions.schema import Solution, SourceFile
from ksearch.worldmodel.oracle import Filled, Unanswered
from tests.llm.brain import about
from tests.llm.conftest import DEFINITION, ROOT, TARGET

KERNEL = "import torch\n\nBLOCK = 64\n\n\ndef run(x, y):\n    y.copy_(x)\n"
CPP = '#include <cstdint>\nconstexpr int TILE = 8;\nvoid run() {}\nTVM_FFI_DLL_EXPORT_TYPED_FUNC(run, run);\n'


def written(content: str, path: str = "kernel.py", language: str = "python", entry: str = "kernel.py::run", **more: Any) -> Filled:
    fields = {"language": language, "entry_point": entry, "files": [{"path": path, "content": content}], **about(**more)}
    return Filled(WRITE, json.dumps(fields))


def base(content: str = KERNEL) -> Solution:
    return read_solution(written(content), DEFINITION, TARGET, None).solution


def edits(*places: tuple[str, str, str]) -> Filled:
    rows = [{"path": path, "search": search, "replace": replace} for path, search, replace in places]
    return Filled(EDIT, json.dumps({"edits": rows, **about()}))


@given(st.text("ab\n", max_size=12), st.text("ab\n", min_size=1, max_size=4), st.text("xy", max_size=4))
def test_an_edit_changes_the_one_place_or_nothing(content: str, search: str, replace: str) -> None:
    sources = (SourceFile(path="k.py", content="c" + content),)
    try:
        (changed,) = applied(sources, [Edit("k.py", search, replace)])
    except BadEdit:
        assert content.count(search) != 1
        return
    assert content.count(search) == 1
    before, after = content.split(search)
    assert changed.content == "c" + before + replace + after


def test_edits_apply_in_order_and_make_new_files() -> None:
    answer = read_solution(
        edits(("kernel.py", "BLOCK = 64", "BLOCK = 128"), ("kernel.py", "BLOCK = 128", "BLOCK = 256"), ("extra.py", "", "A = 1\n")),
        DEFINITION, TARGET, base(),
    )  # fmt: skip
    assert {source.path: source.content for source in answer.solution.sources} == {
        "kernel.py": KERNEL.replace("64", "256"), "extra.py": "A = 1\n",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("filled", "reason"),
    [
        (edits(("kernel.py", "BLOCK = 65", "x")), "is not in kernel.py"),
        (edits(("kernel.py", "\n\n", "x")), "occurs 2 times"),
        (edits(("other.py", "x", "y")), "no file 'other.py'"),
        (edits(("kernel.py", "", "y")), "say what to search for"),
        (edits(("../../etc/passwd", "", "y")), "inside the solution"),
        (edits(("kernel.py", KERNEL, "")), "leave no file"),
        (written("def run(:"), "not valid Python"),
        (written("def walk(): 0"), "no function 'run'"),
        (written(KERNEL, path="-o.py", entry="-o.py::run"), "letters, digits"),
        (written(KERNEL + "\x00"), "NUL byte"),
        (written(KERNEL, language="fortran"), "not allowed"),
        (written(KERNEL, entry="kernel.py"), "file::function"),
        (written(KERNEL, followed=1), "followed"),
        (Filled(WRITE, json.dumps({"language": "python"})), "entry_point"),
    ],
)
def test_what_cannot_be_used_says_why(filled: Filled, reason: str) -> None:
    with pytest.raises(Unanswered) as caught:
        read_solution(filled, DEFINITION, TARGET, base())
    assert reason in str(caught.value)
    assert caught.value.again


def test_compiled_code_needs_its_file_and_its_export() -> None:
    target = Target("cpu", None, ("cpp",))
    good = read_solution(written(CPP, "kernel.cpp", "cpp", "kernel.cpp::run"), DEFINITION, target, None).solution
    assert good.spec.binding == "tvm-ffi"
    with pytest.raises(Unanswered, match="exports"):
        read_solution(written("void run() {}", "kernel.cpp", "cpp", "kernel.cpp::run"), DEFINITION, target, None)
    with pytest.raises(Unanswered, match=r"ending in \.cpp"):
        read_solution(written(CPP, "kernel.h", "cpp", "kernel.h::run"), DEFINITION, target, None)


def test_comments_and_spaces_make_no_new_kernel() -> None:
    noisy = KERNEL.replace("    y.copy_(x)\n", "    # faster\n\n    y.copy_(x)  # now\n")
    assert stripped(base(noisy)) == stripped(base())
    assert stripped(base(KERNEL.replace("64", "65"))) != stripped(base())


def test_a_string_with_a_hash_is_code() -> None:
    one, other = (f"{KERNEL}MARK = 'a #{number}'\n" for number in (1, 2))
    assert stripped(base(one)) != stripped(base(other))


@pytest.mark.parametrize(("content", "path", "name"), [(KERNEL, "kernel.py", "BLOCK"), (CPP, "kernel.cpp", "TILE")])
def test_a_declared_constant_is_tuned_without_a_model(content: str, path: str, name: str) -> None:
    language = "python" if path.endswith("py") else "cpp"
    target = Target("cpu", None, (language,))  # type: ignore[arg-type]
    tunables = [{"path": path, "name": name, "values": ["32", "16"]}, {"path": path, "name": "ABSENT", "values": ["1"]}]
    answer = read_solution(written(content, path, language, f"{path}::run", tunables=tunables), DEFINITION, target, None)
    assert [tunable.name for tunable in answer.tunables] == [name]
    (action, _) = tuning_actions([(path, name, "32"), (path, name, "16")])
    changed = tuned(answer.solution, action)
    assert changed is not None
    assert f"{name} = 32" in changed[0].content
    assert tuned(ROOT, action) is None
