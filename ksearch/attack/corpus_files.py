"""The corpus as it lies on disk: each file begins with a comment of `key: value` lines.

`about` says what it does. `expect`: statuses that an attack may end in, or 'neutralised' (it runs, and gains nothing).
`language` where the suffix doesn't tell (triton). `devices`: cpu, cuda, or both (the rule for Python). `style: returns` for
kernels that return their outputs. `twin`: the honest kernel to compare with, where it isn't `honest` of the same suffix.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from ksearch.attack.operators import OPERATORS, Operator
from ksearch.definitions.schema import BuildSpec, Language, Solution, SourceFile
from ksearch.judge.verdict import Status

LANGUAGES: Mapping[str, Language] = {".py.txt": "python", ".cpp": "cpp", ".cu": "cuda"}
DEVICES = {"python": ("cpu", "cuda"), "cpp": ("cpu",), "cuda": ("cuda",), "triton": ("cuda",)}
NEUTRALISED = "neutralised"
HEADER = re.compile(r"^(?:#|//) ?(\w+): (.*)$")
SHARED = "honest.h"
"""What C++ and CUDA cheats of an operator include: the honest computation as a function."""


@dataclass(frozen=True)
class Entry:
    """One kernel of the corpus. `hack` is None for an honest one, which has no twin and must pass."""

    name: str
    hack: str | None
    about: str
    operator: Operator
    solution: Solution
    devices: tuple[str, ...]
    expect: tuple[str, ...]
    twin: str

    @property
    def may_pass(self) -> bool:
        return self.hack is None or NEUTRALISED in self.expect


@lru_cache(maxsize=1)
def corpus() -> tuple[Entry, ...]:
    """Every entry, by hack and name; honest ones first."""
    root = files("ksearch.attack") / "corpus"
    found = [entry for folder in root.iterdir() if folder.is_dir() for entry in _folder(folder)]
    return tuple(sorted(found, key=lambda entry: (entry.hack or "", entry.name)))


def _folder(folder: Traversable) -> list[Entry]:
    texts = {file.name: file.read_text("utf-8") for file in folder.iterdir() if file.is_file()}
    return [_entry(OPERATORS[folder.name], name, texts) for name in texts if name != SHARED]


def _entry(operator: Operator, name: str, texts: Mapping[str, str]) -> Entry:
    suffix = next(suffix for suffix in LANGUAGES if name.endswith(suffix))
    stem = name.removesuffix(suffix)
    header = _header(texts[name])
    language: Language = "triton" if header.get("language") == "triton" else LANGUAGES[suffix]
    hack = re.fullmatch(r"(H\d\d)_\w+", stem)
    if hack is None and not stem.startswith("honest"):
        raise ValueError(f"corpus: {operator.name}/{name} is neither Hnn_something nor honest")
    expect = tuple(header.get("expect", "PASSED").split())
    if unknown := [word for word in expect if word not in {*Status, NEUTRALISED}]:
        raise ValueError(f"corpus: {operator.name}/{name} expects {unknown[0]}")
    twin = header.get("twin", "honest") + suffix
    return Entry(
        name=f"{operator.name}/{stem}" + ("" if suffix == ".py.txt" else suffix),
        hack=hack[1] if hack else None,
        about=header["about"],
        operator=operator,
        solution=_solution(operator, stem, suffix, language, texts, returns=header.get("style") == "returns"),
        devices=tuple(header["devices"].split()) if "devices" in header else DEVICES[language],
        expect=expect,
        twin=f"{operator.name}/{twin.removesuffix(suffix)}" + ("" if suffix == ".py.txt" else suffix),
    )


def _header(text: str) -> dict[str, str]:
    found = {}
    for line in text.splitlines():
        if (match := HEADER.match(line)) is None:
            break
        found[match[1]] = match[2]
    return found


def _solution(operator: Operator, stem: str, suffix: str, language: Language, texts: Mapping[str, str], *, returns: bool) -> Solution:
    extension = suffix.removesuffix(".txt")
    sources = {f"kernel{extension}": texts[stem + suffix]}
    if suffix == ".py.txt" and not stem.startswith("honest"):
        sources["honest.py"] = texts["honest.py.txt"]
    if suffix in (".cpp", ".cu") and SHARED in texts:
        sources[SHARED] = texts[SHARED]
    compiled = language in ("cpp", "cuda")
    spec = BuildSpec(
        language=language,
        target_hardware=DEVICES[language],
        entry_point=f"kernel{extension}::run",
        destination_passing_style=not returns,
        binding="tvm-ffi" if compiled else None,
    )
    files_of = tuple(SourceFile(path=path, content=text) for path, text in sources.items())
    return Solution(name=stem, definition=operator.definition.name, author="ksearch attack", spec=spec, sources=files_of)
