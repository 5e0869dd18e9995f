"""Floors beside the fastest of all kernels that were recorded on a device: how tight they are, and that none is beaten.

    python benchmarks/profiling/floors.py [--json]

Landscapes give, for each of their workloads, the fastest of hundreds of kernels; the device's ceilings are those that the recorded run
measured on an H200 when it began. A ratio below 1 would prove a floor wrong.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ksearch.definitions.catalog import load_definition, workloads_for
from ksearch.definitions.kits import kit_for
from ksearch.landscapes.landscape import Landscape, load
from ksearch.profiling.bounds import Bounds, floor_of
from ksearch.profiling.ceilings import Ceilings

ROOT = Path(__file__).resolve().parents[2]
RUN = ROOT / "runs" / "recorded" / "dsa_topk-h200-surrogate" / "run.jsonl"


class Row(NamedTuple):
    landscape: str
    regime: str
    axes: dict[str, int]
    best_us: float
    floor_us: float
    binds: str

    @property
    def ratio(self) -> float:
        return self.best_us / self.floor_us


def h200() -> Ceilings:
    """As the recorded run measured them: from its log, without opening it as a run."""
    with RUN.open(encoding="utf-8") as log:
        events, blobs = {}, {}
        for line in log:
            record = json.loads(line)
            if record.get("type") == "bounds_known":
                events["bounds"] = record["payload"]["bounds"]
            elif "blob" in record and "text" in record:
                blobs[record["blob"]] = record["text"]
    return Bounds.model_validate_json(blobs[events["bounds"]]).ceilings


def rows_of(landscape: Landscape, ceilings: Ceilings) -> Iterator[Row]:
    definition = load_definition(landscape.definition, None)
    workloads = {workload.uuid: workload for workload in workloads_for(definition, "cuda", None)}
    for place, timed in enumerate(landscape.workloads):
        best = min(point.latencies_us[place] for point in landscape.points if point.passed)
        floor = floor_of(kit_for(definition).work(definition, workloads[timed.uuid]), ceilings)
        yield Row(landscape.name, timed.regime, dict(timed.axes), best, floor.floor_us, floor.binds)


def all_rows() -> list[Row]:
    ceilings = h200()
    found = [load(path) for path in sorted((ROOT / "benchmarks" / "landscapes").glob("*.mean.landscape.json.xz"))]
    return [row for landscape in found if landscape.device_name == ceilings.device for row in rows_of(landscape, ceilings)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    rows = all_rows()
    if parser.parse_args().json:
        print(json.dumps([{**row._asdict(), "ratio": row.ratio} for row in rows]))
        return
    print(f"{'landscape':<22}{'regime':<12}{'best us':>9}{'floor us':>10}{'ratio':>7}  binds")
    for row in rows:
        print(f"{row.landscape:<22}{row.regime:<12}{row.best_us:>9.2f}{row.floor_us:>10.2f}{row.ratio:>7.2f}  {row.binds}")


if __name__ == "__main__":
    main()
