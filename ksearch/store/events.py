"""The events of a run, as pydantic models told apart by `type`. State is a pure fold of them (see fold.py).

An event records what happened, never what should happen next; sources, verdicts and other large texts are blobs named
by their SHA-256.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from ksearch.settings import BudgetSettings
from ksearch.store.requests import Request
from ksearch.tree.types import Action

Digest: TypeAlias = str
CandidateId: TypeAlias = int
CallEnding: TypeAlias = Literal["complete", "refused", "truncated", "broken", "failed"]
"""How a model call ended: with an answer (of three kinds), with one that broke off, or with none."""


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Origin(_Event):
    """Where a run branched off: its log begins with the events of `run` up to number `seq` (the header aside)."""

    run: str
    seq: int


class RunCreated(_Event):
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


class Opened(_Event):
    """A process took the run up."""

    type: Literal["opened"] = "opened"
    pid: int
    resumed: bool
    environment: Mapping[str, str]


class CandidateWritten(_Event):
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


class NothingWritten(_Event):
    """The coder had no code for a ticket; the ticket then settles as failed at 'write'."""

    type: Literal["nothing_written"] = "nothing_written"
    ticket: int
    reason: str


class PastForecast(_Event):
    """A forecast of an earlier run on the same definition and device, with what became of it. Rewards in nats."""

    p_passes: float
    d10: float
    d50: float
    d90: float
    parent_reward: float
    passed: bool
    reward: float | None


class SurrogateOpened(_Event):
    """Candidates are forecast from here on. `samples` is a blob of judged samples of earlier runs to learn from."""

    type: Literal["surrogate_opened"] = "surrogate_opened"
    forecaster: str
    samples: Digest | None = None
    past: tuple[PastForecast, ...] = ()


class ForecastMade(_Event):
    """A forecaster answered on a candidate, from what was known before its verdict. The quantiles are None when it had nothing to say.

    `m` is the number of candidates for each measurement at that moment, `audit` whether this one is measured whatever the
    forecast says, `known` how many of this run's outcomes the forecaster had learnt from.
    """

    type: Literal["forecast_made"] = "forecast_made"
    candidate: CandidateId
    forecaster: str
    p_passes: float | None
    d10: float | None
    d50: float | None
    d90: float | None
    parent_reward: float | None
    m: float
    audit: bool
    known: int
    tokens: int = 0
    usd: float = 0.0
    malformed: int = 0


class CandidateRetired(_Event):
    """A candidate goes unmeasured: its forecast was hopeless, it was passed over too often, or the budget ended."""

    type: Literal["candidate_retired"] = "candidate_retired"
    candidate: CandidateId
    how: Literal["skipped", "expired", "unaffordable"]


class CandidateRecalled(_Event):
    """A plan's last attempt is spent on its best-forecast candidate, which an earlier ticket had retired."""

    type: Literal["candidate_recalled"] = "candidate_recalled"
    candidate: CandidateId
    ticket: int


class EvaluationStarted(_Event):
    """A candidate was handed to the judge. `gpu_seconds` and `usd` (of a rented machine) are the reservation."""

    type: Literal["evaluation_started"] = "evaluation_started"
    candidate: CandidateId
    kind: Literal["evaluate", "promote"]
    gpu_seconds: float
    usd: float = 0.0


class EvaluationSettled(_Event):
    """The judge answered. `reward` and latencies (microseconds, weighted means) are None unless it passed."""

    type: Literal["evaluation_settled"] = "evaluation_settled"
    candidate: CandidateId
    kind: Literal["evaluate", "promote"]
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


class EvaluationLost(_Event):
    """An evaluation ended without an answer (the machine's fault, or the process died); its lost time is booked."""

    type: Literal["evaluation_lost"] = "evaluation_lost"
    candidate: CandidateId
    kind: Literal["evaluate", "promote"]
    reason: str
    device_seconds: float
    usd: float = 0.0


class RootSettled(_Event):
    """The root's reward is known and the tree begins. `candidate` None: the reference itself."""

    type: Literal["root_settled"] = "root_settled"
    candidate: CandidateId | None
    reward: float
    sigma_noise: float


class ArmOpenedEvent(_Event):
    type: Literal["arm_opened"] = "arm_opened"
    node: int
    parent: int
    action: Action


class TicketIssued(_Event):
    type: Literal["ticket_issued"] = "ticket_issued"
    ticket: int
    node: int
    kind: Literal["write", "propose"]
    mode: str | None
    attempt: int | None
    failed_stage: str | None
    count: int | None
    gpu_seconds: float
    why: str
    evaluations: int = 1
    """What a write ticket reserves at once; 0 when it waits in the surrogate's line, and reserves when it is measured."""
    usd: float = 0.0
    """What a write ticket reserves for a rented machine."""


class TicketSettled(_Event):
    type: Literal["ticket_settled"] = "ticket_settled"
    ticket: int
    outcome: Literal["measured", "failed", "skipped", "proposed", "cancelled"]
    reward: float | None = None
    reason: str | None = None
    actions: tuple[Action, ...] = ()


class IncumbentChanged(_Event):
    """A candidate was promoted. Latencies are weighted means over the full workload set, in microseconds."""

    type: Literal["incumbent_changed"] = "incumbent_changed"
    candidate: CandidateId
    latency_us: float
    baseline_us: float


class EditRecord(_Event):
    """One edit of the world model's document, flat; `op` decides which fields count (see worldmodel/document.py)."""

    op: Literal["insert", "update", "split", "merge", "prune"]
    kind: str = ""
    ids: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    refuted_by: str = ""
    nodes: tuple[int, ...] = ()


class ModelCallStarted(_Event):
    """A language model is asked. `usd` and `tokens` are the reservation: an upper bound of what the call can take."""

    type: Literal["model_call_started"] = "model_call_started"
    call: int
    role: str
    model: str
    ticket: int | None
    node: int | None
    request: Digest
    """Blob of the request's canonical JSON: its digest is the request's identity."""
    usd: Decimal
    tokens: int


class ModelCallSettled(_Event):
    """The call ended. `answer` is the blob of the reply, None when there is none."""

    type: Literal["model_call_settled"] = "model_call_settled"
    call: int
    ending: CallEnding
    answer: Digest | None
    input: int
    cached: int
    written: int
    output: int
    usd: Decimal
    estimated: bool
    """The provider didn't say what it counted: for a broken answer these are its upper bounds."""
    tries: int
    seconds: float
    error: str | None = None
    reused: bool = False
    """Taken from another run's record: nothing was asked and nothing spent."""


class ModelCallLost(_Event):
    """The process ended while the call was in flight: it is booked at its reservation."""

    type: Literal["model_call_lost"] = "model_call_lost"
    call: int
    reason: str


class WorldModelRevised(_Event):
    """The planner's edits of the world model, of which only legal ones took effect; `refused` says why the others didn't."""

    type: Literal["world_model_revised"] = "world_model_revised"
    ticket: int
    edits: tuple[EditRecord, ...]
    refused: tuple[str, ...] = ()


class PlanningFailed(_Event):
    """A planner's answer held nothing to try, and why; the ticket then settles with no proposals."""

    type: Literal["planning_failed"] = "planning_failed"
    ticket: int
    reason: str


class BudgetBlocked(_Event):
    """A model call did not fit into what is left and was not made; no new work begins until a limit is raised."""

    type: Literal["budget_blocked"] = "budget_blocked"
    ticket: int | None
    resource: str
    reason: str
class NodePinned(_Event):
    """The search goes to this plan first from now on."""

    type: Literal["node_pinned"] = "node_pinned"
    node: int


class NodeUnpinned(_Event):
    type: Literal["node_unpinned"] = "node_unpinned"
    node: int


class IdeaBanned(_Event):
    """A technique, or one action by its key, is neither proposed nor tried from now on."""

    type: Literal["idea_banned"] = "idea_banned"
    idea: str


class IdeaUnbanned(_Event):
    type: Literal["idea_unbanned"] = "idea_unbanned"
    idea: str


class RequestAnswered(_Event):
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


class BudgetChanged(_Event):
    """The user changed the limits, on resume or while the search went on."""

    type: Literal["budget_changed"] = "budget_changed"
    budget: BudgetSettings


class RunEnded(_Event):
    """The search stopped by itself or was stopped. A later resume continues unless the status is 'done'."""

    type: Literal["run_ended"] = "run_ended"
    status: Literal["done", "budget", "no_candidate", "interrupted", "error"]
    reason: str


Event: TypeAlias = (
    RunCreated
    | Opened
    | CandidateWritten
    | NothingWritten
    | SurrogateOpened
    | ForecastMade
    | CandidateRetired
    | CandidateRecalled
    | EvaluationStarted
    | EvaluationSettled
    | EvaluationLost
    | RootSettled
    | ArmOpenedEvent
    | TicketIssued
    | TicketSettled
    | IncumbentChanged
    | ModelCallStarted
    | ModelCallSettled
    | ModelCallLost
    | WorldModelRevised
    | PlanningFailed
    | BudgetBlocked
    | NodePinned
    | NodeUnpinned
    | IdeaBanned
    | IdeaUnbanned
    | RequestAnswered
    | BudgetChanged
    | RunEnded
)

EVENT: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="type")])


_VALIDATOR = EVENT.validator
"""Without the adapter's own layer of options, which costs as much as a small event's validation."""


def parse_event(payload: str) -> Event:
    """Raises pydantic.ValidationError for a payload that no version of this schema wrote."""
    event: Event = _VALIDATOR.validate_json(payload)
    return event
