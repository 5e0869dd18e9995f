"""What filtering is worth: searches on recorded landscapes with equal evaluations, with a forecaster and without.

    python benchmarks/surrogates/in_loop.py benchmarks/landscapes/*.landscape.json.xz --seeds 20 --earlier 40 --jobs 16 --json OUT.json

Arms: none; the statistical forecaster at budgets auto and 0.75; three liars at 0.75 that answer the truth upside down, always the
same, or at random with certainty; and `truth`, a forecaster that knows every latency and is trusted at once: what can be had at most
with four candidates for each evaluation. Each search is the program's own loop in simulated time (ksearch.landscapes.replay). One
search of the most evaluations tells what it had found after fewer, as its budget decides nothing before the end.

`--claims shuffled` deals the planner's claims out anew among the techniques, by the seed: a planner that knows the steps there
are, and not what they are worth here. `--earlier N` gives the forecaster the record of an earlier run of N evaluations on the
same landscape, with another seed, as a user's runs folder would. Searches without forecasts learn nothing from that run.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from statistics import fmean

from ksearch.forecasting.desk import ForecastDesk
from ksearch.forecasting.history import History, past_forecasts
from ksearch.forecasting.outcomes import held_out, load_sources
from ksearch.forecasting.replays import ForecastingSearch, LandscapeSamples
from ksearch.forecasting.samples import landscape_reward
from ksearch.judge.statistics import t_interval
from ksearch.landscapes.ground import RecordedGround, regret
from ksearch.landscapes.landscape import Landscape, load
from ksearch.landscapes.replay import Replayed, ReplayedSearch, Setting
from ksearch.store.events import PastForecast
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


@dataclass
class Truth:
    """Says what the landscape holds, give or take 3 %."""

    known: Mapping[str, float | None]
    name: str = "truth"

    def learn(self, sample: Sample) -> None: ...

    def forecast(self, sample: Sample) -> Forecast | None:
        if sample.parent_reward is None:
            return None
        reward = self.known[sample.candidate]
        d50 = 0.0 if reward is None else sample.parent_reward - reward
        return Forecast(self.name, 0.02 if reward is None else 0.98, d50 - 0.04, d50, d50 + 0.04)

    @classmethod
    def of(cls, landscape: Landscape) -> Truth:
        return cls({point.code: landscape_reward(landscape, point) if point.passed else None for point in landscape.points})

    @staticmethod
    def record(sigma: float) -> tuple[PastForecast, ...]:
        """Of a forecaster that deserves trust: errors as large as it says."""
        draw, past = random.Random(0), []
        for _ in range(40):
            gain = draw.gauss(0.0, 0.3)
            d50, reach = -gain + draw.gauss(0.0, 0.03), 1.2816 * 0.03
            noise = draw.gauss(0.0, sigma)
            past.append(PastForecast(p_passes=0.98, d10=d50 - reach, d50=d50, d90=d50 + reach, parent_reward=0.0, passed=True,
                                     reward=gain + noise))  # fmt: skip
        return tuple(past)


@dataclass(frozen=True)
class Arm:
    name: str
    budget: BudgetSetting
    forecaster: Callable[[], Forecaster] | None


def arms(liars: bool) -> Sequence[Arm]:
    plain = [Arm("none", 0.0, None), Arm("auto", "auto", Statistical), Arm("0.75", 0.75, Statistical), Arm("truth", 0.75, None)]
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


@dataclass(frozen=True)
class Task:
    """One search: everything that a process of its own needs to know."""

    path: str
    arm: str
    seed: int
    claims: str
    earlier: int
    evaluations: int
    evaluators: int
    budgets: tuple[int, ...]
    liars: bool
    others: tuple[str, ...]


@dataclass(frozen=True)
class Ended:
    """`rewards` after each of the budgets; `regrets` how much slower than the best of the landscape (0.05: 5 %)."""

    landscape: str
    arm: str
    seed: int
    rewards: tuple[float, ...]
    regrets: tuple[float, ...]
    near: float
    """Evaluations until within 5 % of the best; the budget and a half when it never was."""
    written: int
    considered: int
    seconds: float


def run(task: Task) -> Ended:
    began = time.perf_counter()
    landscape = load(Path(task.path))
    ground = RecordedGround(shuffled(landscape, task.seed) if task.claims == "shuffled" else landscape)
    setting = Setting(seed=task.seed, budget=task.evaluations, evaluators=task.evaluators)
    arm = next(one for one in arms(task.liars) if one.name == task.arm)
    search = _search(arm, ground, setting, task)
    done, surrogate = search.finish(), search.state.surrogate
    found = [_after(done, budget) for budget in task.budgets]
    return Ended(
        landscape.name, arm.name, task.seed, tuple(found), tuple(math.expm1(regret(ground, reward)) for reward in found),
        within(done, ground, 0.05), len(search.state.candidates), 0 if surrogate is None else surrogate.considered,
        time.perf_counter() - began,
    )  # fmt: skip


def _search(arm: Arm, ground: RecordedGround, setting: Setting, task: Task) -> ReplayedSearch:
    if arm.name == "truth":
        known = History((), Truth.record(ground.sigma))
        return ForecastingSearch(ground, setting, ForecastDesk(Truth.of(ground.landscape), known), arm.budget)
    if arm.forecaster is None:
        return ReplayedSearch(ground, setting)
    known = earlier(ground, setting, task.earlier, _before(task.path, task.others))
    return ForecastingSearch(ground, setting, ForecastDesk(arm.forecaster(), known), arm.budget)


@lru_cache(maxsize=1)
def _before(path: str, others: tuple[str, ...]) -> tuple[Sample, ...]:
    """Other definitions' samples, as far as they are given."""
    sources = load_sources([path, *others], None, 150)
    return held_out(sources[0], sources)


def _after(done: Replayed, evaluations: int) -> float:
    return [one.reward for one in done.improvements if one.evaluations <= evaluations][-1]


def within(done: Replayed, ground: RecordedGround, share: float) -> float:
    for improvement in done.improvements:
        if regret(ground, improvement.reward) <= math.log1p(share):
            return float(improvement.evaluations)
    return 1.5 * done.setting.budget


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("landscapes", nargs="+")
    parser.add_argument("--budgets", default="5,8,12,16,24,40,60", help="evaluations after which to compare")
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--evaluators", type=int, default=1)
    parser.add_argument("--liars", action="store_true")
    parser.add_argument("--arms", default="none,0.75", help="of none, auto, 0.75, truth")
    parser.add_argument("--claims", choices=("own", "shuffled"), default="own")
    parser.add_argument("--earlier", type=int, default=0, help="evaluations of an earlier run")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    budgets = tuple(map(int, options.budgets.split(",")))
    names = [arm.name for arm in arms(options.liars) if arm.name in options.arms.split(",") or (options.liars and " from " in arm.name)]
    tasks = [
        Task(path, name, seed, options.claims, options.earlier, max(budgets), options.evaluators, budgets, options.liars, ())
        for path in options.landscapes for name in names for seed in range(options.seeds)
    ]  # fmt: skip
    print(f"{'landscape':<24} {'arm':<20} {'to 5 %':>6} {'written':>8} {'filtered':>8}" + "".join(f"{f'after {b}':>31}" for b in budgets))
    ended: list[Ended] = []
    with ProcessPoolExecutor(options.jobs) as pool:
        for _, group in groupby(zip(tasks, pool.map(run, tasks), strict=True), lambda row: row[0].path):
            rows = [one for _, one in group]
            print_rows(rows, budgets)
            ended += rows
    if options.json is not None:
        options.json.write_text(json.dumps({"options": vars(options) | {"json": None}, "searches": [asdict(one) for one in ended]}) + "\n")
    for arm in dict.fromkeys(one.arm for one in ended if one.arm != "none"):
        print(f"{arm}: " + "; ".join(f"after {budget} {_tally(ended, arm, i)}" for i, budget in enumerate(budgets)))


def print_rows(rows: Sequence[Ended], budgets: Sequence[int]) -> None:
    """One landscape: for each budget how far behind the best a search was, and its best against the search without forecasts: the
    mean ratio, with its 95 % interval over seeds."""
    plain = {one.seed: one for one in rows if one.arm == "none"}
    for arm in dict.fromkeys(one.arm for one in rows):
        mine = [one for one in rows if one.arm == arm]
        means = [fmean(getattr(one, name) for one in mine) for name in ("near", "written", "considered")]
        cells = "".join(f"{fmean(one.regrets[i] for one in mine):8.1%} {_against(mine, plain, i):>22}" for i in range(len(budgets)))
        print(f"{rows[0].landscape:<24} {arm:<20} {means[0]:6.1f} {means[1]:8.1f} {means[2]:8.1f}{cells}", flush=True)


def ratio(mine: Sequence[Ended], plain: Mapping[int, Ended], place: int) -> tuple[float, float, float]:
    """Mean of ln(speed / speed of the same seed without forecasts) and its interval."""
    gains = [one.rewards[place] - plain[one.seed].rewards[place] for one in mine]
    return t_interval(gains) if len(gains) > 1 else (gains[0], -math.inf, math.inf)


def _against(mine: Sequence[Ended], plain: Mapping[int, Ended], place: int) -> str:
    if not plain or mine[0].arm == "none":
        return ""
    mean, low, high = map(math.exp, ratio(mine, plain, place))
    return f"{mean:.3f}x [{low:.3f},{high:.3f}]"


def _tally(ended: Sequence[Ended], arm: str, place: int) -> str:
    """On how many landscapes an arm's best is faster or slower than without forecasts, with an interval that excludes 1."""
    faster = slower = 0
    names = list(dict.fromkeys(one.landscape for one in ended))
    for name in names:
        rows = [one for one in ended if one.landscape == name]
        plain = {one.seed: one for one in rows if one.arm == "none"}
        _, low, high = ratio([one for one in rows if one.arm == arm], plain, place)
        faster, slower = faster + (low > 0.0), slower + (high < 0.0)
    return f"faster on {faster}, slower on {slower} of {len(names)}"


if __name__ == "__main__":
    main()
