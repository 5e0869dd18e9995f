"""The baseline's times: measured like a candidate's, in a runner of its own, once for each workload in a judge's life."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ksearch.definitions.schema import BuildSpec, Definition, Solution, SourceFile, Workload
from ksearch.judge.failures import StageFailure

Measure = Callable[[Solution, list[Workload]], dict[str, float]]


class BaselineFailed(Exception):
    """The baseline itself can't be built, run or believed: nothing can be said of a candidate. `log` is what it printed or raised."""

    def __init__(self, message: str, log: str = "") -> None:
        super().__init__(message)
        self.log = log


def reference_solution(definition: Definition) -> Solution:
    """The definition's reference as a solution: Python that returns its outputs."""
    return Solution(
        name=f"reference-{definition.name}",
        definition=definition.name,
        author="definition",
        spec=BuildSpec(language="python", target_hardware=("any",), entry_point="reference.py::run", destination_passing_style=False),
        sources=(SourceFile(path="reference.py", content=definition.reference),),
    )


class BaselineTimes:
    """Microseconds by (baseline, device, workload)."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, str], float] = {}

    def get(
        self,
        baseline: Solution,
        device: str,
        workloads: Sequence[Workload],
        measure: Measure,
    ) -> dict[str, float]:
        """Times by workload; `measure` is asked for those not known yet. Raises BaselineFailed."""
        keys = {workload.uuid: (baseline.digest, device, workload.model_dump_json()) for workload in workloads}
        missing = [workload for workload in workloads if keys[workload.uuid] not in self._known]
        if missing:
            try:
                found = measure(baseline, missing)
            except StageFailure as error:
                where = f" (workload {error.workload})" if error.workload else ""
                raise BaselineFailed(f"the baseline {baseline.name!r} fails: {error.message}{where}", error.log) from error
            self._known |= {keys[uuid]: latency for uuid, latency in found.items()}
        return {uuid: self._known[key] for uuid, key in keys.items()}
