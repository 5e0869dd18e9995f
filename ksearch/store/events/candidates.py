"""Code that was written, and what the judge said of it."""

from __future__ import annotations

from typing import Literal

from ksearch.store.events.base import CandidateId, Digest, Frozen, Kind


class CandidateWritten(Frozen):
    """Code exists for a ticket (None: the root's own). `solution` is the blob, `digest` the identity of what runs."""

    type: Literal["candidate_written"] = "candidate_written"
    candidate: CandidateId
    ticket: int | None
    node: int
    solution: Digest
    digest: Digest
    name: str
    language: str
    origin: str
    followed: bool = True
    """False: the code does what `did` says instead of the plan's last step, which then gets no credit."""
    did: str = ""
    tunables: tuple[tuple[str, str, str], ...] = ()
    """Constants that its author declared worth other values: file, name, value."""


class NothingWritten(Frozen):
    """The coder had no code for a ticket; the ticket then settles as failed at 'write'."""

    type: Literal["nothing_written"] = "nothing_written"
    ticket: int
    reason: str


class EvaluationStarted(Frozen):
    """A candidate was handed to the judge. `gpu_seconds` and `usd` (of a rented machine) are the reservation."""

    type: Literal["evaluation_started"] = "evaluation_started"
    candidate: CandidateId
    kind: Kind
    gpu_seconds: float
    usd: float = 0.0


class EvaluationSettled(Frozen):
    """The judge answered. `reward` and latencies (microseconds, weighted means) are None unless it passed."""

    type: Literal["evaluation_settled"] = "evaluation_settled"
    candidate: CandidateId
    kind: Kind
    verdict: Digest
    status: str
    stage: str | None
    message: str | None
    reward: float | None
    latency_us: float | None
    baseline_us: float | None
    paired_gain: float | None
    """`promote` only: mean log-ratio against the incumbent; None when not paired or not passed."""
    promoted: bool
    device_seconds: float
    wall_seconds: float
    usd: float = 0.0
    """What a rented machine was paid for it."""


class EvaluationLost(Frozen):
    """An evaluation ended without an answer (the machine's fault, or the process died); its lost time is booked."""

    type: Literal["evaluation_lost"] = "evaluation_lost"
    candidate: CandidateId
    kind: Kind
    reason: str
    device_seconds: float
    usd: float = 0.0


class RootSettled(Frozen):
    """The root's reward is known and the tree begins. `candidate` None: the reference itself."""

    type: Literal["root_settled"] = "root_settled"
    candidate: CandidateId | None
    reward: float
    sigma_noise: float


class PlanRefuted(Frozen):
    """A measured candidate failed the full judgement at `stage`. `nodes` are the plans that count as failed with it: those with its
    code, and those built on them, up to any that stood the full judgement.
    """

    type: Literal["plan_refuted"] = "plan_refuted"
    candidate: CandidateId
    nodes: tuple[int, ...]
    stage: str


class IncumbentChanged(Frozen):
    """A candidate was promoted. Latencies are weighted means over the full workload set, in microseconds."""

    type: Literal["incumbent_changed"] = "incumbent_changed"
    candidate: CandidateId
    latency_us: float
    baseline_us: float
