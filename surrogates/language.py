"""The language-model forecaster: a tool call with a strict schema, several samples, several candidates a call.

It speaks to a model through `ForecastModel` alone; the application supplies one. Prompt and schema are rendered from
`quantities`, so that what is asked and what is scored are the same numbers.
"""

from __future__ import annotations

import difflib
import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median, pstdev
from typing import Any, Protocol

from ksearch.surrogates.features import similarity
from ksearch.surrogates.prior import prior_forecast
from ksearch.surrogates.quantities import ASKED, D10, D90, NORMAL_REACH, P_PASSES, describe
from ksearch.surrogates.types import Compiled, Forecast, Regime, Sample

TOOL = "forecast"
TOGETHER = 4
"""Candidates of one call: they share the parent, the regimes and the anchors, which are most of the prompt."""
SAMPLES = 3
"""Independent answers to one call. Their spread says what a single answer doesn't admit."""
ANCHORS = 3
"""Measured candidates of the same definition that a prompt shows, the most similar first."""
LONGEST_CODE, LONGEST_DIFF = 24_000, 8_000
"""Characters of one source shown; what is cut is said to be cut."""

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One answer of a model: the tool's arguments, None when it called no tool; and what the answer cost."""

    arguments: Json | None
    tokens: int
    usd: float


class ForecastModel(Protocol):
    """A language model as this forecaster needs it. Raises whatever its provider raises when it can't answer."""

    @property
    def name(self) -> str: ...

    def call(self, system: str, prompt: str, tool: str, schema: Json, samples: int) -> tuple[ToolCall, ...]:
        """`samples` independent answers; each must be a call of `tool` with arguments of `schema` (JSON Schema)."""
        ...


@dataclass(frozen=True, slots=True)
class Answer:
    """One candidate's numbers out of one tool call, checked."""

    p_passes: float
    d10: float
    d50: float
    d90: float


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
        prompt = prompt_for(group, self.anchors(group[0]))
        key = hashlib.sha256(f"{self.model.name}\0{self.samples}\0{SYSTEM}\0{prompt}".encode("utf-8", "surrogatepass")).hexdigest()
        fresh = key not in self._cache
        if fresh:
            self._cache[key] = self.model.call(SYSTEM, prompt, TOOL, schema(len(group)), self.samples)
        calls = self._cache[key]
        tokens = sum(call.tokens for call in calls) if fresh else 0
        usd = sum(call.usd for call in calls) if fresh else 0.0
        return [self._pooled(sample, index, calls, tokens // len(group), usd / len(group)) for index, sample in enumerate(group)]

    def _pooled(self, sample: Sample, index: int, calls: Sequence[ToolCall], tokens: int, usd: float) -> Forecast:
        """Median of the answers; their disagreement widens the interval. Without a usable answer the prior."""
        read = [parse(call.arguments, index) for call in calls]
        good = [answer for answer in read if answer is not None]
        malformed = len(read) - len(good)
        self.malformed += malformed
        if not good:
            return prior_forecast(self.name, sample, tokens=tokens, usd=usd, malformed=malformed)
        d50 = median(answer.d50 for answer in good)
        apart = NORMAL_REACH * pstdev([answer.d50 for answer in good])
        below = math.hypot(fmean(answer.d50 - answer.d10 for answer in good), apart)
        above = math.hypot(fmean(answer.d90 - answer.d50 for answer in good), apart)
        passes = fmean(answer.p_passes for answer in good)
        return Forecast(self.name, passes, d50 - below, d50, d50 + above, tokens, usd, malformed)

    def anchors(self, sample: Sample) -> tuple[Sample, ...]:
        here = [other for other in self.known if (other.definition, other.device) == (sample.definition, sample.device)]
        return tuple(sorted(here, key=lambda other: -similarity(sample, other))[:ANCHORS])


def groups(samples: Sequence[Sample]) -> list[list[Sample]]:
    by_parent: dict[str | None, list[Sample]] = {}
    for sample in samples:
        by_parent.setdefault(sample.parent, []).append(sample)
    return [members[start : start + TOGETHER] for members in by_parent.values() for start in range(0, len(members), TOGETHER)]


def schema(count: int) -> Json:
    """JSON Schema of the tool's arguments: one object for each candidate, every number required and bounded, nothing else."""
    numbers = {
        quantity.name: {"type": "number", "minimum": quantity.least, "maximum": quantity.most, "description": quantity.meaning}
        for quantity in ASKED
    }
    one = {"type": "object", "properties": numbers, "required": list(numbers), "additionalProperties": False}
    return {
        "type": "object",
        "properties": {
            "reasoning": {"type": "string", "description": "what bounds the parent, and what each change does to that; brief"},
            "candidates": {"type": "array", "items": one, "minItems": count, "maxItems": count},
        },
        "required": ["reasoning", "candidates"],
        "additionalProperties": False,
    }


def parse(arguments: Json | None, index: int) -> Answer | None:
    """One candidate's answer; None when it is missing, no number, out of range or not in ascending order."""
    rows = arguments.get("candidates") if arguments is not None else None
    row = rows[index] if isinstance(rows, list) and index < len(rows) else None
    if not isinstance(row, Mapping):
        return None
    values = {quantity.name: _number(row.get(quantity.name), quantity.least, quantity.most) for quantity in ASKED}
    numbers = [value for value in values.values() if value is not None]
    if len(numbers) < len(ASKED):
        return None
    answer = Answer(*numbers)
    return answer if answer.d10 <= answer.d50 <= answer.d90 else None


def _number(value: object, least: float, most: float) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value) if least <= value <= most else None


SYSTEM = f"""You forecast how GPU and CPU kernels will measure before they are run. You are scored on calibration and on order:
{P_PASSES.name} by the Brier score, the quantiles by coverage and sharpness. Judge from the code alone; names and comments prove nothing.
For each candidate, against its measured parent, answer through the tool `{TOOL}` with
{describe()}
Most changes gain little: when the diff doesn't touch what bounds the parent, the median is near 0. When you don't know, widen
{D10.name} to {D90.name} rather than move the median."""


def prompt_for(group: Sequence[Sample], anchors: Sequence[Sample]) -> str:
    first = group[0]
    parts = [
        f"Definition: {first.definition}\nDevice: {first.device}\nLanguage: {first.language or 'unknown'}",
        "Regimes of the workloads:\n" + "\n".join(regime_line(regime) for regime in first.regimes),
        "Measured candidates of the same definition (reward is ln(baseline / candidate), larger is faster):\n"
        + ("\n".join(anchor_text(anchor) for anchor in anchors) or "none yet"),
        f"Parent, measured, reward {first.parent_reward:+.3f}:\n{clipped(''.join(first.parent_sources), LONGEST_CODE)}",
    ]
    parts += [candidate_text(number, sample) for number, sample in enumerate(group)]
    return "\n\n".join(parts)


def regime_line(regime: Regime) -> str:
    known = {"baseline": regime.baseline_us, "parent": regime.parent_us, "floor": regime.floor_us}
    times = ", ".join(f"{name} {value:.4g} us" for name, value in known.items() if value is not None)
    return f"- {regime.name} ({regime.weight:.0%} of the objective): {regime.shapes or 'shapes unknown'}; {times or 'not timed'}"


def anchor_text(anchor: Sample) -> str:
    outcome = "failed" if anchor.reward is None else f"reward {anchor.reward:+.3f}"
    before = "" if anchor.parent_reward is None else f", its parent {anchor.parent_reward:+.3f}"
    return f"- {' -> '.join(anchor.plan) or 'the starting kernel'}: {outcome}{before}"


def candidate_text(number: int, sample: Sample) -> str:
    facts = "" if sample.compiled is None else f"\nCompile report: {compile_line(sample.compiled)}"
    diff = difflib.unified_diff(
        "".join(sample.parent_sources).splitlines(), "".join(sample.sources).splitlines(), "parent", "candidate", lineterm="", n=3
    )
    return f"Candidate {number}: {sample.plan[-1] if sample.plan else 'unnamed'}{facts}\n{clipped(chr(10).join(diff), LONGEST_DIFF)}"


def compile_line(report: Compiled) -> str:
    named = {"registers": report.registers, "bytes spilled": report.spill_bytes, "bytes of shared memory": report.shared_bytes}
    return ", ".join(f"{value} {name}" for name, value in named.items() if value is not None) or "empty"


def clipped(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}\n... {len(text) - most} characters cut"
