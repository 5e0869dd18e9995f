"""The device path without a device: the runner's CUDA side in this process, on cpu tensors, with stand-in events.

What is tested is the protocol: inputs made twice from one seed, outputs alone crossing, checks and stamps. What only a GPU can
show (CUPTI, the driver behind the wall) is in benchmarks/judge/judge_cuda_trial.py.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from ksearch.definitions.catalog import load_definition, workloads_for
from ksearch.definitions.schema import BuildSpec, Solution, SourceFile
from ksearch.judge import rows
from ksearch.judge.checks import Checker
from ksearch.judge.clocks import Timing
from ksearch.judge.cuda_timing import DeviceClock
from ksearch.judge.device_session import DeviceSession
from ksearch.judge.failures import StageFailure
from ksearch.judge.inputs import InputSource
from ksearch.judge.metronome import Metronome, wall_time
from ksearch.judge.oracles import oracle_for
from ksearch.judge.reference import Reference
from ksearch.judge.rows import hold_to_claims
from ksearch.judge.runner import stub
from ksearch.judge.runner.cuda_calls import CudaCalls
from ksearch.judge.runner_handle import Spent
from ksearch.judge.seeds import Seeds
from ksearch.judge.verdict import Limits, Stage, Status

DEFINITION = load_definition("rmsnorm")
WORKLOADS = sorted(workloads_for(DEFINITION, "cpu"), key=lambda workload: workload.axes["batch_size"])[:2]
HONEST = """
import torch

def run(hidden_states, weight, output):
    x = hidden_states.float()
    output.copy_(x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-5) * weight.float())
"""


class StandInEvent:
    def __init__(self, enable_timing: bool) -> None:
        self.at = 0.0

    def record(self) -> None:
        self.at = time.perf_counter()

    def elapsed_time(self, later: StandInEvent) -> float:
        return (later.at - self.at) * 1e3


class InProcess:
    """A runner without a process: the same messages through JSON, the same code behind them."""

    layers: tuple[str, ...] = ()
    pid = os.getpid()
    log = SimpleNamespace(text="")

    def __init__(self, scratch: Path) -> None:
        self.scratch, self.calls = scratch, CudaCalls()

    def ask(self, message: dict[str, Any], timeout_s: float, descriptors: tuple[int, ...] = ()) -> dict[str, Any]:
        return stub._perform(json.loads(json.dumps(message)), [os.dup(end) for end in descriptors], self.calls)

    def call(self, timeout_s: float, reveal: Any, collect: Callable[[], None]) -> Spent:
        begin = time.perf_counter()
        self.calls.prepared()()
        collect()
        return Spent(time.perf_counter() - begin, None)

    def stop(self) -> None: ...

    def resume(self) -> None: ...


@pytest.fixture
def sessions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr(torch.cuda, "Event", StandInEvent)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda *_: None)
    monkeypatch.setattr(torch.cuda, "set_device", lambda *_: None)
    preparation = {
        "definition": DEFINITION.model_dump(mode="json"), "dataset_root": None, "device": "cpu", "cupti": False, "flush_bytes": 1024,
    }  # fmt: skip

    def open_session(name: str, code: str) -> DeviceSession:
        runner = InProcess(tmp_path / name)
        session = DeviceSession(runner, Limits(), lambda: 100.0, preparation=preparation)  # type: ignore[arg-type]
        spec = BuildSpec(language="python", target_hardware=("cuda",), entry_point=f"{name}.py::run")
        sources = (SourceFile(path=f"{name}.py", content=code),)
        session.load(Solution(name=name, definition=DEFINITION.name, author="test", spec=spec, sources=sources), None)
        if name != "idle":
            session.metronome = Metronome(open_session("idle", "def run(*given): pass"), wall_time)
        return session

    return open_session


@pytest.fixture
def checker() -> Checker:
    oracle = oracle_for(DEFINITION, Reference(DEFINITION))
    return Checker(DEFINITION, oracle, lambda workload: InputSource(DEFINITION, workload, "cpu", None), Seeds(None))


def test_an_honest_kernel_passes_every_check_and_is_timed(sessions: Any, checker: Checker) -> None:
    session = sessions("device_honest", HONEST)
    checker.smoke(session, WORKLOADS[0])
    checker.numerics(session, WORKLOADS)
    checker.repetition(session, WORKLOADS)
    checker.mutation(session, WORKLOADS)
    clock = DeviceClock(SimpleNamespace(cupti=False))  # type: ignore[arg-type]
    times = clock.time(checker, session, WORKLOADS, timed_calls=4)
    assert clock.name == "cuda-events"
    assert all(len(times[workload.uuid].samples_us) == 4 and times[workload.uuid].latency_us > 0 for workload in WORKLOADS)
    readings: list[int] = []
    found = clock.duel(checker, [session, session], WORKLOADS, 0, times, lambda: readings.append(1))
    assert [side.keys() for side in found] == [{workload.uuid for workload in WORKLOADS}] * 2
    assert len(readings) == 4


WRONG = {
    "device_unwritten": ("    pass", "not written"),
    "device_zeros": ("    output.zero_()", "output"),
    "device_mutates": (HONEST.split("output):")[1] + "\n    hidden_states.zero_()", "changed input hidden_states"),
}


@pytest.mark.parametrize("name", sorted(WRONG))
def test_a_wrong_kernel_is_told_what_it_did(sessions: Any, checker: Checker, name: str) -> None:
    body, message = WRONG[name]
    session = sessions(name, f"import torch\n\ndef run(hidden_states, weight, output):\n{body}\n")
    with pytest.raises(StageFailure, match=message) as failure:
        checker.numerics(session, WORKLOADS)
    assert failure.value.status in (Status.INCORRECT_NUMERICAL, Status.REJECTED)


def test_a_cache_by_pointer_does_not_survive_new_values_at_the_same_address(sessions: Any, checker: Checker) -> None:
    cached = HONEST.replace("def run(", "def compute(") + (
        "\nkept = {}\n\ndef run(x, w, out):\n    key = x.data_ptr()\n    if key not in kept:\n"
        "        compute(x, w, out)\n        kept[key] = out.clone()\n    out.copy_(kept[key])\n"
    )
    session = sessions("device_cached", cached)
    with pytest.raises(StageFailure) as failure:
        checker.mutation(session, WORKLOADS)
    assert failure.value.stage is Stage.MUTATION


@pytest.fixture
def short_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "CALLS", 6)


@pytest.mark.usefixtures("short_rows")
def test_a_row_of_calls_bears_an_honest_claim_out_and_belies_a_forged_one(sessions: Any, checker: Checker) -> None:
    session = sessions("device_row", HONEST)
    workload = WORKLOADS[-1]
    times = DeviceClock(SimpleNamespace(cupti=False)).time(checker, session, [workload], timed_calls=5)  # type: ignore[arg-type]
    generous = {workload.uuid: Timing((20 * times[workload.uuid].latency_us,), None, 1)}
    resolution = hold_to_claims(checker, session, [workload], generous)
    assert resolution is not None
    assert resolution > 0
    slow = sessions("device_slow", "import time\n" + HONEST + "    time.sleep(0.02)\n")
    with pytest.raises(StageFailure, match=r"stamps claim 1 us a call; \d+ calls in a row take .* by the judge's clock") as failure:
        hold_to_claims(checker, slow, [workload], {workload.uuid: Timing((1.0,), None, 1)})
    assert failure.value.status is Status.REJECTED


@pytest.mark.usefixtures("short_rows")
def test_work_left_out_of_a_row_is_found(sessions: Any, checker: Checker) -> None:
    lazy = HONEST.replace("def run(", "def compute(") + (
        "\nmade = []\n\ndef run(x, w, out):\n    made.append(1)\n    compute(x, w, out) if len(made) % 2 else out.zero_()\n"
    )
    session = sessions("device_lazy", lazy)
    with pytest.raises(StageFailure, match="in a row of calls"):
        hold_to_claims(checker, session, WORKLOADS, {workload.uuid: Timing((1e4,), None, 1) for workload in WORKLOADS})


def test_a_row_that_does_not_fit_says_nothing(sessions: Any, checker: Checker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "DEVICE_BYTES", 1)
    claims = {workload.uuid: Timing((1.0,), None, 1) for workload in WORKLOADS}
    assert hold_to_claims(checker, sessions("device_large", HONEST), WORKLOADS, claims) is None
