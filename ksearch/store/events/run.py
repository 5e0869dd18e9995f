"""How a run begins, goes on and ends, and what its user asked of it meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from ksearch.settings import BudgetSettings
from ksearch.store.events.base import Digest, Frozen
from ksearch.store.requests import Request


class Origin(Frozen):
    """Where a run branched off: its log begins with the events of `run` up to number `seq` (the header aside)."""

    run: str
    seq: int


class RunCreated(Frozen):
    """A search begins. What must not change on resume stands here."""

    type: Literal["run_created"] = "run_created"
    run: str
    ksearch_version: str
    judge_version: str
    settings: Digest
    definition: Digest
    definition_name: str
    workloads: Digest
    """The full set, with regimes and weights."""
    subset: Digest
    """The stratified subset that an ordinary evaluation times."""
    baseline: Digest | None
    """The baseline solution; None is the definition's reference."""
    start: Digest | None
    """The user's start kernel, if any."""
    seed: int
    device: str
    device_name: str
    """Model of the device, as its driver or the kernel names it; a resume on another model is refused."""
    family: str | None
    """The playbook's template family; None when the definition has no templates."""
    arch: str | None = None
    """The GPU's architecture ('sm_90'), which what is written depends on; None on a cpu and in logs older than this field."""
    branched: Origin | None = None
    """None: it began with nothing."""


class Opened(Frozen):
    """A process took the run up."""

    type: Literal["opened"] = "opened"
    pid: int
    resumed: bool
    environment: Mapping[str, str]


class RegimeBound(Frozen):
    """Of one regime: weighted means over its workloads, in microseconds. `weight` is its share of the objective."""

    regime: str
    weight: float
    workloads: int
    floor_us: float
    launch_us: float
    memory_us: float
    compute_us: float
    binds: Literal["memory", "compute", "launch"]


class BoundsKnown(Frozen):
    """What the device allows on the run's full set of workloads: no kernel is faster than `floor_us` (see docs/profiling.md).

    `bounds` is the blob with every workload's floor and the device's ceilings. `source` tells whether those were measured or come from a
    datasheet, `basis` what of the inputs is counted. `objective_floor_us` is the mean that the objective takes: `floor_us` is always the
    weighted arithmetic one.
    """

    type: Literal["bounds_known"] = "bounds_known"
    bounds: Digest
    op_class: str = ""
    """The definition's op_type; empty in logs older than it."""
    source: Literal["measured", "datasheet"]
    basis: Literal["declared", "all inputs", "outputs alone"]
    floor_us: float
    objective_floor_us: float
    binds: Literal["memory", "compute", "launch"]
    regimes: tuple[RegimeBound, ...]


class BudgetChanged(Frozen):
    """The user changed the limits, on resume or while the search went on."""

    type: Literal["budget_changed"] = "budget_changed"
    budget: BudgetSettings


class RequestAnswered(Frozen):
    """A request from another process was taken in; what it changed follows as events of the same transaction.

    `request` is what was asked, `origin` who passed it on, `asked_at` when (seconds since the epoch).
    """

    type: Literal["request_answered"] = "request_answered"
    number: int
    origin: str
    asked_at: float
    request: Request
    outcome: Literal["done", "refused"]
    reason: str | None
    """Why it was refused."""


class RunEnded(Frozen):
    """The search stopped by itself or was stopped. A later resume continues unless the status is 'done'."""

    type: Literal["run_ended"] = "run_ended"
    status: Literal["done", "budget", "no_candidate", "interrupted", "error"]
    reason: str
