"""Command lines and versions of the compilers that build candidates against tvm-ffi."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import lru_cache
from importlib import metadata, util
from pathlib import Path

from ksearch.definitions.schema import Frozen, Language

CPP_FLAGS = ("-std=c++17", "-O3", "-march=native", "-fopenmp-simd", "-pthread", "-fPIC", "-shared", "-Wl,-z,defs")
CUDA_FLAGS = ("-std=c++17", "-O3", "--expt-relaxed-constexpr", "-Xptxas", "-v", "-Xcompiler", "-fPIC", "-shared", "-lineinfo")
SPECIFIC_ARCHITECTURES = {"sm_90", "sm_100", "sm_103", "sm_120"}
"""Architectures whose own instructions (wgmma, tcgen05) need the 'a' suffix."""
COMPILED = {".cpp": "cpp", ".cc": "cpp", ".cxx": "cpp", ".cu": "cuda"}


class ToolMissing(Exception):
    """No compiler for the language; the text says which one and where it was looked for."""


class CompileTarget(Frozen):
    """What code is built for: `arch` is 'sm_90' and the like, None on cpu (this machine's own instruction set)."""

    kind: str
    arch: str | None = None


def target_of(device: str) -> CompileTarget:
    """The target of a device of this machine ('cpu', 'cuda', 'cuda:1'). Raises ToolMissing when its GPU can't be asked."""
    if device == "cpu":
        return CompileTarget(kind="cpu")
    return CompileTarget(kind="cuda", arch=_architecture(int(device.partition(":")[2] or 0)))


@lru_cache
def _architecture(index: int) -> str:
    command = ["nvidia-smi", f"--id={index}", "--query-gpu=compute_cap", "--format=csv,noheader"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        if (known := _architecture_by_torch(index)) is not None:
            return known
        raise ToolMissing(f"no architecture for cuda:{index}: {error}") from error
    return "sm_" + answer.strip().splitlines()[0].replace(".", "")


def _architecture_by_torch(index: int) -> str | None:
    """Where nvidia-smi is missing; only in a process that has torch loaded already."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return None
    return "sm_{}{}".format(*torch.cuda.get_device_capability(index))


def compiler_of(language: Language) -> str:
    """Path of g++ or nvcc."""
    if language == "cpp":
        found = shutil.which(os.environ.get("CXX", "g++"))
    else:
        homes = [os.environ.get(name) for name in ("CUDA_HOME", "CUDA_PATH")] + ["/usr/local/cuda"]
        places = [str(Path(home) / "bin" / "nvcc") for home in homes if home]
        found = shutil.which("nvcc") or next((place for place in places if os.access(place, os.X_OK)), None)
    if found is None:
        raise ToolMissing("g++ is not on PATH (nor named by CXX)" if language == "cpp" else "nvcc is not on PATH nor under CUDA_HOME")
    return found


def command_of(language: Language, target: CompileTarget, sources: Sequence[str], output: str) -> list[str]:
    """The whole command line; `sources` are paths relative to the folder it runs in, which is also an include folder."""
    package = _tvm_ffi_folder()
    tvm = ["-I.", f"-I{package}/include", f"-L{package}/lib", "-ltvm_ffi"]
    units = [path for path in sources if Path(path).suffix in COMPILED]
    compiler = compiler_of(language)
    if language == "cpp":
        return [compiler, *CPP_FLAGS, *units, *tvm, "-o", output]
    stubs = Path(os.path.realpath(compiler)).parent.parent / "lib64" / "stubs"
    driver = [f"-L{stubs}", "-Xlinker", "--as-needed", "-lcuda"] if stubs.is_dir() else []
    return [compiler, *CUDA_FLAGS, *_architecture_flags(target), *units, *tvm, *driver, "-o", output]


def _architecture_flags(target: CompileTarget) -> list[str]:
    if target.arch is None:
        raise ToolMissing("CUDA code needs a target architecture, such as sm_90")
    number = target.arch.removeprefix("sm_")
    suffix = "a" if target.arch in SPECIFIC_ARCHITECTURES else ""
    return ["-gencode", f"arch=compute_{number}{suffix},code=sm_{number}{suffix}"]


def _tvm_ffi_folder() -> str:
    spec = util.find_spec("tvm_ffi")
    if spec is None or spec.origin is None:
        raise ToolMissing("the package apache-tvm-ffi is not installed; C++ and CUDA candidates are built against it")
    return str(Path(spec.origin).parent)


@lru_cache
def versions_of(language: Language) -> tuple[str, ...]:
    """What decides an artefact besides sources and flags: compiler, tvm-ffi, and for cpp the processor it is tuned to."""
    compiler = compiler_of(language)
    answer = subprocess.run([compiler, "--version"], capture_output=True, text=True, timeout=60, check=True).stdout
    return (answer, metadata.version("apache-tvm-ffi"), processor() if language == "cpp" else "")


@lru_cache
def processor() -> str:
    """Model and instruction set of this machine's processor."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor()
    return "\n".join(sorted(set(re.findall(r"^(?:model name|flags|CPU part|Features)\s*:.*$", text, re.MULTILINE))))
