"""Try the judge on a GPU: honest and wrong kernels on cuda:0, verdicts in brief.

    python benchmarks/judge/judge_cuda_trial.py [--device cuda:0] [--unsafe-runner] [--large]

Prints one line for each candidate (expected against found) and its times by workload; exit 1 when any is not as expected.
With --large also a dsa_topk reference on its full 100 MB cache.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from ksearch.definitions.schema import BuildSpec, Definition, Language, Solution, SourceFile, Workload
from ksearch.judge.baseline import reference_solution
from ksearch.judge.judge import Judge
from ksearch.judge.verdict import Job, JudgedWorkload, Limits, Verdict

DATA = Path(__file__).parents[2] / "ksearch" / "definitions" / "data"
RMSNORM, TOPK = "rmsnorm_h4096", "dsa_topk_indexer_fp8_h64_d128_topk2048_ps64"

TORCH = """
import torch
def run(x, w, out):
    f = x.float()
    out.copy_(f * torch.rsqrt(f.square().mean(-1, keepdim=True) + 1e-5) * w.float())
"""
TRITON = """
import triton
import triton.language as tl

@triton.jit
def kernel(x, w, out, H: tl.constexpr):
    row, column = tl.program_id(0), tl.arange(0, H)
    value = tl.load(x + row * H + column).to(tl.float32)
    scale = tl.load(w + column).to(tl.float32)
    mean = tl.sum(value * value, axis=0) / H
    tl.store(out + row * H + column, (value * tl.rsqrt(mean + 1e-5) * scale).to(tl.bfloat16))

def run(x, w, out):
    kernel[(x.shape[0],)](x, w, out, H=x.shape[1], num_warps=8)
"""
CUDA = """
#include <cuda_bf16.h>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/extra/c_env_api.h>
#include <tvm/ffi/function.h>

__global__ void kernel(const __nv_bfloat16* x, const __nv_bfloat16* w, __nv_bfloat16* out, int width) {
  __shared__ float parts[32];
  const __nv_bfloat16* row = x + int64_t(blockIdx.x) * width;
  float sum = 0;
  for (int i = threadIdx.x; i < width; i += blockDim.x) { const float v = __bfloat162float(row[i]); sum += v * v; }
  for (int step = 16; step; step /= 2) sum += __shfl_xor_sync(~0u, sum, step);
  if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = sum;
  __syncthreads();
  sum = 0;
  for (int i = 0; i < blockDim.x / 32; ++i) sum += parts[i];
  const float scale = rsqrtf(sum / width + 1e-5f);
  for (int i = threadIdx.x; i < width; i += blockDim.x)
    out[int64_t(blockIdx.x) * width + i] = __float2bfloat16(__bfloat162float(row[i]) * scale * __bfloat162float(w[i]));
}

void run(tvm::ffi::TensorView x, tvm::ffi::TensorView w, tvm::ffi::TensorView out) {
  auto stream = static_cast<cudaStream_t>(TVMFFIEnvGetStream(kDLCUDA, x.device().device_id));
  kernel<<<x.size(0), 256, 0, stream>>>(static_cast<const __nv_bfloat16*>(x.data_ptr()), static_cast<const __nv_bfloat16*>(w.data_ptr()),
                                        static_cast<__nv_bfloat16*>(out.data_ptr()), static_cast<int>(x.size(1)));
}
TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, run);
"""
CANDIDATES: dict[str, tuple[Language, str, str]] = {
    "torch": ("python", TORCH, "PASSED"),
    "triton": ("triton", TRITON, "PASSED"),
    "cuda": ("cuda", CUDA, "PASSED"),
    "wrong: the first row zero": ("python", TORCH + "    out[0] = 0\n", "INCORRECT_NUMERICAL"),
    "wrong: nothing written": ("python", "def run(x, w, out):\n    pass\n", "INCORRECT_NUMERICAL"),
    "wrong: input changed": ("python", TORCH + "    x.zero_()\n", "REJECTED"),
    "wrong: cached by pointer": (
        "python",
        TORCH.replace("def run", "def honest")
        + "C = {}\ndef run(x, w, out):\n    if x.data_ptr() not in C:\n        honest(x, w, out); C[x.data_ptr()] = out.clone()\n"
        "    out.copy_(C[x.data_ptr()])\n",
        "INCORRECT_NUMERICAL",
    ),
    "wrong: endless": ("python", "def run(x, w, out):\n    while True: pass\n", "TIMEOUT"),
    "torch again": ("python", TORCH + "# again\n", "PASSED"),
}


def definition(name: str) -> Definition:
    return Definition.model_validate_json(next(DATA.glob(f"definitions/*/{name}.json")).read_text())


def solution(language: Language, source: str) -> Solution:
    path = "kernel.cu" if language == "cuda" else "kernel.py"
    spec = BuildSpec(
        language=language, target_hardware=("cuda",), entry_point=f"{path}::run", binding="tvm-ffi" if language == "cuda" else None
    )
    return Solution(
        name=f"trial-{language}", definition=RMSNORM, author="trial", spec=spec, sources=(SourceFile(path=path, content=source),)
    )


def job(given: argparse.Namespace, candidate: Solution, workloads: list[Workload]) -> Job:
    judged = tuple(JudgedWorkload(workload=workload, regime="trial", weight=1 / len(workloads)) for workload in workloads)
    return Job(
        job="trial",
        kind="evaluate",
        definition=definition(candidate.definition),
        solution=candidate,
        workloads=judged,
        device=given.device,
        unsafe_runner=given.unsafe_runner,
        limits=Limits(timeout_s=8.0),
    )


def rmsnorm_workloads() -> list[Workload]:
    inputs = {"hidden_states": {"type": "random"}, "weight": {"type": "random"}}
    return [Workload.model_validate({"axes": {"batch_size": b}, "inputs": inputs, "uuid": f"rows-{b}"}) for b in (1, 16, 128, 2048)]


def topk_workloads() -> list[Workload]:
    inputs = {name: {"type": "random"} for name in definition(TOPK).inputs}
    cases = {"short": [300] * 8, "long": [2500, 700, 100, 5500]}
    return [
        Workload.model_validate(
            {
                "axes": {"batch_size": len(lengths), "max_num_pages": -(-max(lengths) // 64), "num_pages": 11923},
                "inputs": inputs,
                "uuid": name,
                "recipe": {"lengths": lengths},
            }
        )
        for name, lengths in cases.items()
    ]


def tell(name: str, verdict: Verdict, expected: str) -> bool:
    right = verdict.status.value == expected
    where = f"{verdict.status} at {verdict.stage}, wall {verdict.wall_seconds:.2f} s, timer {verdict.timer}"
    print(f"{'ok  ' if right else 'BAD '} {name}: {where}")
    if verdict.evidence is not None:
        print(f"     {verdict.evidence.message[:400]}")
        if not right:
            print("     " + verdict.evidence.log[-2500:].replace("\n", "\n     "))
    for result in verdict.workloads:
        if result.latency_us is not None:
            baseline = "-" if result.baseline_us is None else f"{result.baseline_us:.2f}"
            samples = " ".join(f"{sample:.2f}" for sample in result.samples_us[:8])
            print(f"     {result.uuid:>10}: {result.latency_us:.2f} us (baseline {baseline}); {samples}")
    return right


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--unsafe-runner", action="store_true")
    parser.add_argument("--large", action="store_true")
    given = parser.parse_args()
    judge, bad = Judge(), 0
    begin = time.monotonic()
    try:
        for name, (language, source, expected) in CANDIDATES.items():
            verdict = judge.judge(job(given, solution(language, source), rmsnorm_workloads()))
            bad += not tell(name, verdict, expected)
            if name == "torch":
                print(f"     {verdict.device}\n     isolation: {', '.join(verdict.isolation)}")
        if given.large:
            verdict = judge.judge(job(given, reference_solution(definition(TOPK)), topk_workloads()))
            bad += not tell("dsa_topk reference", verdict, "PASSED")
    finally:
        judge.close()
    print(f"{time.monotonic() - begin:.1f} s, {bad} not as expected")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
