from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ksearch.coder.playbook.templates import constants, join, sections


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[str]:
    name = f"templates_{abs(hash(request.node.name))}"
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    yield name
    sys.modules.pop(name, None)


def write(package: str, text: str) -> None:
    folder = next(Path(entry) / package for entry in sys.path if (Path(entry) / package).is_dir())
    (folder / "kernel.cpp").write_text(text)


def test_sections_are_cut_at_their_marks(package: str) -> None:
    write(package, "//% one\nint x;\n\n//% two\n  indented;\n// % not a mark\n")
    assert dict(sections(package, "kernel.cpp")) == {"one": "int x;\n", "two": "  indented;\n// % not a mark\n"}


@pytest.mark.parametrize(("text", "message"), [("int x;\n//% one\n", "before the first"), ("//% one\na\n//% one\nb\n", "repeated")])
def test_mistakes_in_a_template_file_are_named(package: str, text: str, message: str) -> None:
    write(package, text)
    with pytest.raises(ValueError, match=message):
        sections(package, "kernel.cpp")


def test_joining_leaves_no_trace_of_empty_pieces() -> None:
    assert join("a\n", "", "\n", "b") == "a\n\nb\n"
    assert constants(TILE=4, ROWS=2) == "constexpr int TILE = 4;\nconstexpr int ROWS = 2;\n"
