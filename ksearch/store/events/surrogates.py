"""Forecasts, and whom they left unmeasured."""

from __future__ import annotations

from typing import Literal

from ksearch.store.events.base import CandidateId, Digest, Frozen


class PastForecast(Frozen):
    """A forecast of an earlier run on the same definition and device, with what became of it. Rewards in nats."""

    p_passes: float
    d10: float
    d50: float
    d90: float
    parent_reward: float
    passed: bool
    reward: float | None


class SurrogateOpened(Frozen):
    """Candidates are forecast from here on. `samples` is a blob of judged samples of earlier runs to learn from; `model` the
    language model that is asked, if any: another one has a record of its own."""

    type: Literal["surrogate_opened"] = "surrogate_opened"
    forecaster: str
    model: str | None = None
    samples: Digest | None = None
    past: tuple[PastForecast, ...] = ()


class ForecastMade(Frozen):
    """A forecaster answered on a candidate, from what was known before its verdict. The quantiles are None when it had nothing to say.

    `m` is the number of candidates for each measurement at that moment, `audit` whether this one is measured whatever the
    forecast says, `known` how many of this run's outcomes the forecaster had learnt from. `tokens` and `usd` are its share of
    the model calls that it took, which are booked as calls.
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


class CandidateRetired(Frozen):
    """A candidate goes unmeasured: its forecast was hopeless, others were preferred, the forecaster that had preferred others lost
    its trust, or the budget ended. The last two decide nothing about it: its attempt is given back."""

    type: Literal["candidate_retired"] = "candidate_retired"
    candidate: CandidateId
    how: Literal["skipped", "expired", "untrusted", "unaffordable"]


class CandidateRecalled(Frozen):
    """A plan's last attempt is spent on its best-forecast candidate, which an earlier ticket had retired."""

    type: Literal["candidate_recalled"] = "candidate_recalled"
    candidate: CandidateId
    ticket: int
