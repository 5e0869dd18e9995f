"""What the page is made from: `PageData` for everything but the kernels, `CandidateDetail` for one kernel and its verdicts.

Both are the documented schema of `ksearch report --json`. Rewards, gains and claims are nats (natural logarithms of
speed-ups), latencies microseconds, times seconds. None is "not measured" or "not known", never 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from ksearch.records.beliefs import BeliefRecord, PredictionRecord, RevisionRecord
from ksearch.records.model import (
    ActionRecord,
    BoundsRecord,
    BudgetRecord,
    ForecastRecord,
    IncumbentRecord,
    ProgressRow,
    Record,
    RunStatus,
    ScoreRecord,
    TechniqueRecord,
    TicketRecord,
)

FORMAT: Literal[1] = 1


class RunHead(Record):
    """The run in a few facts."""

    name: str
    seq: int
    """The event after which everything here stands."""
    created: float
    """Seconds since the epoch."""
    definition: str
    device: str
    device_name: str
    family: str | None
    timer: str | None
    program: str
    judge: str
    status: RunStatus
    reason: str | None
    policy: str
    objective: str
    evaluations: int
    wall_seconds: float
    baseline: str
    """What speed-ups refer to, in words."""
    baseline_us: float | None
    root_reward: float | None
    sigma_noise: float | None
    honesty: float | None
    floor: BoundsRecord | None
    """What the device allows on the full set; None where that isn't known."""


class RegimeLatency(Record):
    """Weighted means over the timed workloads of one regime."""

    regime: str
    workloads: int
    weight: float
    """Share of the objective that these workloads carry."""
    baseline_us: float | None
    latency_us: float | None
    floor_us: float | None = None
    """What the device allows on these workloads; None where that isn't known."""


class Headline(IncumbentRecord):
    """The incumbent with its latency by regime, from its promotion."""

    regimes: tuple[RegimeLatency, ...]


class RefusedProposal(Record):
    action: int
    reason: str


class PageNode(Record):
    """One plan. `action` and `queued` are indices into `PageData.actions`; children are the nodes that name it as parent.

    N, F, O, K and best are of the subtree; `gain` is measured, to be held beside the action's claim.
    """

    id: int
    parent: int | None
    depth: int
    action: int | None
    status: Literal["root", "unproven", "proven", "closed", "exhausted"]
    N: int
    F: int
    O: int  # noqa: E741 - the design's letter for visits in flight
    K: int
    best: float | None
    own_best: float | None
    Q: float
    mean: float
    V0: float
    P: float | None
    attempts: int
    failed_stage: str | None
    gain: float | None
    queued: tuple[int, ...]
    refused: tuple[RefusedProposal, ...]
    shown: int | None
    """The candidate that stands for the node."""
    score: ScoreRecord | None
    """Its terms among its siblings now; None for the root and for policies that don't score."""
    seq: int
    at_s: float


class PageEvaluation(Record):
    """One answer of the judge, without its evidence (see `EvaluationDetail`)."""

    kind: Literal["evaluate", "promote"]
    status: str
    stage: str | None
    reward: float | None
    latency_us: float | None
    baseline_us: float | None
    paired_gain: float | None
    promoted: bool
    device_seconds: float
    wall_seconds: float
    seq: int
    at_s: float


class PageCandidate(Record):
    """One kernel. With a `twin` it is the same code as that earlier candidate, whose evaluations stand for both."""

    id: int
    node: int
    ticket: int | None
    language: str
    origin: str
    seq: int
    at_s: float
    twin: int | None
    losses: int
    device_seconds: float
    outcome: Literal["measured", "failed"] | None
    reward: float | None
    failed_stage: str | None
    message: str | None
    latency_us: float | None
    baseline_us: float | None
    standing: Literal["promoted", "subset"] | None
    incumbent: bool
    evaluations: tuple[PageEvaluation, ...]
    forecast: ForecastRecord | None


class ClaimPoint(Record):
    """One step that was tried: what was claimed of its gain over the parent, or forecast, and what was measured."""

    node: int
    claimed: float
    sd: float
    p_success: float
    passed: bool | None
    """None: not settled yet."""
    gain: float | None


class ReliabilityBin(Record):
    """Claims of P(success) between two bounds against the share that passed."""

    low: float
    high: float
    claims: int
    claimed: float
    passed: float


class Calibration(Record):
    """How far a source of predictions can be believed. Scores are None with fewer than two measured points.

    `bias` is the mean of measured minus claimed; `crps` the mean continuous ranked probability score of the normal that
    was claimed (nats, 0 is perfect); `coverage` the share of measurements within the claimed central 80 % interval;
    `rank` Spearman's correlation; `brier` the mean squared error of P(success).
    """

    source: str
    points: tuple[ClaimPoint, ...]
    measured: int
    bias: float | None
    mae: float | None
    crps: float | None
    coverage: float | None
    rank: float | None
    brier: float | None
    reliability: tuple[ReliabilityBin, ...]


class DepthRow(Record):
    """Nodes of one depth, with their own attempts."""

    depth: int
    nodes: int
    attempts: int
    proven: int
    closed: int
    mean_children: float
    best: float | None


class OutcomeCount(Record):
    """Tickets of one kind that ended so (`outcome` None: open); for failures by the stage that failed."""

    kind: Literal["write", "propose"]
    outcome: str | None
    stage: str | None
    count: int


class WideningRow(Record):
    """How many nodes have so many children, and how often those nodes were visited on average."""

    children: int
    nodes: int
    mean_visits: float


class PolicyStatistics(Record):
    depths: tuple[DepthRow, ...]
    outcomes: tuple[OutcomeCount, ...]
    widening: tuple[WideningRow, ...]
    proposed: int
    """Actions that planners brought; each was opened, is queued, or was refused."""
    opened: int
    queued: int
    refused: int
    duplicates: int
    """Candidates whose code had been judged before: settled without an evaluation."""


class CostRow(Record):
    """What one role spent. None where the role can't spend that."""

    role: str
    count: int
    device_seconds: float | None
    wall_seconds: float | None
    tokens: float | None
    usd: float | None
    models: tuple[str, ...] = ()
    """Language models that took it."""


class Command(Record):
    purpose: str
    command: str


class PageData(Record):
    """A run as the page shows it. Nodes, candidates and tickets stand at the index that is their id."""

    format: Literal[1] = FORMAT
    run: RunHead
    settings: Mapping[str, object]
    environment: Mapping[str, str]
    budget: Mapping[str, BudgetRecord]
    headline: Headline | None
    actions: tuple[ActionRecord, ...]
    nodes: tuple[PageNode, ...]
    candidates: tuple[PageCandidate, ...]
    tickets: tuple[TicketRecord, ...]
    progress: tuple[ProgressRow, ...]
    incumbents: tuple[IncumbentRecord, ...]
    techniques: tuple[TechniqueRecord, ...]
    calibrations: tuple[Calibration, ...]
    policy: PolicyStatistics
    beliefs: tuple[BeliefRecord, ...]
    """What the search came to believe of each technique, outcome by outcome."""
    world_model: tuple[RevisionRecord, ...]
    """The planner's document after each of its revisions; empty when the planner keeps none."""
    predictions: PredictionRecord | None
    """How claims came true, beside constants; None before any could be compared."""
    costs: tuple[CostRow, ...]
    commands: tuple[Command, ...]


class PageChange(Record):
    """What a page that shows a run as of event `since` is sent to show it as of `run.seq`; only the live page's server gives it.

    Rows replace those of the same number or are new. `actions` are those that the rows here name by index: their own list, not
    the page's. `headline` None: as before. What is made of all rows (claims, policy, techniques, cost) comes with the next
    `PageData`, and with it the values of plans that aren't here, which may have moved a little.
    """

    since: int
    run: RunHead
    budget: Mapping[str, BudgetRecord]
    headline: Headline | None
    actions: tuple[ActionRecord, ...]
    nodes: tuple[PageNode, ...]
    candidates: tuple[PageCandidate, ...]
    tickets: tuple[TicketRecord, ...]
    progress_from: int
    """How many rows of `PageData.progress` still stand; `progress` follows on them."""
    progress: tuple[ProgressRow, ...]
    incumbents: tuple[IncumbentRecord, ...]


class SourceText(Record):
    path: str
    text: str


class WorkloadLatency(Record):
    """One workload's medians."""

    uuid: str
    regime: str
    weight: float
    latency_us: float | None
    baseline_us: float | None
    max_abs_error: float | None
    max_rel_error: float | None


class FailureEvidence(Record):
    message: str
    workload: str | None
    element: str | None
    log: str
    reproduce: str | None


class PairedInterval(Record):
    """Mean log-ratio against the incumbent of that time, with the ends of its 95 % interval over `blocks`."""

    blocks: int
    mean: float
    low: float
    high: float


class CompileFacts(Record):
    seconds: float
    cached: bool
    registers: int | None
    spill_bytes: int | None
    shared_bytes: int | None
    log: str


class EvaluationDetail(Record):
    """One verdict without its raw samples. `missing` says why when the log doesn't hold it."""

    kind: Literal["evaluate", "promote"]
    missing: str | None = None
    regimes: tuple[RegimeLatency, ...] = ()
    workloads: tuple[WorkloadLatency, ...] = ()
    evidence: FailureEvidence | None = None
    paired: PairedInterval | None = None
    compile: CompileFacts | None = None
    timer: str | None = None
    isolation: tuple[str, ...] = ()
    hidden: Literal["full", "partial", "none"] | None = None
    resolution_us: float | None = None
    noise_ln: float | None = None


class CandidateDetail(Record):
    """One kernel's files and verdicts (a twin's are the verdicts of the first candidate with its code)."""

    candidate: int
    digest: str
    missing: str | None = None
    """Why there are no sources, when the log doesn't hold them."""
    name: str | None = None
    entry_point: str | None = None
    sources: tuple[SourceText, ...] = ()
    evaluations: tuple[EvaluationDetail, ...] = ()
