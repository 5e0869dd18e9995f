"""Keeps what Nsight Compute really prints for two kernels, for a test of the parser: the recorded incumbent and a Triton product.

    python benchmarks/profiling/record_counters.py OUTPUT_FOLDER

Needs an NVIDIA GPU, ncu and leave to read the counters. Writes KERNEL.csv (the raw page), KERNEL.trace.json (launches by CUPTI) and
KERNEL.txt (the digest made of both).
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from ksearch.coder.playbook.coder import PlaybookCoder
from ksearch.coder.playbook.registry import family_for
from ksearch.coder.types import Target
from ksearch.definitions.catalog import load_definition, workloads_for
from ksearch.definitions.regimes import weighted
from ksearch.definitions.schema import Solution
from ksearch.devices import gpus
from ksearch.judge.verdict import Job
from ksearch.profiling import watching
from ksearch.profiling.digest import Digest
from ksearch.profiling.ncu import command_of, counters_of, find_ncu

ROOT = Path(__file__).resolve().parents[2]


def solutions() -> dict[str, Solution]:
    incumbent = ROOT / "runs" / "recorded" / "dsa_topk-h200-surrogate" / "incumbent.json"
    definition, target = load_definition("gemm_n4096_k4096", None), Target("cuda", gpus()[0].arch, ("triton",))
    return {
        "dsa_topk": Solution.model_validate_json(incumbent.read_text("utf-8")),
        "gemm": PlaybookCoder(family_for(definition, target)).root(definition, target),
    }


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, solution in solutions().items():
        definition = load_definition(solution.definition, None)
        judged = weighted(definition, workloads_for(definition, "cuda", None))
        job = Job(job=name, kind="evaluate", definition=definition, solution=solution, workloads=judged, device="cuda:0")
        with tempfile.TemporaryDirectory() as scratch:
            path = watching._target(job, judged[-1], Path(scratch))
            launches = watching._launches(path, Path(scratch))
            output = watching._run(command_of(find_ncu(), watching._command(path, "ncu")), Path(scratch))
        (folder / f"{name}.csv").write_text(output, "utf-8")
        (folder / f"{name}.trace.json").write_text(json.dumps([launch.model_dump() for launch in launches]), "utf-8")
        digest = Digest(workload=judged[-1].workload.uuid, regime=judged[-1].regime, launches=launches, kernels=counters_of(output))
        (folder / f"{name}.txt").write_text(digest.text + "\n", "utf-8")
        print(f"{name}:\n{digest.text}\n")


if __name__ == "__main__":
    main()
