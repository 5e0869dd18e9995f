"""What filtering is worth: searches on recorded landscapes with equal evaluations, with a forecaster and without.

    python benchmarks/surrogates/in_loop.py benchmarks/landscapes/*.landscape.json.xz --evaluations 60 --seeds 4

Arms: none; the statistical forecaster at budgets auto and 0.75; and three liars at 0.75 that answer the truth upside down,
always the same, or at random with certainty. Each search is the program's own loop in simulated time (ksearch.landscapes.replay).

`--claims shuffled` deals the planner's claims out anew among the techniques, by the seed: a planner that knows the steps there
are, and not what they are worth here. `--earlier N` gives the forecaster the record of an earlier run of N evaluations on the
same landscape, with another seed, as a user's runs folder would.
"""

from __future__ import annotations

import argparse
import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean

from ksearch.forecasting.desk import ForecastDesk
from ksearch.forecasting.history import History, past_forecasts
from ksearch.forecasting.outcomes import held_out, load_sources
from ksearch.forecasting.replays import ForecastingSearch, LandscapeSamples
from ksearch.judge.statistics import t_interval
from ksearch.landscapes.ground import RecordedGround, regret
from ksearch.landscapes.landscape import Landscape, load
from ksearch.landscapes.replay import Replayed, ReplayedSearch, Setting
from ksearch.store.forecasts import BudgetSetting
from ksearch.surrogates.statistical import Statistical
from ksearch.surrogates.types import Forecast, Forecaster, Sample


@dataclass
class Liar:
    """Honest for `honest` verdicts of its own search, by the statistical forecaster; then it lies."""

    kind: str
    honest: int
    inner: Statistical = field(default_factory=Statistical)
    seen: int = 0
    definition: str = ""
    name: str = "liar"

    def learn(self, sample: Sample) -> None:
        self.seen += sample.definition == self.definition
        self.inner.learn(sample)

    def forecast(self, sample: Sample) -> Forecast | None:
        self.definition = sample.definition
        said = self.inner.forecast(sample)
        if said is None or self.seen < self.honest:
            return said
        if self.kind == "inverted":
            return replace(said, d10=-said.d90, d50=-said.d50, d90=-said.d10, p_passes=1.0 - said.p_passes)
        if self.kind == "constant":
            return replace(said, d10=-0.4, d50=-0.2, d90=0.0)
        d50 = random.Random(sample.candidate).gauss(-0.5, 0.5)
        return replace(said, d10=d50 - 0.02, d50=d50, d90=d50 + 0.02)


@dataclass(frozen=True)
class Arm:
    name: str
    budget: BudgetSetting
    forecaster: Callable[[], Forecaster] | None


def arms(liars: bool) -> Sequence[Arm]:
    plain = [Arm("none", 0.0, None), Arm("auto", "auto", Statistical), Arm("0.75", 0.75, Statistical)]
    lying = [
        Arm(f"{kind} from {honest}", 0.75, lambda kind=kind, honest=honest: Liar(kind, honest))  # type: ignore[misc]
        for kind in ("inverted", "constant", "overconfident") for honest in (0, 40)
    ]  # fmt: skip
    return [*plain, *lying] if liars else plain


def shuffled(landscape: Landscape, seed: int) -> Landscape:
    """The same measurements under claims that belong to other techniques."""
    claims = [(one.gain_mean, one.gain_sd, one.p_success) for one in landscape.techniques]
    random.Random(f"claims/{seed}").shuffle(claims)
    dealt = [
        one.model_copy(update={"gain_mean": mean, "gain_sd": sd, "p_success": p})
        for one, (mean, sd, p) in zip(landscape.techniques, claims, strict=True)
    ]
    return landscape.model_copy(update={"techniques": tuple(dealt)})


def earlier(ground: RecordedGround, setting: Setting, evaluations: int, before: tuple[Sample, ...]) -> History:
    """What a run of another seed leaves behind, forecasts beside it that decided nothing."""
    if evaluations == 0:
        return History(before)
    first = replace(setting, seed=setting.seed + 1000, budget=evaluations)
    run = ForecastingSearch(ground, first, ForecastDesk(Statistical()), 0.0)
    run.finish()
    assert run.state.surrogate is not None
    measured = LandscapeSamples(ground, run.state).judged(run.state.surrogate.judged)
    return History((*before, *measured), past_forecasts(run.state, "statistical"))


def searched(ground: RecordedGround, arm: Arm, setting: Setting, known: History) -> tuple[Replayed, int, int]:
    """The search, how many candidates it considered and how many of them it considered under a filter."""
    if arm.forecaster is None:
        search = ReplayedSearch(ground, setting)
        return search.finish(), len(search.state.candidates), 0
    forecasting = ForecastingSearch(ground, setting, ForecastDesk(arm.forecaster(), known), arm.budget)
    done = forecasting.finish()
    assert forecasting.state.surrogate is not None
    return done, len(forecasting.state.candidates), forecasting.state.surrogate.considered


def within(done: Replayed, ground: RecordedGround, share: float) -> float:
    """Evaluations until within `share` of the best; the budget and a half when it never was."""
    for improvement in done.improvements:
        if regret(ground, improvement.reward) <= math.log1p(share):
            return float(improvement.evaluations)
    return 1.5 * done.setting.budget


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("landscapes", nargs="+")
    parser.add_argument("--evaluations", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--evaluators", type=int, default=1)
    parser.add_argument("--liars", action="store_true")
    parser.add_argument("--arms", default="none,auto,0.75", help="of those without liars")
    parser.add_argument("--claims", choices=("own", "shuffled"), default="own")
    parser.add_argument("--earlier", type=int, default=0, help="evaluations of an earlier run")
    options = parser.parse_args()
    sources = load_sources(options.landscapes, None, 150)
    print(f"{'landscape':<28} {'arm':<22} {'regret':>8} {'to 5 %':>7} {'written':>8} {'filtered':>8} {'faster than none':>24} {'s':>6}")
    for source, path in zip(sources, options.landscapes, strict=True):
        landscape, before = load(Path(path)), held_out(source, sources)
        dealt = [shuffled(landscape, seed) if options.claims == "shuffled" else landscape for seed in range(options.seeds)]
        grounds = [RecordedGround(one) for one in dealt]
        settings = [Setting(seed=seed, budget=options.evaluations, evaluators=options.evaluators) for seed in range(options.seeds)]
        ends: dict[str, list[float]] = {}
        for arm in arms(options.liars):
            if not options.liars and arm.name not in options.arms.split(","):
                continue
            began = time.perf_counter()
            rows = [
                searched(ground, arm, setting, earlier(ground, setting, options.earlier if arm.forecaster else 0, before))
                for ground, setting in zip(grounds, settings, strict=True)
            ]
            took = (time.perf_counter() - began) / options.seeds
            ends[arm.name] = [done.improvements[-1].reward for done, _, _ in rows]
            gains = [mine - theirs for mine, theirs in zip(ends[arm.name], ends["none"], strict=True)]
            mean, low, high = t_interval(gains) if len(gains) > 1 else (gains[0], math.nan, math.nan)
            print(
                f"{source.name:<28} {arm.name:<22} {fmean(math.expm1(regret(grounds[0], end)) for end in ends[arm.name]):8.1%} "
                f"{fmean(within(done, grounds[0], 0.05) for done, _, _ in rows):7.1f} {fmean(written for _, written, _ in rows):8.1f} "
                f"{fmean(seen for _, _, seen in rows):8.1f} {math.exp(mean):8.3f}x [{math.exp(low):.3f}, {math.exp(high):.3f}] {took:6.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
