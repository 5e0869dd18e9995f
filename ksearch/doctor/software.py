"""Python, the libraries and the compilers, by their metadata and their own --version: nothing heavy is imported."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ksearch.doctor.checks import Check, Probe, Status, tool_output

NEWEST_TESTED = (3, 12)
DISTRIBUTION = "ksearch-kernels"

def python() -> list[Check]:
    found = f"{platform.python_version()} ({platform.python_implementation()}, {platform.system()} {platform.machine()})"
    if sys.version_info[:2] > NEWEST_TESTED:
        advice = f"ksearch is tested with versions up to {'.'.join(map(str, NEWEST_TESTED))}"
        return [Check("python", Status.WARN, found, advice)]
    return [Check("python", Status.OK, found)]


def ksearch() -> list[Check]:
    found = installed(DISTRIBUTION)
    if found is None:
        return [Check("ksearch", Status.WARN, "runs from its sources, not installed", "pip install -e . gives the ksearch command")]
    return [Check("ksearch", Status.OK, found)]


def library(name: str, distribution: str, without: str) -> list[Check]:
    """A library that only some searches need, by the distribution that brings it."""
    found = installed(distribution)
    return [Check(name, Status.MISSING, "not installed", without) if found is None else Check(name, Status.OK, found)]


def installed(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def cxx_compiler() -> list[Check]:
    wanted = os.environ.get("CXX") or "g++"
    path = shutil.which(wanted)
    if path is None:
        return [Check("c++ compiler", Status.MISSING, f"{wanted} is not on PATH", "install g++ to search over C++ kernels on the CPU")]
    return [Check("c++ compiler", Status.OK, tool_output([path, "--version"]).splitlines()[0])]


def cuda_compiler() -> list[Check]:
    path = cuda_tool("nvcc")
    if path is None:
        advice = "install the CUDA toolkit to search over CUDA C++ kernels"
        return [Check("nvcc", Status.MISSING, "not on PATH, nor under CUDA_HOME", advice)]
    release = re.search(r"release \S+, (V\S+)", tool_output([path, "--version"]))
    return [Check("nvcc", Status.OK, release[1] if release else f"{path}, of unknown version")]


def cuda_tool(name: str) -> str | None:
    """A program of the CUDA toolkit: on PATH, or where the toolkit's own variables and its usual place say."""
    roots = [os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH"), "/usr/local/cuda"]
    return shutil.which(name) or next((path for root in roots if root and (path := shutil.which(name, path=str(Path(root) / "bin")))), None)


PROBES = (
    Probe(("python",), python),
    Probe(("ksearch",), ksearch),
    Probe(("numpy",), lambda: library("numpy", "numpy", "pip install numpy: every search needs it")),
    Probe(("triton",), lambda: library("triton", "triton", "pip install triton to search over Triton kernels (Linux only)")),
    Probe(("c++ compiler",), cxx_compiler),
    Probe(("nvcc",), cuda_compiler),
    Probe(("ninja",), lambda: library("ninja", "ninja", "pip install ninja to search over C++ and CUDA kernels")),
    Probe(("tvm-ffi",), lambda: library("tvm-ffi", "apache-tvm-ffi", "pip install apache-tvm-ffi to search over C++ and CUDA kernels")),
    Probe(
        ("flashinfer-bench",),
        lambda: library("flashinfer-bench", "flashinfer-bench", "pip install flashinfer-bench to exchange data with its own tools"),
    ),
    Probe(("ray",), lambda: library("ray", "ray", "pip install 'ksearch-kernels[ray]' to evaluate on a Ray cluster")),
)
