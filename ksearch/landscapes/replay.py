"""A whole search on a ground in milliseconds: the real loop, tree, planner and beliefs, in simulated time.

What differs from a run is only what surrounds the loop: the log is not kept, code is the configuration's own name, the
judge is the ground, and waiting moves a simulated clock to the next answer. Everything that decides (`Search.ask`,
`Search.advance`, `pending.next_step`, the fold, the settling of tickets) is the program's own.
"""

from __future__ import annotations

import heapq
import math
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TypeAlias, cast

from ksearch.coder.types import Coder, Target
from ksearch.definitions.schema import Definition
from ksearch.evaluators.base import Evaluator
from ksearch.jobs import JobFactory
from ksearch.judge.paired import BLOCKS, LEAST_GAIN
from ksearch.judge.statistics import t_interval
from ksearch.judge.verdict import JUDGE_VERSION, Status
from ksearch.landscapes.ground import Ground, Spot, reaches
from ksearch.parts import Answer, Parts
from ksearch.pending import JudgeStep, PromoteStep, ProposeStep, Step, WriteStep
from ksearch.questions import Questions
from ksearch.search import Search
from ksearch.settings import Settings, parse_assignment, resolve
from ksearch.steps import Steps
from ksearch.store.events import (
    CandidateWritten,
    EvaluationSettled,
    EvaluationStarted,
    Event,
    IncumbentChanged,
    NothingWritten,
    RootSettled,
    RunCreated,
)
from ksearch.store.fold import CandidateState, RunState
from ksearch.store.journal import Journal
from ksearch.store.log import EventLog, InboxAnswer, InboxRow
from ksearch.tree import Tree
from ksearch.tree.types import ROOT, Proposed, WriteMode
from ksearch.worldmodel.playbook import PlaybookPlanner
from ksearch.worldmodel.types import proposals_of

PROPOSE_SECONDS, WRITE_SECONDS = 0.01, 0.05
"""What the playbook's planner and coder take."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What is searched with. `policy` is a policy's name, with settings of a run behind it for ablations (`puct+merge=false`).
    `in_flight` None is as many candidates as there are evaluators."""

    policy: str = "puct"
    seed: int = 0
    budget: int = 200
    evaluators: int = 1
    in_flight: int | None = None
    stop_near: bool = False
    """End once the incumbent is within 5 % of the best: what it cost to get there is known then."""

    @property
    def parallel(self) -> int:
        return self.evaluators if self.in_flight is None else self.in_flight


@dataclass(frozen=True, slots=True)
class Improvement:
    """The incumbent changed after so many evaluations, at this simulated second; `reward` is its true one. Its own evaluation was
    answered as number `measured`: others go on while it is promoted."""

    evaluations: int
    seconds: float
    reward: float
    measured: int


@dataclass(frozen=True, slots=True)
class Replayed:
    """One replayed search. Evaluations don't count the root's own. `improvements` begin with the root."""

    ground: str
    setting: Setting
    improvements: tuple[Improvement, ...]
    evaluations: int
    seconds: float
    issuing_seconds: float
    """Until the last evaluation began: what throughput is over, as stragglers at the end say nothing of a longer search."""
    exhausted: bool


Planting: TypeAlias = Callable[[float, float, Settings], Tree]
"""Makes the tree from the root's reward, the noise and the settings; for trials of other constants."""


def replay(ground: Ground, setting: Setting, plant: Planting | None = None) -> Replayed:
    """Search `ground` until the budget is spent or nothing is left to try."""
    return ReplayedSearch(ground, setting, plant).finish()


class _NoLog(EventLog):
    """A log that keeps nothing: a replay is never resumed."""

    def __init__(self) -> None:
        pass

    def inbox(self, *, waiting: bool = False) -> list[InboxRow]:
        """Nobody can ask anything of a replay."""
        return []


class MemoryJournal(Journal):
    """Folds events into the state and forgets them."""

    def record(self, *events: Event, durable: bool = False, tree_done: bool = False, answers: Sequence[InboxAnswer] = ()) -> None:
        for event in events:
            self.state.apply(event, 0.0, tree_done=tree_done)
        for event in events:
            for observe in self.observers:
                observe(event, self.state)


@dataclass
class Clock:
    """Simulated time, and what will answer when."""

    evaluators: int
    now: float = 0.0
    pending: list[tuple[float, int, Future[Answer]]] = field(default_factory=list)
    issued: int = 0

    def __post_init__(self) -> None:
        self.free = [0.0] * self.evaluators
        self.last_start = 0.0

    def after(self, seconds: float) -> Future[Answer]:
        return self._at(self.now + seconds)

    def on_evaluator(self, seconds: float) -> Future[Answer]:
        """On the evaluator that is free first."""
        self.last_start = max(self.now, heapq.heappop(self.free))
        done = self.last_start + seconds
        heapq.heappush(self.free, done)
        return self._at(done)

    def advance(self) -> list[Future[Answer]]:
        """Go to the next moment at which something answers; all that answer then. Stays when nothing is under way."""
        self.now = self.pending[0][0] if self.pending else self.now
        answered = []
        while self.pending and self.pending[0][0] == self.now:
            answered.append(heapq.heappop(self.pending)[2])
        return answered

    def _at(self, time: float) -> Future[Answer]:
        future: Future[Answer] = Future()
        self.issued += 1
        heapq.heappush(self.pending, (time, self.issued, future))
        return future


class ReplaySteps(Steps):
    """Answers every step from the ground. An answer is computed when it arrives, as nothing it rests on changes meanwhile."""

    def __init__(self, journal: Journal, parts: Parts, ground: Ground, seed: int, clock: Clock) -> None:
        self.journal, self.parts = journal, parts
        self.questions = Questions(journal.state, journal.log, parts)
        self.ground, self.seed, self.clock = ground, seed, clock
        self.spots: dict[int, Spot] = {}
        self.proposed: dict[int, Proposed] = {}

    def start(self, step: Step) -> Future[Answer]:
        match step:
            case ProposeStep(ticket):
                offered = self.parts.planner.propose(self.questions.propose(ticket))
                self.proposed[ticket.ticket] = Proposed(tuple(proposal.action for proposal in proposals_of(offered)))
                return self.clock.after(PROPOSE_SECONDS)
            case WriteStep():
                return self.clock.after(WRITE_SECONDS)
            case JudgeStep(candidate):
                return self._evaluate(self.state.candidates[candidate], "evaluate")
            case PromoteStep(candidate):
                return self._evaluate(self.state.candidates[candidate], "promote")
            case _:
                raise TypeError(f"{step} is not something to start")

    def _evaluate(self, candidate: CandidateState, kind: str) -> Future[Answer]:
        self.journal.record(EvaluationStarted.model_construct(candidate=candidate.id, kind=kind, gpu_seconds=0.0))
        return self.clock.on_evaluator(self.spots[candidate.id].seconds)

    def answered(self, step: Step) -> None:
        """Log what a step came to."""
        match step:
            case ProposeStep(ticket):
                self.tell(ticket.ticket, self.proposed.pop(ticket.ticket))
            case WriteStep(ticket) if ticket.mode is not WriteMode.FIRST:
                self.journal.record(NothingWritten(ticket=ticket.ticket, reason="one code for each plan"))
            case WriteStep(ticket):
                self.written(ticket.ticket, ticket.node, self.ground.at(self.ground.catalogue.config(ticket.plan)))
            case JudgeStep(candidate):
                self.judged(candidate, "evaluate", None)
            case PromoteStep(candidate):
                best = self.state.best_known
                self.judged(candidate, "promote", None if best is None else self.spots[best.id])
            case _:
                raise TypeError(f"{step} is never in flight")

    def written(self, ticket: int | None, node: int, spot: Spot) -> None:
        number = len(self.state.candidates)
        self.spots[number] = spot
        self.journal.record(
            CandidateWritten.model_construct(
                candidate=number, ticket=ticket, node=node, solution="", digest=spot.code, name=spot.code, language="python",
                origin="playbook",
            )
        )  # fmt: skip

    def judged(self, candidate: int, kind: str, opponent: Spot | None) -> None:
        spot = self.spots[candidate]
        reward = None if spot.reward is None else spot.measured(self.seed, kind)
        gain, promoted = (None, False) if reward is None or opponent is None else self._paired(spot, opponent)
        self.journal.record(
            EvaluationSettled.model_construct(
                candidate=candidate, kind=kind, verdict="", status=Status.COMPILE_ERROR if reward is None else Status.PASSED,
                stage=spot.stage, message=None, reward=reward, latency_us=None if reward is None else 1.0,
                baseline_us=None if reward is None else 1.0, paired_gain=gain, promoted=promoted, device_seconds=0.0,
                wall_seconds=spot.seconds,
            )
        )  # fmt: skip

    def _paired(self, spot: Spot, opponent: Spot) -> tuple[float, bool]:
        """The judge's own rule on blocks drawn around the true gain."""
        assert spot.reward is not None
        assert opponent.reward is not None
        true = spot.reward - opponent.reward
        ratios = [true + noise for noise in spot.noises(self.seed, f"promote against {opponent.code}", BLOCKS)]
        mean, low, _ = t_interval(ratios)
        return mean, low > 0 and math.expm1(mean) >= LEAST_GAIN


class ReplayedSearch(Search):
    """The search loop with a simulated clock in place of waiting."""

    steps: ReplaySteps

    def __init__(self, ground: Ground, setting: Setting, plant: Planting | None = None) -> None:
        settings = settings_of(setting.policy, ground.name, setting.seed, setting.budget + 1)
        journal = MemoryJournal(_NoLog(), RunState.begin(_header(ground, setting.seed), settings))
        super().__init__(journal, _parts(ground, setting, settings), threading.Event())
        self.ground, self.setting, self.count = ground, setting, 0
        self.clock = Clock(setting.evaluators)
        self.steps = ReplaySteps(journal, self.parts, ground, setting.seed, self.clock)
        self._plant(plant)
        self.measured = {0: 0}
        self.improvements = [Improvement(0, 0.0, self._true(0), 0)]
        journal.observers.append(self._observe)

    def finish(self) -> Replayed:
        while True:
            self.ask()
            self.advance()
            if self.ending() is not None or (self.setting.stop_near and reaches(self.ground, self.improvements[-1].reward)):
                return Replayed(self.ground.name, self.setting, tuple(self.improvements), *self._spent(), self.exhausted)
            for future in self.clock.advance():
                self.steps.answered(self.running.pop(future))

    def promotion_is_due(self) -> bool:
        """At once: the curve of a replay asks what a search that ended there would bring."""
        return True

    def _spent(self) -> tuple[int, float, float]:
        return self.count, self.clock.now, self.clock.last_start

    def _plant(self, plant: Planting | None) -> None:
        """The root is the plainest configuration, judged once before the search."""
        self.steps.written(None, ROOT, self.ground.at(self.ground.catalogue.defaults))
        self.journal.record(EvaluationStarted(candidate=0, kind="promote", gpu_seconds=0.0))
        self.steps.judged(0, "promote", None)
        reward = self.state.candidates[0].verdicts["promote"].reward
        assert reward is not None, f"{self.ground.name}: the plainest configuration fails"
        self.journal.record(
            RootSettled(candidate=0, reward=reward, sigma_noise=self.ground.sigma),
            IncumbentChanged(candidate=0, latency_us=1.0, baseline_us=1.0),
        )
        if plant is not None:
            self.state.tree = plant(reward, self.ground.sigma, self.state.settings)

    def _observe(self, event: Event, state: RunState) -> None:
        if isinstance(event, EvaluationSettled) and event.kind == "evaluate":
            self.count += 1
            self.measured[event.candidate] = self.count
        elif isinstance(event, IncumbentChanged):
            self.improvements.append(Improvement(self.count, self.clock.now, self._true(event.candidate), self.measured[event.candidate]))

    def _true(self, candidate: int) -> float:
        reward = self.steps.spots[candidate].reward
        assert reward is not None
        return reward


def settings_of(policy: str, definition: str = "replayed", seed: int = 0, evaluations: int = 1) -> Settings:
    """Of a policy with settings behind it. Raises BadInput for an unknown policy or setting."""
    name, *assignments = policy.split("+")
    base = {"definition": definition, "policy": name, "seed": seed, "budget": {"max_evaluations": evaluations}}
    return resolve([base, *map(parse_assignment, assignments)])


def _header(ground: Ground, seed: int) -> RunCreated:
    return RunCreated(
        run=ground.name, ksearch_version="", judge_version=JUDGE_VERSION, settings="", definition="", definition_name=ground.name,
        workloads="", subset="", baseline=None, start=None, seed=seed, device="cpu", device_name="replayed", family=ground.family,
    )  # fmt: skip


def _parts(ground: Ground, setting: Setting, settings: Settings) -> Parts:
    """Coder and evaluator are never called: `ReplaySteps` answers in their place."""
    target = Target("cpu", None, ("python",))
    jobs = JobFactory(_DEFINITION, (), (), None, "cpu", target, settings, None)
    planner = PlaybookPlanner(ground.catalogue)
    return Parts(planner, cast(Coder, None), cast(Evaluator, None), jobs, (), setting.parallel)


_DEFINITION = Definition(name="replayed", op_type="replayed", axes={}, inputs={}, outputs={}, reference="def run():\n    return ()\n")
