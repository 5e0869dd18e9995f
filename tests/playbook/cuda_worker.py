"""Runs small CUDA C++ candidates on the CPU through cuda_on_cpu.h: their arithmetic and indexing, not their speed.

Reads jobs as a JSON list on standard input (source, operator, case) and prints one JSON object for each: {"fault": ...}.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1] / "benchmarks" / "playbook"))

import torch  # noqa: E402
from operators import OPERATORS, TO_NEAREST  # noqa: E402

LAUNCH = re.compile(r"(\w+)<<<(.*?), (\w+), 0, stream>>>\(", re.DOTALL)


def for_cpu(source: str) -> str:
    """The candidate with its launches as calls and without CUDA's headers. Raises ValueError when it launches nothing."""
    text, launches = LAUNCH.subn(r"emulate(\1, \2, \3)(", source)
    if launches == 0:
        raise ValueError("no launch of the form kernel<<<grid, threads, 0, stream>>>(...) was found")
    return '#include "cuda_on_cpu.h"\n' + re.sub(r"#include <cuda_\w+\.h>\n", "", text)


def build(source: str, folder: Path) -> Any:
    import tvm_ffi
    from tvm_ffi import libinfo

    code, library = folder / "kernel.cpp", folder / "kernel.so"
    code.write_text(for_cpu(source))
    includes = [f"-I{path}" for path in (HERE, libinfo.find_include_path(), libinfo.find_dlpack_include_path())]
    command = ["g++", "-O0", "-std=c++20", "-shared", "-fPIC", "-w", *includes, str(code), "-o", str(library)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise ValueError(done.stderr[:2000])
    return tvm_ffi.load_module(str(library)).run


def main() -> None:
    for job in json.load(sys.stdin):
        operator = OPERATORS[job["operator"]]
        with tempfile.TemporaryDirectory() as folder:
            try:
                arguments = operator.arguments(job["case"], torch.device("cpu"), 1)
                build(job["source"], Path(folder))(*arguments)
                fault = operator.fault(arguments, TO_NEAREST)
            except Exception as error:  # noqa: BLE001 - a candidate may fail in any way; its answer says how
                fault = f"{type(error).__name__}: {error}"
        print(json.dumps({"fault": fault}), flush=True)


if __name__ == "__main__":
    main()
