"""A kernel with its measurements, as the text that comes first in every question about it.

The same kernel gives the same bytes whoever asks, planner or coder, so that a cache can hold it.
"""

from __future__ import annotations

from collections.abc import Mapping

from ksearch.briefing.verdicts import compiler_text, latency_text
from ksearch.definitions.schema import Solution
from ksearch.judge.verdict import Verdict
from ksearch.store.events import BoundsKnown
from ksearch.worldmodel.briefing import unfenced

FENCE = {"py": "python", "cu": "cuda", "cuh": "cuda", "cpp": "cpp", "h": "cpp", "hpp": "cpp"}


def kernel_text(
    solution: Solution, verdict: Verdict | None, workloads: Mapping[str, str], bounds: BoundsKnown | None = None
) -> str:
    """`verdict` is the evaluation's; None, or a failed one, shows the code alone. `workloads` describes them by UUID. With `bounds` each
    regime's latency stands beside what the device allows."""
    spec = solution.spec
    lines = ["# The kernel", "", f"Language {spec.language}, entry point {spec.entry_point}."]
    if verdict is not None and verdict.stage is None and verdict.workloads:
        lines += ["Measured latency:", latency_text(verdict, workloads, bounds)]
    if verdict is not None and verdict.compile is not None and (report := compiler_text(verdict.compile)):
        lines.append(f"Compiler: {report}.")
    for source in solution.sources:
        kind = FENCE.get(source.path.rpartition(".")[2], "")
        lines += ["", f"File {source.path}:", f"~~~{kind}", unfenced(source.content.rstrip("\n")), "~~~"]
    return "\n".join(lines) + "\n"
