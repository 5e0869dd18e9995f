"""What compiled code says of itself: ptxas's report, machine code and PTX, as text that a compiler or disassembler printed.

Any of it may have been printed by the candidate's own sources instead (a `#pragma message`, an assembler directive): numbers for
planner and forecaster, never a reason to pass or reject.
"""

from __future__ import annotations

import os
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import util
from pathlib import Path
from typing import Literal

from ksearch.judge.verdict import CompileReport, KernelReport

MAX_KERNELS = 64
"""Kept of one candidate: a template library may instantiate hundreds."""
MAX_NAME = 200

_TENSOR_SASS = re.compile(r"^(?:UTC)?[A-Z]{1,2}G?MMA$")
"""HMMA, IMMA, QMMA, DMMA, BMMA (a warp's); HGMMA, QGMMA, IGMMA, BGMMA (a warp group's, Hopper); UTCHMMA, UTCQMMA, ... (Blackwell)."""
_SASS = re.compile(r"^\s+/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?(?P<op>[A-Z][A-Z0-9_]*)", re.MULTILINE)
_PTX = re.compile(r"^\s*(?:@!?%?\w+\s+)?(?P<op>[a-z][a-z0-9_]*)(?P<rest>[.\w:]*)[^;\n]*;", re.MULTILINE)
_TENSOR_PTX = {"mma": "mma", "wgmma": "wgmma", "wmma": "wmma", "tcgen05": "tcgen05"}
_NOT_CODE = {"reg", "local", "shared", "param", "const", "global"}

_ENTRY = re.compile(r"ptxas info\s*: Compiling entry function '([^']+)'")
_SPILLS = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
_USED = re.compile(r"ptxas info\s*: Used (\d+) registers")
_USAGE = re.compile(r"Function (\S+):\s+REG:(\d+) STACK:(\d+)")
_SMEM = re.compile(r"(\d+) bytes smem")


@dataclass(frozen=True, slots=True)
class Code:
    """Instructions of one function: how many, and those on the matrix units by name."""

    instructions: int
    tensor: Mapping[str, int]


def disassembler() -> str | None:
    """Path of cuobjdump: on PATH, in a CUDA toolkit, or the one that Triton's package carries. None where there is none."""
    homes = [os.environ.get(name) for name in ("CUDA_HOME", "CUDA_PATH")] + ["/usr/local/cuda"]
    places = [Path(home) / "bin" / "cuobjdump" for home in homes if home]
    triton = util.find_spec("triton")
    if triton is not None and triton.origin is not None:
        places.append(Path(triton.origin).parent / "backends" / "nvidia" / "bin" / "cuobjdump")
    return shutil.which("cuobjdump") or next((str(place) for place in places if os.access(place, os.X_OK)), None)


def ptxas_kernels(log: str) -> dict[str, KernelReport]:
    """By name, from `nvcc -Xptxas -v`."""
    starts = list(_ENTRY.finditer(log))
    ends = [start.start() for start in starts[1:]] + [len(log)]
    return {start[1][:MAX_NAME]: _ptxas_kernel(start[1], log[start.end() : end]) for start, end in zip(starts, ends, strict=True)}


def _ptxas_kernel(name: str, text: str) -> KernelReport:
    """ptxas prints the stack of a kernel's own functions after it: the first figure is the kernel's. No `smem` means none."""
    spills, used = _SPILLS.search(text), _USED.search(text)
    line = text[used.start() :].splitlines()[0] if used is not None else ""
    shared = _SMEM.search(line)
    return KernelReport(
        name=name[:MAX_NAME],
        registers=int(used[1]) if used is not None else None,
        stack_bytes=int(spills[1]) if spills is not None else None,
        spill_bytes=int(spills[2]) + int(spills[3]) if spills is not None else None,
        shared_bytes=int(shared[1]) if shared is not None else 0 if used is not None else None,
    )


def triton_resources(text: str) -> dict[str, KernelReport]:
    """By name, from `cuobjdump --dump-resource-usage` of what Triton compiled, which has no stack but for spilled registers."""
    return {
        name[:MAX_NAME]: KernelReport(name=name[:MAX_NAME], registers=int(registers), stack_bytes=int(stack), spill_bytes=int(stack))
        for name, registers, stack in _USAGE.findall(text)
    }


def sass_code(text: str) -> dict[str, Code]:
    """By function, from `cuobjdump --dump-sass`."""
    parts = re.split(r"^\s*Function : (\S+)\s*$", text, flags=re.MULTILINE)
    functions = zip(parts[1::2], parts[2::2], strict=True)
    return {name[:MAX_NAME]: _code(match["op"] for match in _SASS.finditer(body)) for name, body in functions}


def _code(operations: Iterable[str]) -> Code:
    counts = Counter(operations)
    return Code(counts.total(), {op: count for op, count in counts.items() if _TENSOR_SASS.match(op)})


def ptx_code(text: str) -> dict[str, Code]:
    """By entry, from PTX: an upper bound of nothing, but enough to see whether the matrix units are used at all."""
    parts = re.split(r"^\s*(?:\.visible\s+|\.weak\s+)*\.entry\s+([\w$]+)", text, flags=re.MULTILINE)
    return {name[:MAX_NAME]: _ptx(body) for name, body in zip(parts[1::2], parts[2::2], strict=True)}


def _ptx(body: str) -> Code:
    found = Counter(_ptx_name(match["op"], match["rest"]) for match in _PTX.finditer(body) if match["op"] not in _NOT_CODE)
    return Code(found.total(), {name: count for name, count in found.items() if name in _TENSOR_PTX.values()})


def _ptx_name(op: str, rest: str) -> str:
    """`wmma.load`, `wgmma.fence` and `tcgen05.ld` move and wait; only their mma computes."""
    if op in ("wmma", "wgmma", "tcgen05") and not rest.startswith(".mma"):
        return op + rest.split(".mma")[0]
    return _TENSOR_PTX.get(op, op)


def with_code(kernels: Mapping[str, KernelReport], code: Mapping[str, Code]) -> tuple[KernelReport, ...]:
    """Kernels with the instructions found in their functions, the longest first. Functions that no kernel is named after (called, not
    inlined) belong to none."""
    joined = [_joined(kernel, code.get(name)) for name, kernel in kernels.items()]
    joined.sort(key=lambda kernel: (-(kernel.instructions or 0), kernel.name))
    return tuple(joined)


def _joined(kernel: KernelReport, code: Code | None) -> KernelReport:
    if code is None:
        return kernel
    kinds = sorted(code.tensor, key=lambda name: (-code.tensor[name], name))
    return kernel.model_copy(
        update={"instructions": code.instructions, "tensor_instructions": sum(code.tensor.values()), "tensor_kinds": tuple(kinds)}
    )


def report_of(
    kernels: Sequence[KernelReport], *, seconds: float, cached: bool = False, log: str = "", read_from: Literal["sass", "ptx"] | None = None
) -> CompileReport:
    """The whole report: of each resource the largest of any kernel, instructions together."""
    return CompileReport(
        seconds=seconds,
        cached=cached,
        log=log,
        registers=_most(kernel.registers for kernel in kernels),
        spill_bytes=_most(kernel.spill_bytes for kernel in kernels),
        stack_bytes=_most(kernel.stack_bytes for kernel in kernels),
        shared_bytes=_most(kernel.shared_bytes for kernel in kernels),
        dynamic_shared_bytes=_most(kernel.dynamic_shared_bytes for kernel in kernels),
        kernels=len(kernels) or None,
        instructions=_sum(kernel.instructions for kernel in kernels),
        tensor_instructions=_sum(kernel.tensor_instructions for kernel in kernels),
        tensor_kinds=tuple(dict.fromkeys(kind for kernel in kernels for kind in kernel.tensor_kinds)),
        read_from=read_from if any(kernel.instructions is not None for kernel in kernels) else None,
        per_kernel=tuple(kernels[:MAX_KERNELS]),
    )


def _most(values: Iterable[int | None]) -> int | None:
    return max((value for value in values if value is not None), default=None)


def _sum(values: Iterable[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
