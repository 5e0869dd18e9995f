"""The top-level folders and the package they become stay the same thing: in the source map, through the links, and in the wheel."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = frozenset(PROJECT["tool"]["setuptools"]["packages"])
MAPPED: dict[str, str] = PROJECT["tool"]["setuptools"]["package-dir"]
FOLDERS = {"ksearch": "ksearch", **{folder: package for package, folder in MAPPED.items()}}
"""Each top-level folder of code and the package it is."""


def files_of(folder: str) -> Iterator[Path]:
    """Files under a top-level folder, relative to it; links aren't followed, since what they show has a folder of its own."""
    for parent, names, files in os.walk(ROOT / folder):
        names[:] = [name for name in names if name != "__pycache__"]
        yield from ((Path(parent) / file).relative_to(ROOT / folder) for file in files if not file.endswith(".pyc"))


def package_files() -> set[str]:
    """Every source and data file, by the path it must have in the wheel."""
    return {str(Path(*package.split(".")) / file) for folder, package in FOLDERS.items() for file in files_of(folder)}


def run_isolated(code: str) -> str:
    """The output of code in an interpreter of its own, which starts in the root and so imports this checkout."""
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout


def test_listed_packages_are_the_folders_with_an_init() -> None:
    found = {
        ".".join((*package.split("."), *file.parent.parts))
        for folder, package in FOLDERS.items()
        for file in files_of(folder)
        if file.name == "__init__.py"
    }
    assert found - PACKAGES == set(), "add these to [tool.setuptools] packages in pyproject.toml"
    assert PACKAGES - found == set(), "pyproject.toml lists packages that have no folder with an __init__.py"


def test_no_module_lies_in_a_folder_that_is_no_package() -> None:
    strays = [
        f"{folder}/{file}"
        for folder in FOLDERS
        for file in files_of(folder)
        if file.suffix == ".py" and not (ROOT / folder / file.parent / "__init__.py").exists()
    ]
    assert strays == [], "an __init__.py is missing beside these"


@pytest.mark.parametrize(("package", "folder"), MAPPED.items())
def test_link_points_at_its_mapped_folder(package: str, folder: str) -> None:
    link = ROOT.joinpath(*package.split("."))
    assert link.is_symlink(), f"{link} must be a symbolic link (on Windows: git config core.symlinks true)"
    assert os.readlink(link) == f"../{folder}"
    assert link.resolve() == ROOT / folder


@pytest.fixture(scope="module")
def wheel_names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Names in the wheel that was built from the sdist that was built from a copy: so the sdist is checked to suffice, too."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, source / folder, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(source)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=110)
    assert done.returncode == 0, done.stdout
    (wheel,) = out.glob("*.whl")
    return set(zipfile.ZipFile(wheel).namelist())


@pytest.mark.slow
def test_wheel_has_one_top_level_name(wheel_names: set[str]) -> None:
    tops = {name.split("/")[0] for name in wheel_names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"ksearch"}


@pytest.mark.slow
def test_wheel_holds_every_source_and_data_file(wheel_names: set[str]) -> None:
    assert package_files() - wheel_names == set(), "extend [tool.setuptools.package-data] in pyproject.toml"


@pytest.mark.slow
def test_wheel_holds_the_licence(wheel_names: set[str]) -> None:
    assert any(re.fullmatch(r"ksearch_kernels-[^/]+\.dist-info/licenses/LICENSE", name) for name in wheel_names)


@pytest.mark.parametrize("package", ["ksearch", "ksearch.tree"])
def test_import_is_light(package: str) -> None:
    loaded = set(run_isolated(f"import sys, {package}; print(*sys.modules)").split())
    assert package in loaded
    assert loaded & {"torch", "triton", "numpy", "pydantic", "networkx", "rich", "typer"} == set()


def test_constraints_pin_every_direct_dependency_within_its_bounds() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")]
    pins = {name.lower().replace("_", "-"): version for name, version in (line.split("==") for line in lines)}
    wanted = [Requirement(text) for text in PROJECT["project"]["dependencies"] + PROJECT["project"]["optional-dependencies"]["dev"]]
    for requirement in wanted:
        pin = pins.get(requirement.name.lower().replace("_", "-"))
        assert pin is not None, f"constraints.txt has no line for {requirement.name}"
        assert requirement.specifier.contains(pin), f"constraints.txt pins {requirement.name} {pin}, pyproject.toml asks for {requirement}"


def test_constraints_hold_on_any_machine() -> None:
    """A local version (torch's +cpu) or a pinned CUDA runtime would resolve on one kind of machine only."""
    text = (ROOT / "constraints.txt").read_text()
    assert not re.search(r"^[^#]*(\+|@|://|^-)", text, re.MULTILINE)
    assert not re.search(r"^(nvidia|cuda)-", text, re.MULTILINE)
