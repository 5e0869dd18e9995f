"""The language-model forecaster: a tool call with a strict schema, several samples, several candidates a call.

It speaks to a model through `ForecastModel` alone; the application supplies one. What it asks is rendered in `prompts`.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean, median, pstdev
from typing import Protocol

from ksearch.surrogates.answers import TOOL, Answer, Json, ToolCall, parse, schema
from ksearch.surrogates.features import similarity
from ksearch.surrogates.prior import prior_forecast
from ksearch.surrogates.prompts import SYSTEM, prompt_for
from ksearch.surrogates.quantities import NORMAL_REACH
from ksearch.surrogates.types import Forecast, Sample

TOGETHER = 4
"""Candidates of one call: they share the parent, the regimes and the anchors, which are most of the prompt."""
SAMPLES = 3
"""Independent answers to one call. Their spread says what a single answer doesn't admit."""
ANCHORS = 3
"""Measured candidates of the same definition that a prompt shows, the most similar first."""


class ForecastModel(Protocol):
    """A language model as this forecaster needs it. Raises whatever its provider raises when it can't answer."""

    @property
    def name(self) -> str: ...

    def call(self, system: str, prompt: str, tool: str, schema: Json, samples: int) -> tuple[ToolCall, ...]:
        """`samples` independent answers; each must be a call of `tool` with arguments of `schema` (JSON Schema)."""
        ...


@dataclass
class LanguageModel:
    """Forecasts by a model's reading of the code. `malformed` counts answers that were no use."""

    model: ForecastModel
    samples: int = SAMPLES
    name: str = "llm"
    known: list[Sample] = field(default_factory=list)
    malformed: int = 0
    _cache: dict[str, tuple[ToolCall, ...]] = field(default_factory=dict)

    def learn(self, sample: Sample) -> None:
        self.known.append(sample)

    def forecast(self, sample: Sample) -> Forecast | None:
        return self.forecast_many((sample,))[0]

    def forecast_many(self, samples: Sequence[Sample]) -> tuple[Forecast | None, ...]:
        """Candidates of one parent go together, at most TOGETHER in a call."""
        answers: dict[str, Forecast] = {}
        for group in groups([sample for sample in samples if sample.parent_reward is not None]):
            answers |= dict(zip((sample.candidate for sample in group), self._ask(group), strict=True))
        return tuple(answers.get(sample.candidate) for sample in samples)

    def _ask(self, group: Sequence[Sample]) -> list[Forecast]:
        here = self._here(group[0])
        prompt = prompt_for(group, anchors(group[0], here), here)
        key = hashlib.sha256(f"{self.model.name}\0{self.samples}\0{SYSTEM}\0{prompt}".encode("utf-8", "surrogatepass")).hexdigest()
        fresh = key not in self._cache
        if fresh:
            self._cache[key] = self.model.call(SYSTEM, prompt, TOOL, schema(), self.samples)
        calls = self._cache[key]
        tokens = sum(call.tokens for call in calls) if fresh else 0
        usd = sum(call.usd for call in calls) if fresh else 0.0
        return [self._pooled(sample, index, calls, tokens // len(group), usd / len(group)) for index, sample in enumerate(group)]

    def _pooled(self, sample: Sample, index: int, calls: Sequence[ToolCall], tokens: int, usd: float) -> Forecast:
        """The pool of the answers. Without a usable one the prior."""
        read = [parse(call.arguments, index) for call in calls]
        good = [answer for answer in read if answer is not None]
        malformed = len(read) - len(good)
        self.malformed += malformed
        if not good:
            return prior_forecast(self.name, sample, tokens=tokens, usd=usd, malformed=malformed)
        pool = pooled(good)
        return Forecast(self.name, pool.p_passes, pool.d10, pool.d50, pool.d90, tokens, usd, malformed)

    def _here(self, sample: Sample) -> list[Sample]:
        return [other for other in self.known if (other.definition, other.device) == (sample.definition, sample.device)]


def anchors(sample: Sample, here: Sequence[Sample]) -> tuple[Sample, ...]:
    """The most similar of the measured ones, its parent aside: that one is shown anyway."""
    others = [other for other in here if other.candidate != sample.parent]
    return tuple(sorted(others, key=lambda other: -similarity(sample, other))[:ANCHORS])


def pooled(answers: Sequence[Answer]) -> Answer:
    """Median of the answers; their disagreement widens the interval."""
    d50 = median(answer.d50 for answer in answers)
    apart = NORMAL_REACH * pstdev([answer.d50 for answer in answers])
    below = math.hypot(fmean(answer.d50 - answer.d10 for answer in answers), apart)
    above = math.hypot(fmean(answer.d90 - answer.d50 for answer in answers), apart)
    return Answer(fmean(answer.p_passes for answer in answers), d50 - below, d50, d50 + above)


def groups(samples: Sequence[Sample]) -> list[list[Sample]]:
    by_parent: dict[str | None, list[Sample]] = {}
    for sample in samples:
        by_parent.setdefault(sample.parent, []).append(sample)
    return [members[start : start + TOGETHER] for members in by_parent.values() for start in range(0, len(members), TOGETHER)]
