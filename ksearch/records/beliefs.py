"""Records of what a search believed, how its predictions did, and what its models cost. Gains and rewards in nats."""

from __future__ import annotations

from typing import Literal

from ksearch.records.base import Record


class BeliefRecord(Record):
    """What a search believed of a technique after one more outcome of it. Gains in nats.

    `gain_mean` and `gain_sd` are the predictive distribution of its next gain, given that it works, `p_success` that it does; from
    no prior knowledge (mean 0, a factor of 1.6 either way, P(success) one half) and this run's outcomes alone.
    """

    seq: int
    at_s: float
    evaluations: int
    node: int
    """Whose outcome it was."""
    technique: str
    gain: float | None
    """Measured there over the parent; None when it failed."""
    gain_mean: float
    gain_sd: float
    p_success: float
    successes: int
    failures: int
    honesty: float
    """Share of claimed gains that came true until then, over all techniques."""


class CitedRecord(Record):
    """A plan that an entry rests on, with its outcome as it was known at that moment."""

    node: int
    key: str
    """technique|target|parameter of its last step."""
    gain: float | None
    """Measured over its parent; None unless it passed."""
    failed_stage: str | None


class EntryRecord(Record):
    """One statement of the world model's document."""

    id: str
    kind: Literal["hypothesis", "lesson", "question"]
    text: str
    refuted_by: str
    """What would refute a hypothesis; empty for others."""
    evidence: tuple[CitedRecord, ...]
    """May be empty for a hypothesis or a question, never for a lesson."""


class AmendmentRecord(Record):
    """One edit that took effect: `ids` and `texts` as the planner gave them."""

    op: Literal["insert", "update", "split", "merge", "prune"]
    kind: str
    ids: tuple[str, ...]
    texts: tuple[str, ...]
    refuted_by: str
    nodes: tuple[int, ...]


class RevisionRecord(Record):
    """The world model's document after one planner's answer, and what that answer changed."""

    seq: int
    at_s: float
    ticket: int
    node: int
    """Where the planner was asked."""
    evaluations: int
    """Answered by then."""
    honesty: float
    """Share of a claimed gain that the search believed then, 0 to 1."""
    changes: tuple[AmendmentRecord, ...]
    refused: tuple[str, ...]
    """Why other edits of the same answer did not take effect."""
    entries: tuple[EntryRecord, ...]


class PredictionRecord(Record):
    """How the planner's claims came true: gains of plans that passed, and P(passes) of plans that were decided.

    CRPS: continuous ranked probability score, nats, smaller is better; Brier: mean squared error of a probability. `constant_*` is what the
    best constant would have scored, looking back (mean and spread of what was measured; the share that passed); `unknowing_crps` is
    what a normal of mean 0 and standard deviation 0.5 would have, which needs no look back.
    """

    claims: int
    crps: float | None
    constant_crps: float | None
    unknowing_crps: float | None
    bias: float | None
    """Mean of measured less claimed: negative is a planner that promises too much."""
    rank: float | None
    """Spearman's correlation of claimed with measured gains."""
    decided: int
    brier: float | None
    constant_brier: float | None


class SpendingRecord(Record):
    """What one role's model calls took. Each input token stands in one of `input`, `cached` (read from a cache), `written` (to one)."""

    role: str
    models: tuple[str, ...]
    calls: int
    """Settled or lost; those answered from another run's record included."""
    reused: int
    input: int
    cached: int
    written: int
    output: int
    unseen: int
    """Tokens booked at their bound, for calls whose count nobody knows."""
    usd: float
