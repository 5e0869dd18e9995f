"""What the events say of a run's surrogate: its forecasts, its record, who waits in line and who left it unmeasured."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ksearch.store.events import (
    CandidateId,
    CandidateRecalled,
    CandidateRetired,
    EvaluationSettled,
    ForecastMade,
    PastForecast,
    SurrogateOpened,
)
from ksearch.surrogates.acquisition import audit_probability, candidates_for_each
from ksearch.surrogates.quantities import Estimate
from ksearch.surrogates.trust import Record
from ksearch.surrogates.tuning import recommended_budget
from ksearch.surrogates.types import Forecast

BudgetSetting = float | Literal["auto"]

DECIDED = ("skipped", "expired")
"""How candidates leave the line by their forecasts."""


@dataclass(slots=True)
class SurrogateState:
    """What a run's surrogate said and decided.

    `waiting` counts for each candidate in line how often another was preferred. What was considered and what of it goes
    unmeasured is counted by code: a code that is written again for another attempt is nothing new."""

    opened: SurrogateOpened
    record: Record
    setting: BudgetSetting
    made: dict[CandidateId, ForecastMade] = field(default_factory=dict)
    waiting: dict[CandidateId, int] = field(default_factory=dict)
    retired: dict[CandidateId, str] = field(default_factory=dict)
    recalled: set[CandidateId] = field(default_factory=set)
    judged: list[CandidateId] = field(default_factory=list)
    """In the order of their verdicts, which is the order in which a forecaster learns."""
    known_at: dict[CandidateId, int] = field(default_factory=dict)
    """How many were judged when a candidate was written: all that its forecast may rest on, whenever it is asked for."""
    begun: set[CandidateId] = field(default_factory=set)
    """Handed to the judge at least once."""
    digests: dict[CandidateId, str] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    """Codes forecast while there was a choice."""
    unmeasured: set[str] = field(default_factory=set)
    """Codes that left the line by a decision."""
    due: float = 0.0
    """How many codes are to be considered before the next measurement."""
    filtering: bool = False
    """Whether there was a choice when the latest forecast was made."""

    @classmethod
    def begin(cls, opened: SurrogateOpened, sigma_noise: float, setting: BudgetSetting) -> SurrogateState:
        record = Record(sigma_noise)
        for past in opened.past:
            record.learn(_forecast(opened.forecaster, past), past.parent_reward, past.passed, past.reward)
        return cls(opened, record, setting)

    # ------------------------------------------------------------------ reading

    @property
    def budget(self) -> float:
        """The share of candidates that may go unmeasured now: 0 until the forecaster is trusted."""
        if not self.record.standing.trusted:
            return 0.0
        return recommended_budget(self.record) if self.setting == "auto" else self.setting

    @property
    def m(self) -> float:
        """Candidates written for each measurement."""
        return candidates_for_each(self.budget)

    @property
    def considered(self) -> int:
        return len(self.seen)

    @property
    def dropped(self) -> int:
        return len(self.unmeasured)

    @property
    def short(self) -> int:
        """How many more are to be considered before the next measurement."""
        due = self.due if self.filtering else self.considered + self.m
        return max(0, math.ceil(due - self.considered - 1e-9))

    def is_waiting(self, candidate: CandidateId) -> bool:
        return candidate in self.waiting

    def has_forecast(self, candidate: CandidateId) -> bool:
        """Or was never to have one: measured before it was asked for."""
        return candidate in self.made or candidate in self.begun

    @property
    def may_drop(self) -> int:
        """How many more candidates may go unmeasured within the budget."""
        return max(0, math.floor(self.budget * self.considered) - self.dropped)

    def said(self, candidate: CandidateId) -> Estimate | None:
        """The forecast on a candidate, calibrated by everything known now; None when there is none."""
        made = self.made.get(candidate)
        forecast = None if made is None else usable(made)
        if made is None or forecast is None or made.parent_reward is None:
            return None
        return self.record.said(forecast, made.parent_reward)

    def may_know(self, candidate: CandidateId) -> int:
        """How many of the judged a forecast of this candidate may rest on; never its own verdict."""
        return self.known_at.get(candidate, len(self.judged))

    @property
    def is_quick(self) -> bool:
        """Whether forecasts come from this machine, not from a language model's: then they can be waited for."""
        return self.opened.model is None

    # ------------------------------------------------------------------ folding

    def written(self, candidate: CandidateId, digest: str) -> None:
        self.known_at[candidate], self.digests[candidate] = len(self.judged), digest

    def apply(self, event: ForecastMade | CandidateRetired | CandidateRecalled) -> None:
        match event:
            case ForecastMade():
                self.made[event.candidate] = event
                if event.candidate not in self.begun:
                    self.waiting[event.candidate] = 0
                self._consider(self.digests[event.candidate], event.m)
            case CandidateRetired():
                self.waiting.pop(event.candidate, None)
                self.retired[event.candidate] = event.how
                if event.how in DECIDED:
                    self.unmeasured.add(self.digests[event.candidate])
            case CandidateRecalled():
                self.retired.pop(event.candidate, None)
                self.unmeasured.discard(self.digests[event.candidate])
                self.recalled.add(event.candidate)
                self.waiting[event.candidate] = 0

    def _consider(self, digest: str, m: float) -> None:
        self.unmeasured.discard(digest)
        if m > 1.0:
            if not self.filtering:
                self.due = self.considered + m
            self.seen.add(digest)
        self.filtering = m > 1.0

    def started(self, candidate: CandidateId) -> None:
        """A measurement began: while there is a choice, everyone else in line was passed over, and m more are due."""
        self.begun.add(candidate)
        if self.waiting.pop(candidate, None) is not None and self.filtering:
            self.due = min(self.due, self.considered) + self.m
            for other in self.waiting:
                self.waiting[other] += 1

    def answered(self, event: EvaluationSettled) -> None:
        self.judged.append(event.candidate)
        self.compare(event)

    def compare(self, event: EvaluationSettled) -> None:
        """Put forecast and verdict together, once both are there: while nothing waits for a forecast, either may come first."""
        made = self.made.get(event.candidate)
        forecast = None if made is None else usable(made)
        if made is not None and forecast is not None and made.parent_reward is not None:
            self.record.learn(forecast, made.parent_reward, event.reward is not None, event.reward, inclusion(made))


def usable(made: ForecastMade) -> Forecast | None:
    """The event as a forecast; None when the forecaster had nothing to say."""
    if made.p_passes is None or made.d10 is None or made.d50 is None or made.d90 is None:
        return None
    return Forecast(made.forecaster, made.p_passes, made.d10, made.d50, made.d90, made.tokens, made.usd, made.malformed)


def inclusion(made: ForecastMade) -> float:
    """Probability with which this candidate was to be measured whatever its forecast; 0 when it had to earn it."""
    if made.m <= 1.0:
        return 1.0
    return audit_probability(made.m) if made.audit else 0.0


def _forecast(name: str, past: PastForecast) -> Forecast:
    return Forecast(name, past.p_passes, past.d10, past.d50, past.d90)


def shown(state: SurrogateState | None, candidate: CandidateId) -> Mapping[str, float | str | bool] | None:
    """A forecast in plain values for a person, rewards calibrated; None when none was made."""
    said = None if state is None else state.said(candidate)
    if state is None or said is None:
        return None
    made = state.made[candidate]
    return {
        "p_passes": said.pi, "reward": said.mu, "sigma": said.sigma, "forecaster": made.forecaster, "audit": made.audit,
        "retired": state.retired.get(candidate, ""),
    }  # fmt: skip
