"""`python -m ksearch.judge.runner.checked_call JOB`: two calls of a candidate on one workload, under a tool that watches its accesses."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from ksearch.definitions.generate import make_inputs
from ksearch.definitions.schema import Definition, Workload
from ksearch.judge.runner.stub import load


def main(path: str) -> int:
    import torch

    job = json.loads(Path(path).read_text("utf-8"))
    definition, workload = Definition.model_validate(job["definition"]), Workload.model_validate(job["workload"])
    inputs = make_inputs(definition, workload, job["seed"], job["device"], job["dataset_root"])
    outputs = []
    if job["load"]["destination_passing"]:
        for name, spec in definition.outputs.items():
            shape = definition.shape_of(name, workload.axes) or ()
            outputs.append(torch.empty(shape, dtype=getattr(torch, spec.dtype), device=job["device"]))
    function = load(job["load"])
    for _ in range(2):
        function(*inputs, *outputs)
        if job["device"] != "cpu":
            torch.cuda.synchronize()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
