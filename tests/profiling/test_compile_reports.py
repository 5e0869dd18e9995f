"""Compile reports of really compiled code: nvcc for sm_90, Triton for sm_90, without a GPU."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ksearch.briefing.verdicts import compiler_text
from ksearch.coder.playbook.coder import PlaybookCoder
from ksearch.coder.playbook.registry import family_for
from ksearch.coder.types import Target
from ksearch.definitions.catalog import load_definition, workloads_for
from ksearch.definitions.schema import BuildSpec, Solution, SourceFile
from ksearch.judge import compile as compiling
from ksearch.judge.cache import ArtefactStore
from ksearch.judge.compile import compile_solution
from ksearch.judge.toolchain import CompileTarget
from ksearch.judge.triton_compile import Example, known_report, make_report
from ksearch.judge.verdict import CompileReport
from ksearch.profiling.binaries import disassembler, ptx_code, ptxas_kernels, report_of, sass_code, triton_resources, with_code
from ksearch.translate import compiled

SM_90 = CompileTarget(kind="cuda", arch="sm_90")
needs_nvcc = pytest.mark.skipif(shutil.which("nvcc") is None, reason="nvcc is not installed")

CUDA = """
__global__ void product(const unsigned* a, float* c) {
  float d[4] = {0, 0, 0, 0};
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
    : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(a[4]), "r"(a[5]));
  c[threadIdx.x] = d[0] + d[1] + d[2] + d[3];
}
__global__ void plain(float* c) {
  __shared__ float s[256];
  s[threadIdx.x] = c[threadIdx.x];
  __syncthreads();
  c[threadIdx.x] = s[255 - threadIdx.x];
}
extern "C" void run() { plain<<<1, 256>>>(nullptr); product<<<1, 32>>>(nullptr, nullptr); }
"""


def cuda_solution() -> Solution:
    spec = BuildSpec(language="cuda", target_hardware=("cuda",), entry_point="k.cu::run")
    return Solution(name="s", definition="d", author="a", spec=spec, sources=(SourceFile(path="k.cu", content=CUDA),))


def build(cache: Path) -> CompileReport:
    outcome = compile_solution(cuda_solution(), SM_90, ArtefactStore(cache))
    assert outcome.failure is None, outcome.report.log
    return outcome.report


@needs_nvcc
def test_a_cuda_build_tells_of_each_kernel(tmp_path: Path) -> None:
    report = build(tmp_path)
    by_name = {kernel.name: kernel for kernel in report.per_kernel}
    product, plain = by_name["_Z7productPKjPf"], by_name["_Z5plainPf"]
    assert report.kernels == 2
    assert (plain.shared_bytes, product.shared_bytes, report.shared_bytes) == (1024, 0, 1024)
    assert all(kernel.registers and kernel.spill_bytes == 0 and kernel.stack_bytes == 0 for kernel in (product, plain))
    assert report.registers == max(product.registers or 0, plain.registers or 0)
    assert report.dynamic_shared_bytes is None, "a launch's own: no compiler knows it"
    if disassembler() is not None:
        assert report.read_from == "sass"
        assert (plain.tensor_instructions, report.tensor_kinds) == (0, ("HMMA",))
        assert report.tensor_instructions == product.tensor_instructions != 0
    again = build(tmp_path)
    assert again == report.model_copy(update={"cached": True})


@needs_nvcc
def test_without_a_disassembler_ptx_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "disassembler", lambda: None)
    report = build(tmp_path)
    assert (report.read_from, report.tensor_instructions, report.tensor_kinds) == ("ptx", 1, ("mma",))


def test_triton_launches_are_compiled_for_the_target_and_reported(tmp_path: Path) -> None:
    pytest.importorskip("triton")
    definition, target = load_definition("gemm_n4096_k4096", None), Target("cuda", "sm_90", ("triton",))
    solution = PlaybookCoder(family_for(definition, target)).root(definition, target)
    cache, workload = ArtefactStore(tmp_path), workloads_for(definition, "cuda", None)[0]
    assert known_report(solution, SM_90, cache) is None
    make_report(solution, SM_90, Example(definition, workload), cache, unsafe=False)
    outcome = compile_solution(solution, SM_90, cache)
    assert (outcome.artefact, outcome.failure) == (None, None)
    report = outcome.report
    assert report.cached
    assert report.kernels == 1
    assert report.dynamic_shared_bytes
    if disassembler() is not None:
        assert report.registers
        assert report.tensor_kinds == ("HGMMA",)


def test_a_triton_kernel_that_can_not_be_called_has_no_report(tmp_path: Path) -> None:
    definition = load_definition("rmsnorm", None)
    spec = BuildSpec(language="triton", target_hardware=("cuda",), entry_point="k.py::run")
    source = SourceFile(path="k.py", content="def run(*arguments):\n    raise RuntimeError('no GPU here')\n")
    solution = Solution(name="s", definition=definition.name, author="a", spec=spec, sources=(source,))
    cache = ArtefactStore(tmp_path)
    make_report(solution, SM_90, Example(definition, workloads_for(definition, "cuda", None)[0]), cache, unsafe=False)
    outcome = compile_solution(solution, SM_90, cache)
    assert outcome.failure is None, "a report decides nothing"
    assert outcome.report.registers is None


PTXAS = """ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function '_Z5spillPKfPfi' for 'sm_90a'
ptxas info    : Function properties for _Z5spillPKfPfi
    960 bytes stack frame, 148 bytes spill stores, 152 bytes spill loads
ptxas info    : Used 255 registers, used 1 barriers, 960 bytes cumulative stack size, 1024 bytes smem
ptxas info    : Compile time = 194.941 ms
ptxas info    : Compiling entry function '_Z4gemmv' for 'sm_90a'
ptxas info    : Function properties for _Z4gemmv
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 22 registers, used 0 barriers
"""

SASS = """
		Function : _Z5spillPKfPfi
	.headerflags	@"EF_CUDA_SM90"
        /*0000*/                   LDC R1, c[0x0][0x28] ;                           /* 0x00000a00ff017b82 */
                                                                                    /* 0x000e300000000800 */
        /*0010*/              @!P0 FFMA R2, R1, R1, R2 ;                            /* 0x00008800ff027b82 */
		Function : _Z4gemmv
        /*0000*/                   HGMMA.64x128x16.F32 R24, gdesc[UR4], R24, !UPT ; /* 0x00000a00ff017b82 */
        /*0010*/             @!UP0 UTCQMMA gdesc[UR4], gdesc[UR6], tmem[UR8] ;      /* 0x00000a00ff017b82 */
        /*0020*/                   HGMMA.64x128x16.F32 R24, gdesc[UR4], R24 ;       /* 0x00000a00ff017b82 */
        /*0030*/                   EXIT ;                                           /* 0x00000a00ff017b82 */
"""


def test_reports_from_text() -> None:
    report = report_of(with_code(ptxas_kernels(PTXAS), sass_code(SASS)), seconds=1.0, read_from="sass")
    gemm, spill = report.per_kernel
    assert (spill.registers, spill.stack_bytes, spill.spill_bytes, spill.shared_bytes) == (255, 960, 300, 1024)
    assert (gemm.instructions, gemm.tensor_instructions, gemm.tensor_kinds) == (4, 3, ("HGMMA", "UTCQMMA"))
    assert (spill.instructions, spill.tensor_instructions) == (2, 0)
    assert (report.registers, report.spill_bytes, report.instructions, report.tensor_instructions) == (255, 300, 6, 3)
    text = compiler_text(report)
    assert "255 registers a thread" in text
    assert "3 of 6 instructions on the matrix units (HGMMA, UTCQMMA)" in text


def test_ptx_counts_products_and_not_the_moves_around_them() -> None:
    code = ptx_code(
        ".visible .entry k(\n\t.param .u64 p\n)\n{\n\t.reg .b32 %r<9>;\n\twgmma.fence.sync.aligned;\n"
        "\twgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16 {%f1}, %rd1, %rd2, 1, 1, 1, 0, 0;\n\t@%p1 bra $L1;\n\tret;\n}\n"
    )
    assert dict(code["k"].tensor) == {"wgmma": 1}
    assert code["k"].instructions == 4


def test_resource_usage_of_a_cubin() -> None:
    found = triton_resources(" Function k:\n  REG:64 STACK:16 SHARED:1024 LOCAL:0 CONSTANT[0]:548 TEXTURE:0\n")
    assert (found["k"].registers, found["k"].spill_bytes) == (64, 16)


def test_nothing_told_is_nothing_known() -> None:
    empty = report_of((), seconds=0.5)
    assert compiled(empty) is None
    assert compiled(None) is None
    assert compiler_text(empty) == ""
    known = compiled(report_of(tuple(ptxas_kernels(PTXAS).values()), seconds=0.5))
    assert known is not None
    assert (known.registers, known.kernels, known.tensor_instructions) == (255, 2, None)
