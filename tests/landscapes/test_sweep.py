"""A sweep with real processes: every kind of end is recorded, an interrupted one goes on, landscapes come out."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from ksearch.definitions.catalog import load_definition, workloads_for
from ksearch.definitions.schema import BuildSpec, Solution, SourceFile
from ksearch.errors import BadInput
from ksearch.landscapes import measuring
from ksearch.landscapes.records import Records
from ksearch.landscapes.spaces import Enumerated, Space
from ksearch.landscapes.sweep import Sweep, Sweeping
from ksearch.landscapes.writing import landscapes_of
from ksearch.worldmodel.catalogue import Catalogue, Technique

HERE = Path(__file__).parent
DEFINITION = load_definition("rmsnorm")
WORKLOADS = tuple(workload for workload in workloads_for(DEFINITION, "cpu") if workload.axes["batch_size"] in (1, 33))
HEAD = """
import os, time, torch

def run(hidden_states, weight, output):
    x = hidden_states.float()
    y = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-5) * weight.float()
"""
BODIES = {
    "plain": "    output.copy_(y)\n",
    "other": "    output.copy_(y)  # otherwise\n",
    "wrong": "    output.copy_(y * 1.02)\n",
    "dies": "    os._exit(7)\n",
    "hangs": "    time.sleep(600)\n",
    "broken": "    output.copy_(y\n",
}


def solution(body: str) -> Solution:
    spec = BuildSpec(language="python", target_hardware=("cuda",), entry_point="kernel.py::run")
    source = SourceFile(path="kernel.py", content=HEAD + body)
    return Solution(name="candidate", definition=DEFINITION.name, author="test", spec=spec, sources=(source,))


def toy() -> Enumerated:
    """Bodies one step from the plain one; 'twin' is another configuration of the plain one's code."""
    bodies = {**BODIES, "twin": BODIES["plain"]}
    others = [name for name in bodies if name != "plain"]
    steps = tuple(Technique("write", "body", {"body": name}, "", "", 0.1, 0.1, 0.9, 1, parameter=name) for name in others)
    space = Space("toy", "rmsnorm", "toy/cuda", "cuda", ("python",), ("write",), (), {"mean": (), "small": ("b1-16",)})
    solutions = {name: solution(body) for name, body in bodies.items()}
    return Enumerated(
        space, DEFINITION, Catalogue("toy", {"body": "plain"}, steps), WORKLOADS, tuple({"body": name} for name in bodies),
        tuple(found.digest for found in solutions.values()), {found.digest: found for found in solutions.values()},
    )


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(HERE))
    import stand_in

    assert stand_in.__file__ in (str(HERE / "stand_in.py"), *sys.path)
    monkeypatch.setattr(measuring, "prepare_device", stand_in.prepare)


@pytest.mark.usefixtures("stand_in")
def test_every_kind_of_end_is_recorded_and_landscapes_are_written(tmp_path: Path) -> None:
    space = toy()
    how = Sweeping("cuda", tmp_path, arch="sm_90", compilers=2, limit_s=4.0, timed_calls=3, say=lambda line: None)
    assert Sweep(space, how).run()
    records = Records(tmp_path / "toy.jsonl")
    found = {name: records.measured[space.codes[number], 0] for number, name in enumerate([*BODIES, "twin"])}
    assert {name: record.status for name, record in found.items()} == {
        "plain": "PASSED", "other": "PASSED", "twin": "PASSED", "wrong": "INCORRECT_NUMERICAL", "dies": "RUNTIME_ERROR",
        "hangs": "TIMEOUT", "broken": "COMPILE_ERROR",
    }  # fmt: skip
    assert "exit status 7" in str(found["dies"].message)
    assert found["plain"].latencies_us.keys() == {workload.uuid for workload in WORKLOADS}
    mean, small = landscapes_of(space, records)
    assert (len(mean.points), len(mean.workloads), len(small.workloads)) == (7, 2, 1)
    assert mean.at({"body": "twin"}).latencies_us == mean.at({"body": "plain"}).latencies_us
    assert mean.at({"body": "wrong"}).stage == "smoke"


@pytest.mark.usefixtures("stand_in")
def test_a_sweep_goes_on_where_one_stopped(tmp_path: Path) -> None:
    space = toy().first(2)
    late = Sweeping("cuda", tmp_path, arch="sm_90", deadline=time.monotonic(), say=lambda line: None)
    assert not Sweep(space, late).run()
    with pytest.raises(BadInput, match="2 of 2 codes are not measured yet"):
        landscapes_of(space, Records(tmp_path / "toy.jsonl"))
    how = Sweeping("cuda", tmp_path, arch="sm_90", timed_calls=3, say=lambda line: None)
    assert Sweep(space.first(1), how).run()
    before = (tmp_path / "toy.jsonl").read_text()
    (tmp_path / "toy.jsonl").write_text(before + '{"kind":"measu')
    assert Sweep(space, how).run()
    after = (tmp_path / "toy.jsonl").read_text()
    assert after.startswith(before)
    assert {code for code, _ in Records(tmp_path / "toy.jsonl").measured} == set(space.solutions)
