"""A replayed search is the real search: same tickets, same outcomes, in simulated time."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest

from ksearch.coder.types import Draft, NothingToWrite, Target, WriteRequest
from ksearch.definitions.schema import BuildSpec, Definition, Solution, SourceFile, Workload
from ksearch.evaluators.fake import FakeEvaluator, Toy
from ksearch.jobs import JobFactory
from ksearch.judge.verdict import JUDGE_VERSION, JudgedWorkload, Status
from ksearch.landscapes.ground import Ground, Spot, reaches
from ksearch.landscapes.replay import ReplayedSearch, Setting, replay
from ksearch.landscapes.synthetic import FAMILIES, draw
from ksearch.parts import Parts
from ksearch.search import Search
from ksearch.settings import BudgetSettings, Settings
from ksearch.store.events import RunCreated
from ksearch.store.fold import RunState
from ksearch.store.journal import Journal
from ksearch.store.log import EventLog
from ksearch.tree import POLICIES, NodeView
from ksearch.tree.types import WriteMode
from ksearch.worldmodel.playbook import PlaybookPlanner

TARGET = Target("cpu", None, ("python",))
DEFINITION = Definition(name="toy", op_type="toy", axes={}, inputs={}, outputs={}, reference="def run():\n    return ()\n")


@dataclass(frozen=True)
class GroundCoder:
    """Writes a configuration's own name as its code."""

    ground: Ground
    name: str = "ground"

    def write(self, request: WriteRequest) -> Draft | NothingToWrite:
        if request.mode is not WriteMode.FIRST:
            return NothingToWrite("one code for each plan")
        return Draft(solution_of(self.ground.at(self.ground.catalogue.config(request.plan))), self.name)


def solution_of(spot: Spot) -> Solution:
    spec = BuildSpec(language="python", target_hardware=("cpu",), entry_point="kernel.py::run")
    source = SourceFile(path="kernel.py", content=f"# {spot.code}\ndef run():\n    '''{spot.code}'''\n    return ()\n")
    return Solution(name=f"toy {spot.code}", definition="toy", author="test", spec=spec, sources=(source,))


def toy(ground: Ground) -> FakeEvaluator:
    """The packaged evaluator on the ground's truth, without noise."""

    def landscape(solution: Solution) -> Toy:
        code = solution.name.removeprefix("toy ")
        spot = ground.at({**ground.catalogue.defaults, **{e: int(v) for e, v in (part.split("=") for part in code.split())}})
        return Toy(spot.reward or 0.0, None if spot.reward is not None else Status.COMPILE_ERROR)

    return FakeEvaluator(landscape=landscape)


def real(ground: Ground, setting: Setting, folder: Path) -> RunState:
    """The real loop: threads, log, solutions and verdicts."""
    settings = Settings(
        definition="toy", policy=setting.policy, seed=setting.seed,  # type: ignore[arg-type]
        budget=BudgetSettings(max_evaluations=setting.budget + 1),
    )  # fmt: skip
    workload = JudgedWorkload(workload=Workload(axes={}, inputs={}, uuid="w"), regime="all", weight=1.0)
    jobs = JobFactory(DEFINITION, (workload,), (workload,), None, "cpu", TARGET, settings, None)
    evaluator = toy(ground)
    root = Draft(solution_of(ground.at(ground.catalogue.defaults)), "playbook")
    parts = Parts(PlaybookPlanner(ground.catalogue), GroundCoder(ground), evaluator, jobs, (root,), setting.parallel)
    with EventLog.create(folder / "run.sqlite") as log:
        header = RunCreated(
            run="r", ksearch_version="0", judge_version=JUDGE_VERSION, settings=log.put_blob(settings.model_dump_json().encode()),
            definition="", definition_name="toy", workloads="", subset="", baseline=None, start=None, seed=setting.seed, device="cpu",
            device_name="cpu", family="toy",
        )  # fmt: skip
        journal = Journal.create(log, header, settings)
        Search(journal, parts, threading.Event()).run()
        evaluator.close()
        return journal.state


def steps_of(view: NodeView) -> list[str]:
    """Without the claims: a latency's round trip costs a bit of the last place of what they are revised by."""
    return [action.key for action in view.plan]


def quiet(family: str, seed: int) -> Ground:
    ground = draw(family, seed)
    ground.world.sigma = 0.0
    return ground


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_the_replay_takes_the_real_loops_path(policy: str, tmp_path: Path) -> None:
    ground, setting = quiet("failing", 3), Setting(policy=policy, seed=11, budget=25)
    done = ReplayedSearch(ground, setting)
    done.finish()
    expected = real(ground, setting, tmp_path)
    assert expected.tree is not None
    assert done.state.tree is not None
    assert [steps_of(view) for view in done.state.tree.nodes()] == [steps_of(view) for view in expected.tree.nodes()]
    for mine, theirs in zip(done.state.tree.nodes(), expected.tree.nodes(), strict=True):
        assert (mine.subtree.visits, mine.subtree.failed) == (theirs.subtree.visits, theirs.subtree.failed)
        assert mine.own.best == pytest.approx(theirs.own.best, abs=1e-9)
    assert done.state.evaluations == expected.evaluations


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_equal_settings_give_equal_searches(policy: str) -> None:
    ground, setting = draw("interacting", 2), Setting(policy=policy, seed=4, budget=40, evaluators=4)
    assert replay(ground, setting) == replay(ground, setting)


def test_the_budget_is_kept_and_the_incumbents_are_counted() -> None:
    ground = draw("additive", 1)
    done = replay(ground, Setting(budget=30, evaluators=8))
    assert done.evaluations == 30
    counts = [step.evaluations for step in done.improvements]
    assert counts == sorted(counts)
    assert counts[0] == 0
    assert counts[-1] <= 30
    assert all(step.reward <= ground.best + 1e-12 for step in done.improvements)


def test_a_small_space_is_exhausted_and_its_best_is_found() -> None:
    ground = quiet("needle", 0)
    done = replay(ground, Setting(policy="greedy", budget=1500))
    assert done.exhausted
    assert reaches(ground, done.improvements[-1].reward)
    assert done.evaluations < 1500


def test_parallel_evaluators_share_the_work() -> None:
    """Simulated seconds, so nothing is timed: eight evaluators must be kept busy most of the time."""
    ground = draw("additive", 5)
    alone, eight = (replay(ground, Setting(budget=96, evaluators=count)) for count in (1, 8))
    assert eight.seconds < alone.seconds / 5


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_families_are_reproducible_and_know_their_best(family: str) -> None:
    ground, twin = draw(family, 7), draw(family, 7)
    assert ground.catalogue == twin.catalogue
    assert ground.best == twin.best
    root = ground.at(ground.catalogue.defaults)
    assert root.reward == pytest.approx(0.0, abs=1e-12)
    assert ground.best > math.log(1.05)


def test_the_non_monotone_optimum_lies_behind_a_loss() -> None:
    ground = draw("non-monotone", 3)
    rewrite = next(step for step in ground.catalogue.techniques if step.id == "rewrite")
    assert (ground.at({**ground.catalogue.defaults, **rewrite.sets}).reward or 0.0) < -0.1
    assert any(step.needs.get("rewrite") for step in ground.catalogue.techniques)


def test_with_one_evaluator_a_promotion_belongs_to_its_evaluation_and_with_many_others_go_on_meanwhile() -> None:
    ground = draw("additive", 3)
    alone = replay(ground, Setting(budget=40)).improvements
    together = replay(ground, Setting(budget=80, evaluators=8)).improvements
    assert all(step.measured == step.evaluations for step in alone)
    assert all(step.measured <= step.evaluations for step in together)
    assert any(step.measured < step.evaluations for step in together)
