"""One judge process for the whole folder: each test is a candidate handed to it, as a search would."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ksearch.definitions.schema import BuildSpec, Definition, Language, Solution, SourceFile, Workload
from ksearch.evaluators.judge_process import JudgeProcess
from ksearch.judge.verdict import Job, JudgedWorkload, Limits, Verdict

DATA = Path(__file__).parents[2] / "ksearch" / "definitions" / "data"
RMSNORM = "rmsnorm_h4096"
HONEST = """
import torch
def run(x, w, out):
    f = x.float()
    out.copy_(f * torch.rsqrt(f.square().mean(-1, keepdim=True) + 1e-5) * w.float())
"""
HONEST_CPP = """
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>
#include <cmath>
#include <cstdint>
#include <cstring>
static float up(uint16_t v) { uint32_t b = uint32_t(v) << 16; float f; std::memcpy(&f, &b, 4); return f; }
static uint16_t down(float f) { uint32_t b; std::memcpy(&b, &f, 4); return (b + 0x7fff + ((b >> 16) & 1)) >> 16; }
void run(tvm::ffi::TensorView x, tvm::ffi::TensorView w, tvm::ffi::TensorView y) {
  auto* a = static_cast<const uint16_t*>(x.data_ptr());
  auto* g = static_cast<const uint16_t*>(w.data_ptr());
  auto* o = static_cast<uint16_t*>(y.data_ptr());
  const int64_t h = x.size(1);
  for (int64_t r = 0; r < x.size(0); ++r) {
    float s = 0;
    for (int64_t i = 0; i < h; ++i) s += up(a[r * h + i]) * up(a[r * h + i]);
    const float k = 1 / std::sqrt(s / h + 1e-5f);
    for (int64_t i = 0; i < h; ++i) o[r * h + i] = down(up(a[r * h + i]) * k * up(g[i]));
  }
}
TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, run);
"""
"""Sums one after the other in float32: an honest kernel that is not the reference."""

_numbers = itertools.count()


def definition(name: str = RMSNORM) -> Definition:
    return Definition.model_validate_json(next(DATA.glob(f"definitions/*/{name}.json")).read_text())


def solution(source: str, language: Language = "python", *, name: str = RMSNORM, returns: bool = False) -> Solution:
    path = {"python": "kernel.py", "triton": "kernel.py", "cpp": "kernel.cpp", "cuda": "kernel.cu"}[language]
    spec = BuildSpec(
        language=language,
        target_hardware=("cpu",),
        entry_point=f"{path}::run",
        destination_passing_style=not returns,
        binding="tvm-ffi" if language in ("cpp", "cuda") else None,
    )
    return Solution(name="candidate", definition=name, author="test", spec=spec, sources=(SourceFile(path=path, content=source),))


def rows(count: int) -> JudgedWorkload:
    inputs = {"hidden_states": {"type": "random"}, "weight": {"type": "random"}}
    workload = Workload.model_validate({"axes": {"batch_size": count}, "inputs": inputs, "uuid": f"rows-{count}"})
    return JudgedWorkload(workload=workload, regime="rows", weight=0.5)


def job_of(candidate: Solution, **changes: object) -> Job:
    base = Job(
        job=f"job-{next(_numbers)}",
        kind="evaluate",
        definition=definition(),
        solution=candidate,
        workloads=(rows(1), rows(5)),
        timed_calls=5,
        limits=Limits(timeout_s=3.0, compile_s=60.0, total_s=60.0, memory_bytes=3 * 2**30),
    )
    return Job.model_validate({**base.model_dump(), **changes})


Judged = Callable[..., Verdict]


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("cache")
    before = os.environ.get("KSEARCH_CACHE")
    os.environ["KSEARCH_CACHE"] = str(folder)
    yield folder
    os.environ.pop("KSEARCH_CACHE")
    if before is not None:
        os.environ["KSEARCH_CACHE"] = before


@pytest.fixture(scope="session")
def judge_process(cache: Path) -> Iterator[JudgeProcess]:
    process = JudgeProcess("cpu")
    yield process
    process.kill()


@pytest.fixture
def judged(judge_process: JudgeProcess) -> Judged:
    """Judge a solution's source; keyword `language`, the rest changes the job."""

    def judge(source: str, language: Language = "python", *, returns: bool = False, **changes: object) -> Verdict:
        return judge_process.judge(job_of(solution(source, language, returns=returns), **changes))

    return judge
