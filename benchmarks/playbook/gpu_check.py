"""Checks and times a family's templates on a CUDA machine.

The root, a greedy path step by step, a few plans that use every technique between them, and random plans.

    python benchmarks/playbook/gpu_check.py --family dsa_topk/triton --configs 30 --seconds 300

A machine without the package's dependencies needs torch and triton (and tvm_ffi for CUDA C++) alone: write the sources
elsewhere with `--emit FILE` and run `--sources FILE` there. Every configuration is compiled and checked in a process of
its own, so that one that hangs or corrupts the device is a row of the table and no more; those that pass are then timed
one after the other in this process. Times are of a replayed CUDA graph with a cold second-level cache; nothing is taken
off, so the table begins with the time of a kernel that writes one element.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve()
ROOT = HERE.parents[2]
sys.path[:0] = [str(HERE.parent), str(ROOT)]

Job = dict[str, Any]
"""family, operator, label, language, source, plan (keys), claim (of the last step of a greedy path, or None)."""


def emit(families: list[str], arch: str, configs: int, seed: int) -> list[Job]:
    """Jobs of the named families (all with an operator when none is named), each language apart."""
    from operators import OPERATORS

    from ksearch.coder.playbook.registry import all_families
    from ksearch.coder.types import Target

    jobs: list[Job] = []
    for family in all_families():
        operator = family.name.split("/")[0]
        if operator not in OPERATORS or (families and family.name not in families):
            continue
        definition = OPERATORS[operator].definition()
        for language in ("triton", "cuda"):
            target = Target("cuda", arch, (language,))
            if family.covers(definition, target):
                jobs += _jobs_of(family, definition, target, operator, configs, random.Random(seed))
    return jobs


def _jobs_of(family: Any, definition: Any, target: Any, operator: str, configs: int, rng: random.Random) -> Iterator[Job]:
    from plans import covering, greedy, walk

    catalogue = family.catalogue(definition, target)
    path = greedy(catalogue)
    plans = [("root", None, ())]
    plans += [(f"greedy {n}", path[n - 1].gain_mean, path[:n]) for n in range(1, len(path) + 1)]
    plans += [(f"cover {n}", None, plan) for n, plan in enumerate(covering(catalogue)[1:])]
    plans += [(f"random {n}", None, walk(catalogue, rng)) for n in range(configs)]
    for label, claim, plan in plans:
        rendering = family.render(definition, target, catalogue.config(plan))
        yield {
            "family": family.name, "operator": operator, "label": label, "language": rendering.language, "claim": claim,
            "source": rendering.sources[0][1], "plan": [action.key for action in plan],
        }


def load(job: Job, folder: Path) -> Callable[..., None]:
    """The entry point of a job; CUDA C++ is compiled unless `folder` holds its library."""
    if job["language"] == "cuda":
        import tvm_ffi

        library = folder / "kernel.so"
        if not library.exists():
            _nvcc(job["source"], folder)
        return tvm_ffi.load_module(str(library)).run
    path = folder / "kernel.py"
    path.write_text(job["source"])
    spec = importlib.util.spec_from_file_location(f"kernel_{folder.name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.run


def _nvcc(source: str, folder: Path) -> None:
    import torch
    from tvm_ffi import libinfo

    major, minor = torch.cuda.get_device_capability()
    arch = f"{major}{minor}{'a' if major >= 9 else ''}"
    (folder / "kernel.cu").write_text(source)
    includes = [f"-I{path}" for path in (libinfo.find_include_path(), libinfo.find_dlpack_include_path())]
    command = [
        "nvcc", "-std=c++17", "-O3", *includes, f"-gencode=arch=compute_{arch},code=sm_{arch}", "--shared", "-Xcompiler=-fPIC",
        "-lcuda", "-o", str(folder / "kernel.so.part"), str(folder / "kernel.cu"),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"nvcc: {done.stderr[-1500:]}")
    (folder / "kernel.so.part").rename(folder / "kernel.so")


def check(folder: Path) -> str | None:
    """Runs the job in `folder` on every case, twice on other inputs; what is wrong, or None."""
    import torch
    from operators import OPERATORS, TO_NEAREST

    job = json.loads((folder / "job.json").read_text())
    operator, device = OPERATORS[job["operator"]], torch.device("cuda")
    run = load(job, folder)
    for case in (*operator.small, *operator.timed):
        for seed in (1, 2) if case in operator.small else (3,):
            arguments = operator.arguments(case, device, seed)
            run(*arguments)
            torch.cuda.synchronize()
            if fault := operator.fault(arguments, TO_NEAREST):
                return f"{dict(case)}: {fault}"
    return None


def check_apart(folder: Path, deadline: float) -> str | None:
    limit = min(180.0, deadline - time.monotonic())
    if limit < 5:
        return "not checked: out of time"
    try:
        done = subprocess.run(
            [sys.executable, str(HERE), "--check", str(folder)], capture_output=True, text=True, timeout=limit,
        )
    except subprocess.TimeoutExpired:
        return f"no answer in {limit:.0f} s"
    if done.returncode:
        return (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1][-300:]
    return json.loads(done.stdout.splitlines()[-1])["fault"]


def microseconds(call: Callable[[], None], repeats: int = 15) -> float:
    """Median time of one call as a replayed graph, the second-level cache flushed before each."""
    import torch

    # Larger than the cache of any present device, and long enough that the graph is queued before it ends.
    flush = torch.empty(512 * 1024 * 1024, dtype=torch.int8, device="cuda")
    graph = torch.cuda.CUDAGraph()
    call()
    torch.cuda.synchronize()
    with _capture(graph):
        call()
    samples = []
    for _ in range(repeats):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        flush.zero_()
        begin.record()
        graph.replay()
        end.record()
        end.synchronize()
        samples.append(begin.elapsed_time(end) * 1e3)
    return statistics.median(samples)


def _capture(graph: Any) -> Any:
    import torch

    if importlib.util.find_spec("tvm_ffi") is None:
        return torch.cuda.graph(graph)
    import tvm_ffi

    return tvm_ffi.use_torch_stream(torch.cuda.graph(graph))


def timings(job: Job, folder: Path) -> list[float]:
    import torch
    from operators import OPERATORS

    operator, run = OPERATORS[job["operator"]], load(job, folder)
    times = []
    for case in operator.timed:
        arguments = operator.arguments(case, torch.device("cuda"), 4)
        times.append(microseconds(lambda arguments=arguments: run(*arguments)))
    return times


def survey(jobs: list[Job], seconds: float, processes: int, out: Path | None) -> None:
    import torch

    if not torch.cuda.is_available():
        raise SystemExit("torch sees no CUDA device here; --emit writes the sources for a machine that has one")
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        folders = [Path(scratch) / str(number) for number in range(len(jobs))]
        for job, folder in zip(jobs, folders, strict=True):
            folder.mkdir()
            (folder / "job.json").write_text(json.dumps(job))
        # A third of the time is kept for the timing, which nothing else may disturb.
        with ThreadPoolExecutor(processes) as pool:
            faults = list(pool.map(lambda folder: check_apart(folder, begun + seconds * 0.66), folders))
        print(f"checked {len(jobs)} in {time.monotonic() - begun:.0f} s, {sum(fault is None for fault in faults)} right", flush=True)
        rows = _time_all(jobs, folders, faults, begun + seconds)
    if out is not None:
        out.write_text(json.dumps(rows, indent=1))


def _time_all(jobs: list[Job], folders: list[Path], faults: list[str | None], deadline: float) -> list[Job]:
    import torch

    one = torch.zeros(1, device="cuda")
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}; one-element kernel: {microseconds(one.zero_):.1f} us")
    rows: list[Job] = []
    before: list[float] | None = None
    for job, folder, fault in zip(jobs, folders, faults, strict=True):
        row = {**job, "fault": fault, "us": None}
        if fault is None and time.monotonic() > deadline:
            row["fault"] = "right, not timed: out of time"
        elif fault is None:
            try:
                row["us"] = timings(job, folder)
            except Exception as error:  # noqa: BLE001 - a candidate may fail in any way; its row says how
                row["fault"] = f"timing: {type(error).__name__}: {error}"[:300]
        _print_row(row, before if job["label"].startswith("greedy") else None)
        if job["label"] == "root" or job["label"].startswith("greedy"):
            before = row["us"] or before
        rows.append(row)
    return rows


def _print_row(row: Mapping[str, Any], before: list[float] | None) -> None:
    head = f"{row['family']:16} {row['language']:7} {row['label']:10}"
    if row["us"] is None:
        print(f"{head} {row['fault']}  {' '.join(row['plan'])}", flush=True)
        return
    times = " ".join(f"{us:8.1f}" for us in row["us"])
    gain = ""
    if before is not None and row["claim"] is not None:
        gain = f"  ln gain {math.log(sum(before) / sum(row['us'])):+.2f} (claimed {row['claim']:+.2f})"
    steps = row["plan"][-1:] if row["label"].startswith("greedy") else row["plan"]
    print(f"{head} mean {statistics.mean(row['us']):8.1f} | {times}{gain}  {' '.join(steps)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", action="append", default=[], help="name, e.g. dsa_topk/triton; may be repeated; default: all")
    parser.add_argument("--arch", default="sm_90", help="architecture that sources are written for")
    parser.add_argument("--configs", type=int, default=20, help="random plans for each family and language")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=300, help="for everything; what is left then is reported as not done")
    parser.add_argument("--processes", type=int, default=max(1, (os.cpu_count() or 2) - 2), help="checks at once")
    parser.add_argument("--emit", type=Path, help="write the jobs here and stop: needs no GPU")
    parser.add_argument("--sources", type=Path, help="jobs written by --emit")
    parser.add_argument("--out", type=Path, help="write all rows as JSON")
    parser.add_argument("--check", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.check is not None:
        print(json.dumps({"fault": check(options.check)}))
        return
    if options.sources is not None:
        jobs = json.loads(options.sources.read_text())
    else:
        jobs = emit(options.family, options.arch, options.configs, options.seed)
    if not jobs:
        parser.error("no family of that name has templates and an operator here")
    if options.emit is not None:
        options.emit.write_text(json.dumps(jobs))
        print(f"{len(jobs)} jobs written to {options.emit}")
        return
    survey(jobs, options.seconds, options.processes, options.out)


if __name__ == "__main__":
    main()
