"""Searches on recorded landscapes with a forecaster beside them: what filtering is worth, without a device."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import cast

from ksearch.forecasting.candidates import measured_reward
from ksearch.forecasting.desk import ForecastDesk, Forecasts
from ksearch.forecasting.samples import landscape_sample
from ksearch.landscapes.ground import RecordedGround
from ksearch.landscapes.replay import ReplayedSearch, ReplaySteps, Setting
from ksearch.parts import Answer
from ksearch.pending import ForecastBatch, Step
from ksearch.store.events import SurrogateOpened
from ksearch.store.fold import RunState
from ksearch.store.forecasts import BudgetSetting
from ksearch.surrogates.types import Sample
from ksearch.tree.types import NodeId

FORECAST_SECONDS = 0.1


@dataclass
class LandscapeSamples:
    """Samples of a replay's candidates, from the landscape's sources and the replay's own (noisy) measurements."""

    ground: RecordedGround
    state: RunState

    def judged(self, numbers: Iterable[int]) -> tuple[Sample, ...]:
        return tuple(self._sample(number, judged=True) for number in numbers)

    def asked(self, numbers: Iterable[int]) -> tuple[Sample, ...]:
        return tuple(self._sample(number, judged=False) for number in numbers)

    def _sample(self, number: int, *, judged: bool) -> Sample:
        assert self.state.tree is not None
        landscape, candidate = self.ground.landscape, self.state.candidates[number]
        node = NodeId(candidate.written.node)
        plan, parent_plan = self.state.tree.plan(node), self.state.tree.plan(self.state.tree.parent(node))
        point, before = (landscape.at(landscape.catalogue.config(steps)) for steps in (plan, parent_plan))
        answer = candidate.verdicts.get("evaluate") if judged else None
        sample = landscape_sample(landscape, plan, point, before)
        return replace(
            sample,
            parent_reward=measured_reward(self.state.best_candidate_of(self.state.tree.parent(node))),
            passed=None if answer is None else answer.reward is not None,
            reward=None if answer is None else answer.reward,
            compiled=None if answer is None else sample.compiled,
        )


class ForecastingSteps(ReplaySteps):
    """Answers forecasts too. They are worked out when asked for, so that no later verdict can be known."""

    said: dict[tuple[int, ...], Forecasts]

    def forecast(self, candidates: Iterable[int]) -> tuple[ForecastBatch, Future[Answer]]:
        assert self.parts.desk is not None
        batch = ForecastBatch(tuple(candidates))
        samples = LandscapeSamples(cast(RecordedGround, self.ground), self.state)
        self.said[batch.candidates] = self.parts.desk.answer(self.state, samples, batch.candidates)
        return batch, self.clock.after(FORECAST_SECONDS)

    def answered(self, step: Step) -> None:
        if isinstance(step, ForecastBatch):
            self.record_forecasts(step, self.said.pop(step.candidates))
        else:
            super().answered(step)


class ForecastingSearch(ReplayedSearch):
    """A replayed search that forecasts. The desk must be a fresh one."""

    def __init__(self, ground: RecordedGround, setting: Setting, desk: ForecastDesk, budget: BudgetSetting) -> None:
        super().__init__(ground, setting)
        self.state.settings = self.state.settings.model_copy(update={"surrogate_budget": budget})
        self.parts = replace(self.parts, desk=desk)
        steps = ForecastingSteps(self.journal, self.parts, ground, setting.seed, self.clock)
        steps.spots, steps.said = self.steps.spots, {}
        self.steps = steps
        self.journal.record(SurrogateOpened(forecaster=desk.forecaster.name, past=desk.history.past))
