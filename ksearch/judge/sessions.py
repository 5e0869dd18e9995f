"""Opening a session on a device: a fresh runner behind the wall."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ksearch.definitions.schema import Solution
from ksearch.judge.device import Device
from ksearch.judge.device_session import DeviceSession
from ksearch.judge.host import HostFailure, Nursery, spawn
from ksearch.judge.runner.stub import Kind
from ksearch.judge.sandbox.wall import WallPlan
from ksearch.judge.scratch import new_scratch, remove
from ksearch.judge.session import Session
from ksearch.judge.verdict import Job

FLUSH_BYTES = 256 * 2**20
"""Twice the L2 cache of the largest current GPU (126 MB on B200)."""


def kind_of(device: Device, solution: Solution, *, allow_libraries: bool) -> Kind:
    """Which runner a solution gets. Compiled code on a CPU promises to be its own: it finds no vendor library in its process."""
    if device.cuda:
        return "cuda"
    return "native" if solution.spec.language == "cpp" and not allow_libraries else "torch"


def open_session(nursery: Nursery, device: Device, job: Job, remaining_s: Callable[[], float]) -> Session:
    """Raises HostFailure when the machine can't give a runner."""
    plan = WallPlan(
        scratch=str(new_scratch()),
        cuda=device.cuda,
        processes=device.cuda,  # Triton builds its launcher with a C compiler
        memory_bytes=None if device.cuda else job.limits.memory_bytes,
        core=device.core,
        libraries=nursery.kind != "native",
        unsafe=job.unsafe_runner,
    )
    try:
        runner = spawn(nursery, plan, job.limits.memory_bytes)
    except HostFailure:
        remove(Path(plan.scratch))
        raise
    if not device.cuda:
        return Session(runner, job.limits, remaining_s)
    preparation = {
        "definition": job.definition.model_dump(mode="json"),
        "dataset_root": job.dataset_root,
        "device": device.spec,
        "cupti": device.cupti,
        "flush_bytes": FLUSH_BYTES,
    }
    return DeviceSession(runner, job.limits, remaining_s, preparation=preparation)
