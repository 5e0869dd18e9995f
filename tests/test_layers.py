"""Which part may know which (contracts in pyproject.toml), and what a light start must not load."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
HEAVY = frozenset({"torch", "triton", "tvm_ffi", "flashinfer_bench", "flashinfer", "networkx", "anthropic", "modal", "ray", "safetensors"})
"""What only the code that uses it may load, when it uses it: together these take seconds to import."""


def lint_imports(checkout: Path) -> tuple[int, str]:
    """Exit status and output of import-linter on the package that lies in a checkout."""
    code = "from importlinter.cli import lint_imports_command; raise SystemExit(lint_imports_command())"
    command = [sys.executable, "-c", code, "--no-cache"]
    done = subprocess.run(command, cwd=checkout, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
    return done.returncode, done.stdout


def test_import_contracts_hold() -> None:
    status, output = lint_imports(ROOT)
    assert status == 0, output
    assert " 0 broken" in output


@pytest.mark.parametrize(
    ("file", "forbidden"),
    [
        ("tree/types.py", "ksearch.worldmodel"),
        ("worldmodel/types.py", "ksearch.surrogates"),
        ("surrogates/types.py", "ksearch.judge"),
        ("ksearch/judge/__init__.py", "ksearch.cli"),
    ],
)
def test_import_contracts_have_teeth(file: str, forbidden: str, tmp_path: Path) -> None:
    for folder in ("ksearch", "tree", "worldmodel", "surrogates", "configs"):
        shutil.copytree(ROOT / folder, tmp_path / folder, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / file).open("a") as source:
        source.write(f"\nimport {forbidden}\n")
    status, output = lint_imports(tmp_path)
    assert status == 1
    assert f"is not allowed to import {forbidden}" in output


@pytest.mark.parametrize("module", ["tree", "worldmodel", "surrogates", "configs", "cli.doctor", "cli.main"])
def test_loads_nothing_heavy(module: str) -> None:
    code = f"import sys, ksearch.{module}; print(*{{name.split('.')[0] for name in sys.modules}})"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout.split()
    assert "ksearch" in loaded
    assert HEAVY.intersection(loaded) == set()
