"""Forecasters on samples whose truth is known, and a language model that answers well, badly and not at all."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from ksearch.surrogates.answers import ToolCall, schema
from ksearch.surrogates.ensemble import Ensemble
from ksearch.surrogates.language import LanguageModel
from ksearch.surrogates.neighbours import Neighbours
from ksearch.surrogates.prior import prior_forecast
from ksearch.surrogates.prompts import SYSTEM
from ksearch.surrogates.quantities import ASKED
from ksearch.surrogates.registry import MissingPart, forecaster_named
from ksearch.surrogates.statistical import Statistical
from ksearch.surrogates.trust import spearman
from ksearch.surrogates.types import Forecaster, Sample, Step, forecast_many

GAINS = {"fuse": 0.6, "vector": 0.3, "unroll": 0.05, "shuffle": -0.2, "cache": 0.4, "block": -0.05}


def sample(number: int, techniques: Sequence[str], *, judged: bool = True, definition: str = "toy") -> Sample:
    steps = tuple(Step(name, "code", "", 0.2, 0.3, 0.8) for name in techniques)
    reward = sum(GAINS[name] for name in techniques)
    parent = sum(GAINS[name] for name in techniques[:-1])
    text = "".join(f"void {name}() {{}}\n" for name in sorted(techniques))
    fails = {"fuse", "shuffle"} <= set(techniques)
    return Sample(
        candidate=f"c{number}", definition=definition, device="gpu", plan=tuple(step.key for step in steps), sources=(text,),
        parent="p", parent_reward=parent, steps=steps, parent_sources=("",),
        passed=not fails if judged else None, reward=reward if judged and not fails else None,
    )  # fmt: skip


def plans(count: int, seed: int = 0) -> list[Sample]:
    draw = random.Random(seed)
    return [sample(number, draw.sample(sorted(GAINS), draw.randint(1, 4))) for number in range(count)]


def asked(one: Sample) -> Sample:
    return replace(one, passed=None, reward=None)


@pytest.mark.parametrize("forecaster", [Neighbours(), Statistical(), Ensemble.of(Neighbours(), Statistical())])
def test_they_learn_the_order_of_gains_and_what_fails(forecaster: Forecaster) -> None:
    for one in plans(60):
        forecaster.learn(one)
    fresh = plans(40, seed=1)
    said = forecast_many(forecaster, [asked(one) for one in fresh])
    passing = [(forecast, one) for forecast, one in zip(said, fresh, strict=True) if forecast and one.reward is not None]
    gains = [(one.reward or 0.0) - (one.parent_reward or 0.0) for _, one in passing]
    assert spearman([-forecast.d50 for forecast, _ in passing], gains) > 0.6
    passes = {one.passed: [] for one in fresh}  # type: ignore[var-annotated]
    for forecast, one in zip(said, fresh, strict=True):
        assert forecast is not None
        passes[one.passed].append(forecast.p_passes)
    assert sum(passes[True]) / len(passes[True]) > sum(passes[False]) / len(passes[False]) + 0.1


def test_one_by_one_or_together_is_the_same() -> None:
    alone, together = Statistical(), Statistical()
    for one in plans(30):
        alone.learn(one)
        together.learn(one)
    fresh = [asked(one) for one in plans(5, seed=2)]
    said = zip((alone.forecast(one) for one in fresh), together.forecast_many(fresh), strict=True)
    assert all(a is not None and b is not None and a.d50 == pytest.approx(b.d50) and a.d90 == pytest.approx(b.d90) for a, b in said)


def test_equal_histories_forecast_equally() -> None:
    first, second = Statistical(), Statistical()
    for one in plans(25):
        first.learn(one)
        second.learn(one)
    fresh = asked(sample(99, ["cache", "vector"]))
    assert first.forecast(fresh) == second.forecast(fresh)


@pytest.mark.parametrize("forecaster", [Neighbours(), Statistical()])
def test_without_outcomes_the_claims_speak_and_without_a_parent_nobody_does(forecaster: Forecaster) -> None:
    fresh = asked(sample(0, ["fuse"]))
    said = forecaster.forecast(fresh)
    assert said is not None
    assert said.d10 < said.d50 <= 0 < said.d90
    assert forecaster.forecast(replace(fresh, parent_reward=None)) is None


def test_a_missing_library_is_named_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ksearch.surrogates.statistical.LIBRARIES", ("numpy", "no_such_library"))
    with pytest.raises(MissingPart, match=r"no_such_library.*neighbours"):
        forecaster_named("statistical")
    with pytest.raises(MissingPart, match="language model"):
        forecaster_named("llm")


@dataclass
class Model:
    """Answers every call with the same arguments, or those of a function of the call's number."""

    answers: list[Mapping[str, Any] | None]
    prompts: list[str] = field(default_factory=list)
    name: str = "model"

    def call(self, system: str, prompt: str, tool: str, schema: Mapping[str, Any], samples: int) -> tuple[ToolCall, ...]:
        self.prompts.append(prompt)
        return tuple(ToolCall(self.answers[index % len(self.answers)], 100, 0.001) for index in range(samples))


def row(d50: float = -0.2, p: float = 0.9, number: int = 0) -> dict[str, float]:
    return {"candidate": number, "p_passes": p, "d10": d50 - 0.1, "d50": d50, "d90": d50 + 0.1}


def answer(*rows: object) -> Mapping[str, Any]:
    return {"reasoning": "because", "candidates": list(rows)}


def test_several_candidates_of_one_parent_share_a_call_and_its_cost() -> None:
    model = Model([answer(row(-0.5, number=1), row(-0.1))])
    forecaster = LanguageModel(model)
    said = forecaster.forecast_many([asked(sample(0, ["fuse"])), asked(sample(1, ["cache"]))])
    assert [one.d50 for one in said if one] == [-0.1, -0.5]
    assert len(model.prompts) == 1
    assert sum(one.tokens for one in said if one) == 300
    assert sum(one.usd for one in said if one) == pytest.approx(0.003)


def test_the_same_question_is_asked_and_paid_once() -> None:
    model = Model([answer(row())])
    forecaster = LanguageModel(model)
    first, second = (forecaster.forecast(asked(sample(0, ["fuse"]))) for _ in range(2))
    assert len(model.prompts) == 1
    assert first is not None
    assert second == replace(first, tokens=0, usd=0.0)


@pytest.mark.parametrize(
    "bad",
    [
        None, {}, answer(), answer("fast"), answer({"p_passes": 0.9}), answer({**row(), "p_passes": 1.2}), answer({**row(), "d10": 0.5}),
        answer({**row(), "d50": math.nan}), answer({**row(), "d50": "fast"}), answer({**row(), "d50": True}), {"candidates": "none"},
        answer(row(number=1)), answer(row(), row(-0.5)), answer({**row(), "candidate": False}),
    ],
)  # fmt: skip
def test_an_answer_that_is_no_use_becomes_the_prior_and_is_counted(bad: Mapping[str, Any] | None) -> None:
    forecaster = LanguageModel(Model([bad]))
    fresh = asked(sample(0, ["fuse"]))
    said = forecaster.forecast(fresh)
    assert said == prior_forecast("llm", fresh, tokens=300, usd=pytest.approx(0.003), malformed=3)
    assert forecaster.malformed == 3


def test_one_good_answer_among_bad_ones_is_used_and_disagreement_widens() -> None:
    fresh = asked(sample(0, ["fuse"]))
    good = LanguageModel(Model([None, answer(row(-0.4)), {}])).forecast(fresh)
    assert good is not None
    assert (good.d50, good.malformed) == (-0.4, 2)
    apart = LanguageModel(Model([answer(row(-0.8)), answer(row(-0.4)), answer(row(0.0))])).forecast(fresh)
    assert apart is not None
    assert apart.d90 - apart.d10 > 2 * (good.d90 - good.d10)


def test_prompt_and_schema_ask_for_the_same_quantities_and_leak_no_outcome() -> None:
    model = Model([answer(row())])
    forecaster = LanguageModel(model)
    forecaster.learn(sample(7, ["vector"]))
    forecaster.forecast(replace(sample(0, ["fuse"]), reward=0.123456))
    required = schema()["properties"]["candidates"]["items"]["required"]
    assert required == ["candidate", *(quantity.name for quantity in ASKED)]
    assert all(quantity.line in SYSTEM for quantity in ASKED)
    assert "vector" in model.prompts[0]
    assert "0.123" not in model.prompts[0]


def test_an_ensemble_follows_its_better_member() -> None:
    @dataclass
    class Fixed:
        name: str
        sign: float

        def learn(self, sample: Sample) -> None: ...

        def forecast(self, sample: Sample) -> Any:
            d50 = -self.sign * GAINS[sample.steps[-1].technique]
            return replace(prior_forecast(self.name, sample), d10=d50 - 0.1, d50=d50, d90=d50 + 0.1)

    ensemble = Ensemble.of(Fixed("right", 1.0), Fixed("wrong", -1.0))
    for one in plans(60):
        ensemble.forecast(asked(one))
        ensemble.learn(one)
    said = ensemble.forecast(asked(sample(1, ["fuse"])))
    assert said is not None
    assert said.d50 < -0.2
