"""The examples and signatures that a model is shown are true: they build, load and compute."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from ksearch.briefing.entry import signatures_text
from ksearch.briefing.knowledge import document
from ksearch.definitions.catalog import load_definition
from ksearch.judge.toolchain import CompileTarget, ToolMissing, command_of

HEADERS = "#include <cstdint>\n#include <tvm/ffi/container/tensor.h>\n#include <tvm/ffi/function.h>\n"


def example_of(language: str) -> str:
    found = re.search(r"~~~\w+\n(.*?)~~~", document(f"languages/{language}") or "", re.DOTALL)
    assert found is not None
    return found[1]


def built(folder: Path, language: str, code: str, arch: str | None = None) -> Path:
    """Built as the judge builds candidates; skips where there is no compiler."""
    source = "kernel.cu" if language == "cuda" else "kernel.cpp"
    (folder / source).write_text(code)
    target = CompileTarget(kind="cpu" if arch is None else "cuda", arch=arch)
    try:
        command = command_of(language, target, [source], "kernel.so")  # type: ignore[arg-type]
    except ToolMissing as missing:
        pytest.skip(str(missing))
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr, done.stderr
    return folder / "kernel.so"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_cuda_example_builds(tmp_path: Path) -> None:
    built(tmp_path, "cuda", example_of("cuda"), "sm_90")


COMPUTES = """
import sys, torch, tvm_ffi
x, y = torch.randn(3, 5), torch.empty(3, 5)
tvm_ffi.load_module(sys.argv[1]).run(x, 2.0, y)
assert torch.equal(y, x * 2)
"""


@pytest.mark.timeout(300)
def test_the_cpp_example_builds_and_computes(tmp_path: Path) -> None:
    """In a process of its own: what was loaded before into this one must not matter."""
    library = built(tmp_path, "cpp", example_of("cpp"))
    done = subprocess.run([sys.executable, "-c", COMPUTES, str(library)], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.timeout(300)
def test_declared_entry_points_build(tmp_path: Path) -> None:
    """Of a definition with a scalar, exactly as the brief declares it."""
    (text,) = signatures_text(load_definition("gdn_decode", None), ("cpp",))
    declaration = text.partition(":\n")[2].strip()
    assert "double scale" in declaration
    built(tmp_path, "cpp", f"{HEADERS}{declaration.removesuffix(';')} {{}}\nTVM_FFI_DLL_EXPORT_TYPED_FUNC(run, run);\n")


def test_every_language_allowed_is_declared() -> None:
    definition = load_definition("moe", None)
    compiled, scripted = signatures_text(definition, ("cuda", "triton", "python"))
    assert compiled.startswith("Entry point (cuda)")
    assert "int64_t local_expert_offset, double routed_scaling_factor" in " ".join(compiled.split())
    assert scripted.startswith("Entry point (triton, python)")
    names = [*definition.inputs, *definition.outputs]
    assert f"def run({', '.join(names)}) -> None" in " ".join(scripted.split())
