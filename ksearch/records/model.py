"""The records of a run. Immutable, JSON in and out; the schema that `--json` of every view is documented by.

Rewards are natural logarithms of speed-ups over the baseline, latencies microseconds, times seconds of searching (what
passed while a run was closed doesn't count). None means not measured, not known, or not applicable; never 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

from pydantic import Field

from ksearch.records.base import Record as Record
from ksearch.records.beliefs import BeliefRecord, PredictionRecord, RevisionRecord, SpendingRecord

RunStatus: TypeAlias = Literal["open", "done", "budget", "no_candidate", "interrupted", "error"]
"""'open': no process has ended the run; it may be searching now, or have died."""


class ActionRecord(Record):
    """One step of a plan, with what its planner claimed: `gain_mean` and `gain_sd` in nats given that it works."""

    key: str
    """technique|target|parameter."""
    technique: str
    target: str
    parameter: str
    intent: str
    rationale: str
    regime: str | None
    gain_mean: float
    gain_sd: float
    p_success: float
    difficulty: int
    second_parent: int | None


class RefusedRecord(Record):
    """A proposal that the tree did not take, and why."""

    action: ActionRecord
    reason: str


class EvaluationRecord(Record):
    """One answer of the judge. `verdict` names the blob with per-workload samples and evidence."""

    kind: Literal["evaluate", "promote"]
    status: str
    stage: str | None
    message: str | None
    reward: float | None
    latency_us: float | None
    baseline_us: float | None
    paired_gain: float | None
    promoted: bool
    device_seconds: float
    wall_seconds: float
    seq: int
    at_s: float
    verdict: str
    usd: float = 0.0


class ForecastRecord(Record):
    """What a surrogate said of a candidate before it was measured: P(passes), and the reward it would have, calibrated, in nats.

    `retired` says why it was not measured: skipped, or expired; empty when it was or will be.
    """

    forecaster: str
    p_passes: float
    reward: float
    sigma: float
    audit: bool
    retired: str


class CandidateRecord(Record):
    """One kernel. `twin` is the earlier candidate with the same code, whose evaluations then stand for both.

    `outcome` None: still open. `standing` says how far its latency may be believed: 'promoted' (full set, paired
    second measurement), 'subset' (timed on the stratified subset), None (not timed).
    """

    id: int
    node: int
    ticket: int | None
    name: str
    digest: str
    solution: str
    language: str
    origin: str
    seq: int
    at_s: float
    twin: int | None
    evaluations: tuple[EvaluationRecord, ...]
    losses: int
    device_seconds: float
    usd: float
    """Paid for rented machines."""
    outcome: Literal["measured", "failed"] | None
    reward: float | None
    failed_stage: str | None
    message: str | None
    latency_us: float | None
    baseline_us: float | None
    standing: Literal["promoted", "subset"] | None
    incumbent: bool
    """Whether it is the run's best kernel now."""
    forecast: ForecastRecord | None


class TicketRecord(Record):
    """One decision of the tree: why it was made, when, and what came of it."""

    ticket: int
    node: int
    kind: Literal["write", "propose"]
    mode: str | None
    attempt: int | None
    why: str
    issued_seq: int
    issued_s: float
    settled_seq: int | None
    settled_s: float | None
    outcome: Literal["measured", "failed", "skipped", "proposed", "cancelled"] | None
    reward: float | None
    reason: str | None
    proposals: int | None
    """How many actions a proposal brought."""
    candidate: int | None


class ScoreRecord(Record):
    """Terms of a node's score among its siblings at this moment: `total` = `q_tilde` + `exploration`.

    `q` is the value normalised to [0, 1], `q_tilde` the same after virtual loss. `rank` counts from 1 among the `arms`.
    """

    q: float
    q_tilde: float
    exploration: float
    total: float
    rank: int
    arms: int
    legal: bool
    """Whether anything at or below it can be asked for now."""


class NodeRecord(Record):
    """One plan. N, F, O, K, S and best are of its subtree, `own_*` of its own candidates.

    `gain` is the measured gain of its last step over the parent, to be held beside `action.gain_mean`.
    """

    id: int
    parent: int | None
    depth: int
    children: tuple[int, ...]
    action: ActionRecord | None
    plan: tuple[str, ...]
    status: Literal["root", "unproven", "proven", "closed", "exhausted"]
    N: int
    F: int
    O: int  # noqa: E741 - the design's letter for visits in flight
    K: int
    S: float
    best: float | None
    own_best: float | None
    Q: float
    mean: float
    V0: float
    q: float
    P: float | None
    attempts: int
    failed_stage: str | None
    gain: float | None
    queued: tuple[ActionRecord, ...]
    refused: tuple[RefusedRecord, ...]
    candidates: tuple[int, ...]
    shown: int | None
    """The candidate that stands for the node: the best that passed, else the last written."""
    tickets: tuple[int, ...]
    score: ScoreRecord | None
    """None for the root, which has no siblings, and for a policy other than PUCT, which compares no scores."""
    seq: int
    """The event that opened it."""
    at_s: float


class ProgressRow(Record):
    """Where the search stood after one answer of the judge."""

    seq: int
    at_s: float
    evaluations: int
    gpu_seconds: float
    usd: float
    candidate: int
    reward: float | None
    """Of this answer; None unless it passed."""
    best: float
    """M(root): the best settled reward so far."""
    incumbent_us: float | None
    """Of the full set, promoted; None before the first promotion."""


class TechniqueRecord(Record):
    """What became of a technique: claimed before, measured since."""

    technique: str
    tries: int
    successes: int
    failures: int
    claimed_gain: float | None
    """Mean over its tried steps, nats, as their planner claimed it."""
    measured_gain: float | None
    """Mean over its measured steps, nats."""
    measured: int


class BudgetRecord(Record):
    limit: float | None
    spent: float
    reserved: float


class IncumbentRecord(Record):
    candidate: int
    node: int
    latency_us: float
    baseline_us: float
    speedup: float
    seq: int
    at_s: float


class RegimeBoundRecord(Record):
    """Of one regime: weighted means over its workloads, in microseconds; `floor_us` is `launch_us` and the larger of the other two."""

    regime: str
    weight: float
    workloads: int
    floor_us: float
    launch_us: float
    memory_us: float
    compute_us: float
    binds: Literal["memory", "compute", "launch"]


class BoundsRecord(Record):
    """What the device allows on the full set of workloads, in microseconds: no kernel is faster than the floor.

    `source` says whether the device's ceilings were measured or come from a datasheet, `basis` which inputs are counted as read.
    `bounds` is the blob with every workload's floor and the ceilings (`StoredRun.bounds()` reads it).
    """

    op_class: str
    source: Literal["measured", "datasheet"]
    basis: Literal["declared", "all inputs", "outputs alone"]
    floor_us: float
    objective_floor_us: float
    binds: Literal["memory", "compute", "launch"]
    regimes: tuple[RegimeBoundRecord, ...]
    bounds: str


class RunRecord(Record):
    """One run at one moment: after event `seq` of its log."""

    format: Literal[1] = 1
    run: str
    seq: int
    created: float
    """Seconds since the epoch."""
    definition: str
    device: str
    device_name: str
    family: str | None
    program: str
    judge: str
    timer: str | None
    status: RunStatus
    reason: str | None
    settings: Mapping[str, object]
    environment: Mapping[str, str]
    """Of the latest opening."""
    evaluations: int
    wall_seconds: float
    baseline: str | None
    """Blob of the baseline solution; None is the definition's reference."""
    baseline_us: float | None
    root_reward: float | None
    sigma_noise: float | None
    honesty: float | None
    incumbent: IncumbentRecord | None
    bounds: BoundsRecord | None = None
    """None where nothing is known of the device, and in runs older than bounds."""
    budget: Mapping[str, BudgetRecord]
    nodes: tuple[NodeRecord, ...] = Field(default=())
    candidates: tuple[CandidateRecord, ...] = Field(default=())
    tickets: tuple[TicketRecord, ...] = Field(default=())
    progress: tuple[ProgressRow, ...] = Field(default=())
    techniques: tuple[TechniqueRecord, ...] = Field(default=())
    incumbents: tuple[IncumbentRecord, ...] = Field(default=())
    """Every promotion that was won, in order."""
    belief_history: tuple[BeliefRecord, ...] = Field(default=())
    """One row for each outcome that taught something of a technique, in order."""
    world_model_history: tuple[RevisionRecord, ...] = Field(default=())
    """What the world model's document said after each revision; before the first it was empty."""
    predictions: PredictionRecord | None = None
    """How the planner's claims came true so far."""
    spending: tuple[SpendingRecord, ...] = Field(default=())
    """What language models took, by role."""
    branched: str | None = None
    """RUN@SEQ: this run began with that prefix of another one's log; its spending is included in everything here."""
    pins: tuple[int, ...] = Field(default=())
    """Nodes that the user wants searched first, now."""
    bans: tuple[str, ...] = Field(default=())
    """Techniques and action keys that the user wants no more of, now."""


class RunChange(Record):
    """What came to a run after event `since`: the run without its rows, and the rows that are new or other than they were.

    Values, priors, scores and forecasts of the plans that aren't here may have moved a little (see records/touched.py).
    """

    since: int
    run: RunRecord
    nodes: tuple[NodeRecord, ...]
    candidates: tuple[CandidateRecord, ...]
    tickets: tuple[TicketRecord, ...]
    progress_from: int
    """How many of the rows known before still stand; `progress` follows on them."""
    progress: tuple[ProgressRow, ...]
    incumbents: tuple[IncumbentRecord, ...]
    """All of them."""
