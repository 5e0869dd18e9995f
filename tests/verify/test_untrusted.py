"""Solutions from strangers: refused at the door with one line and exit code 2, nothing of theirs having run or been followed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ksearch.definitions.solutions import read_solution
from ksearch.errors import BadInput

KERNEL = "def run(x, w, out):\n    out.copy_(x)\n"


def document(**changes: Any) -> dict[str, Any]:
    spec = {"language": "python", "target_hardware": ["cpu"], "entry_point": "kernel.py::run", "destination_passing_style": True}
    whole = {"name": "n", "definition": "rmsnorm_h4096", "author": "a", "spec": spec, "sources": [{"path": "kernel.py", "content": KERNEL}]}
    return {**whole, **changes}


def sources(*pairs: tuple[str, str]) -> dict[str, Any]:
    return document(sources=[{"path": path, "content": content} for path, content in (("kernel.py", KERNEL), *pairs)])


DOCUMENTS: dict[str, tuple[str | dict[str, Any], str]] = {
    "path traversal": (sources(("../../escape.py", "x")), "stay inside"),
    "absolute path": (sources(("/etc/cron.d/x", "x")), "stay inside"),
    "windows path": (sources(("a\\b.py", "x")), "stay inside"),
    "NUL in a path": (sources(("a\0.py", "x")), "stay inside"),
    "escape sequence in a path": (sources(("a\x1b[2J.py", "x")), "stay inside"),
    "two spellings of a path": (sources(("./kernel.py", "x")), "plain"),
    "doubled slash": (sources(("a//b.py", "x")), "plain"),
    "same path twice": (sources(("kernel.py", "x")), "share a path"),
    "case collision": (sources(("Kernel.PY", "x")), "share a path"),
    "composed and decomposed letters": (sources(("\u00e9.h", "x"), ("e\u0301.h", "x")), "share a path"),
    "a file that is a folder": (sources(("kernel.py/x.py", "x")), "also the folder"),
    "a name longer than a file system takes": (sources(("\U0001f600" * 80, "x")), "short"),
    "NUL in a source": (sources(("b.py", "x = 1\0")), "NUL"),
    "half a surrogate pair": (json.dumps(sources(("b.py", "x"))).replace('"x"', '"\\ud800"'), "unicode"),
    "byte order mark": (sources(("b.py", "\ufeffx = 1")), "byte order mark"),
    "another encoding claimed": (sources(("b.py", "# -*- coding: utf-7 -*-\n+AGEAYg-")), "encoding utf-7"),
    "code hidden by bidirectional controls": (sources(("b.py", "x = '\u202e'")), "bidirectional"),
    "enormous sources": (sources(("b.py", "x" * (5 * 2**20))), "bytes"),
    "too many sources": (sources(*((f"f{n}.py", "x") for n in range(300))), "200"),
    "deep nesting": ('{"sources": ' + "[" * 200_000 + "]" * 200_000 + "}", "deep"),
    "a key twice": (json.dumps(document())[:-1] + ', "sources": []}', "twice"),
    "a number without end": ('{"name": ' + "9" * 10_000 + "}", ""),
    "not JSON": ("{", "JSON"),
    "no object": ("[]", "not a Solution"),
    "terminal control in a name": (document(name="x\x1b]0;owned\x07"), "printed"),
    "entry file elsewhere": (document(spec={**document()["spec"], "entry_point": "/bin/sh::run"}), "entry file"),
    "unknown definition": (document(definition="../../etc/passwd"), "not known here"),
}


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_a_malicious_document_is_refused(tmp_path: Path, kind: str) -> None:
    content, hint = DOCUMENTS[kind]
    path = tmp_path / "solution.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    if kind == "unknown definition":
        assert_refused(path, hint)
        return
    with pytest.raises(BadInput) as refusal:
        read_solution(path, "solution")
    assert hint in str(refusal.value)
    assert "\n" not in str(refusal.value).strip()
    assert len(str(refusal.value)) < 1000


def assert_refused(path: Path, hint: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ksearch", "verify", str(path), "--device", "cpu"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2, done.stderr
    assert hint in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def link_to_a_secret(folder: Path) -> None:
    (folder / "kernel.py").symlink_to("/etc/passwd")


def link_to_a_folder(folder: Path) -> None:
    (folder / "kernel.py").write_text(KERNEL)
    (folder / "more").symlink_to("/etc")


def manifest_that_names_a_link(folder: Path) -> None:
    (folder / "solution.json").write_text(json.dumps(document(sources=[{"path": "kernel.py"}])))
    (folder / "kernel.py").symlink_to("/etc/passwd")


def manifest_that_leaves(folder: Path) -> None:
    (folder / "solution.json").write_text(json.dumps(document(sources=[{"path": "../../../etc/passwd"}])))


def pipe(folder: Path) -> None:
    os.mkfifo(folder / "kernel.py")


def not_text(folder: Path) -> None:
    (folder / "kernel.py").write_bytes("def run(): pass".encode("utf-16"))


def enormous(folder: Path) -> None:
    with (folder / "kernel.py").open("wb") as file:
        file.truncate(2**40)


def endless(folder: Path) -> None:
    for number in range(2100):
        (folder / f"f{number}.txt").touch()


FOLDERS = {
    link_to_a_secret: "symbolic link", link_to_a_folder: "symbolic link", manifest_that_names_a_link: "symbolic link",
    manifest_that_leaves: "stay inside", pipe: "no plain file", not_text: "UTF-8", enormous: "limit", endless: "2000",
}  # fmt: skip


@pytest.mark.parametrize("make", FOLDERS)
def test_a_malicious_folder_is_refused(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path)
    with pytest.raises(BadInput, match=FOLDERS[make]):
        read_solution(tmp_path, "solution")


def test_the_program_says_it_in_one_line(tmp_path: Path) -> None:
    link_to_a_secret(tmp_path)
    assert_refused(tmp_path, "symbolic link")


def test_bare_sources_must_say_what_they_solve(tmp_path: Path) -> None:
    (tmp_path / "kernel.py").write_text(KERNEL)
    assert_refused(tmp_path / "kernel.py", "--definition")
