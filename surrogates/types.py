"""What a forecaster sees and says. A forecast is never a result: nothing here reaches the tree's statistics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Sample:
    """One candidate as a forecaster sees it, with its outcome once known.

    `sources` are comment-stripped; `features` are numeric code features; `reward` is ln(baseline / candidate), None
    while unmeasured; `passed` is None while unjudged.
    """

    candidate: str
    definition: str
    device: str
    plan: tuple[str, ...]
    sources: tuple[str, ...]
    parent: str | None
    parent_reward: float | None
    features: tuple[tuple[str, float], ...] = ()
    passed: bool | None = None
    reward: float | None = None


@dataclass(frozen=True, slots=True)
class Forecast:
    """P(passes) and the 10, 50 and 90 % quantiles of d = ln(t_candidate / t_parent); d below 0 is faster."""

    forecaster: str
    p_passes: float
    d10: float
    d50: float
    d90: float


class Forecaster(Protocol):
    """Anything that forecasts. `forecast` returns None when it has nothing to say."""

    @property
    def name(self) -> str: ...

    def forecast(self, sample: Sample) -> Forecast | None: ...

    def learn(self, sample: Sample) -> None:
        """Take in a judged sample (`passed` is set)."""
        ...
