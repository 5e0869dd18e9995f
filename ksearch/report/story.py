"""One node's story as records: every decision for it with the scores of that moment, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

from ksearch.records.beliefs import PredictionRecord
from ksearch.records.learning import prediction_record
from ksearch.records.model import CandidateRecord, NodeRecord, Record, TicketRecord
from ksearch.records.reading import StoredRun, Turn
from ksearch.report.page.details import kernel_detail
from ksearch.report.page.model import EvaluationDetail
from ksearch.store.fold import BrokenLog, RunState
from ksearch.tree import OptionView, Tree
from ksearch.tree.types import ROOT, Action, NodeId
from ksearch.worldmodel.beliefs import gain, success
from ksearch.worldmodel.claims import crps


class OptionScore(Record):
    """One of what was weighed at a node at a moment; the greatest `total` of a legal one is taken.

    `move`: 'arm' goes on to `node`, 'open' takes the queued step `key` as a new arm, 'write' and 'ask' are the node's own next
    attempt and the planner's next ideas. `total` = `value` + `exploration`. For the policy `puct`, `value` is the expected
    improvement on the incumbent relative to the best option's; for `puct-mean` the value on the scale of the run (0 to 1)
    after virtual loss. N, O and K are the visits of an arm: settled, in flight and skipped.
    """

    move: Literal["arm", "open", "write", "ask"]
    node: int | None
    key: str
    chosen: bool
    legal: bool
    rank: int
    total: float
    value: float
    exploration: float
    prior: float
    N: int | None
    O: int | None  # noqa: E741 - the design's letter for visits in flight
    K: int | None


class Choice(Record):
    """What was chosen at one node on the way down, among all that was weighed there, the greatest score first."""

    at: int
    chosen: int | None
    """The arm that was followed or opened; None: the node's own move."""
    opened_for_it: bool
    """The arm was opened in this very step, from the queue of `at`."""
    options: tuple[OptionScore, ...]


class Belief(Record):
    """What the search believed of the step's technique then: of a further gain (nats) and of P(success)."""

    technique: str
    tries: int
    measured: int
    gain_mean: float
    gain_sd: float
    p_success: float


class Decision(Record):
    """One ticket for the node. `choices` from the root, or what was pinned, down; empty for policies that compare no scores."""

    ticket: TicketRecord
    evaluations: int
    """Answered before it."""
    honesty: float
    """b: how far claimed gains had come true, 0 to 1."""
    pinned: int | None
    """Where the user's pin made the descent begin; None: at the root."""
    belief: Belief | None
    choices: tuple[Choice, ...]
    agrees: bool
    """Whether this program's policy chooses so, too. False: another version searched, and only `ticket.why` tells its reasons."""


class DiffSummary(Record):
    """Changed lines against the kernel that stands for the parent."""

    against: int
    """Candidate."""
    files: tuple[str, ...]
    added: int
    removed: int


class Attempt(Record):
    """One candidate of the node, with its verdicts and their evidence."""

    candidate: CandidateRecord
    evaluations: tuple[EvaluationDetail, ...]
    diff: DiffSummary | None
    missing: str | None
    """Why the sources can't be compared, when the log doesn't hold them."""


class Story(Record):
    """What `ksearch explain --json` prints."""

    format: int = 1
    run: str
    definition: str
    device_name: str
    timer: str | None
    policy: str
    node: NodeRecord
    incumbent: bool
    pinned: bool
    decisions: tuple[Decision, ...]
    attempts: tuple[Attempt, ...]
    device_seconds: float
    wall_seconds: float
    crps: float | None = None
    """Of this step's claimed gain against the measured one, nats; None unless both are known."""
    predictions: PredictionRecord | None = None
    """Of all claims of the run, to hold it beside."""


def story_of(run: StoredRun, node: int) -> Story:
    """Folds the log once, with a stop before each decision for the node. Raises BadInput for a node that the run doesn't have."""
    scenes = [_scene(run, turn) for turn in run.turns(node)]
    head = run.head()
    told = run.node(node)
    candidates = [run.candidate(number) for number in told.candidates]
    attempts = tuple(_attempt(run, candidate) for candidate in candidates)
    answers = [answer for candidate in candidates for answer in candidate.evaluations]
    return Story(
        run=head.run, definition=head.definition, device_name=head.device_name, timer=head.timer,
        policy=str(head.settings.get("policy")), node=told, incumbent=any(candidate.incumbent for candidate in candidates),
        pinned=told.id in head.pins,
        decisions=tuple(_decision(run.ticket(scene.ticket), scene) for scene in scenes), attempts=attempts,
        device_seconds=sum(candidate.device_seconds for candidate in candidates),
        wall_seconds=sum(answer.wall_seconds for answer in answers),
        crps=_crps(told), predictions=prediction_record(run.state()),
    )  # fmt: skip


def _crps(node: NodeRecord) -> float | None:
    action = node.action
    return None if action is None or node.gain is None or action.gain_sd <= 0 else crps(action.gain_mean, action.gain_sd, node.gain)


class Step(NamedTuple):
    """A node on the way to the one told of, and its action; the root has none."""

    id: int
    action: Action | None


class Scene(NamedTuple):
    """A decision for the node, as far as the moment of its ticket tells it."""

    ticket: int
    evaluations: int
    honesty: float
    start: int
    belief: Belief | None
    choices: tuple[Choice, ...]


def _scene(run: StoredRun, turn: Turn) -> Scene:
    state = run.state(_moment(run, turn))
    known = turn.issued.node if turn.opened is None else turn.opened.parent
    if state.tree is None or not 0 <= known < len(state.tree):  # the log was read ahead of its fold, which would have said so
        raise BrokenLog(f"run {state.header.run}: event {turn.seq} names a node that isn't there")
    way = _way(state.tree, turn)
    choices = tuple(_choices(state.tree, way[_began(way, state.tree.start) :], fresh=turn.opened is not None))
    action = way[-1].action
    belief = None if action is None else _belief(state, action.technique)
    return Scene(turn.issued.ticket, state.evaluations, state.tree.honesty, state.tree.start, belief, choices)


def _moment(run: StoredRun, turn: Turn) -> int:
    """The event before the choice. `puct` weighs a queued step against the arms, `puct-mean` a new arm among them."""
    opened_before = turn.opened is not None and run.so_far.settings.policy == "puct"
    return turn.seq - 2 if opened_before else turn.seq - 1


def _way(tree: Tree, turn: Turn) -> list[Step]:
    """From the root to the node, which may be opened only an event later."""
    node = NodeId(turn.issued.node)
    last, at = ([], node) if node < len(tree) or turn.opened is None else ([Step(node, turn.opened.action)], NodeId(turn.opened.parent))
    plan, above = tree.plan(at), [at]
    while above[-1] != ROOT:
        above.append(tree.parent(above[-1]))
    return [*map(Step, reversed(above), (None, *plan)), *last]


def _decision(ticket: TicketRecord, scene: Scene) -> Decision:
    return Decision(
        ticket=ticket, evaluations=scene.evaluations, honesty=scene.honesty, pinned=scene.start or None, belief=scene.belief,
        choices=scene.choices, agrees=all(map(_took_the_best, scene.choices)),
    )  # fmt: skip


def _began(way: Sequence[Step], start: int) -> int:
    """Where on the way the descent began: at the root or a pin."""
    return next((place for place, step in enumerate(way) if step.id == start), 0)


def _choices(tree: Tree, way: Sequence[Step], *, fresh: bool) -> Iterator[Choice]:
    """Empty for policies that compare no scores. The last choice of `puct` is what to do where the way ends."""
    for at, following in pairwise([*way, None]):
        if at is None or at.id >= len(tree) or not (options := _options(tree, at.id, following)):
            return
        if following is not None or any(option.chosen for option in options):
            opened = fresh and following is not None and following is way[-1]
            yield Choice(at=at.id, chosen=None if following is None else following.id, opened_for_it=opened, options=options)


def _options(tree: Tree, at: int, following: Step | None) -> tuple[OptionScore, ...]:
    found = tree.options(NodeId(at))
    return tuple(_score(tree, option, _is_chosen(option, following), found) for option in found)


def _took_the_best(choice: Choice) -> bool:
    best = next((option for option in choice.options if option.legal), None)
    return best is not None and any(option.chosen and option.total == best.total for option in choice.options)


def _is_chosen(option: OptionView, following: Step | None) -> bool:
    if following is None:
        return option.move in ("write", "ask")
    if option.move == "open":
        return option.action is not None and following.action is not None and option.action.key == following.action.key
    return option.node == following.id


def _score(tree: Tree, option: OptionView, chosen: bool, found: Sequence[OptionView]) -> OptionScore:
    visits = None if option.node is None else tree.node(option.node).subtree
    return OptionScore(
        move=option.move, node=option.node, key="" if option.action is None or option.move in ("write", "ask") else option.action.key,
        chosen=chosen, legal=option.legal, rank=1 + sum(other.total > option.total for other in found), total=option.total,
        value=option.value, exploration=option.exploration, prior=option.prior, N=None if visits is None else visits.visits,
        O=None if visits is None else visits.in_flight, K=None if visits is None else visits.skipped,
    )  # fmt: skip


def _belief(state: RunState, technique: str) -> Belief:
    belief = state.beliefs.belief(technique)
    expected = gain(belief)
    return Belief(
        technique=technique, tries=belief.successes + belief.failures, measured=belief.gains, gain_mean=expected.mean,
        gain_sd=expected.sd, p_success=success(belief),
    )  # fmt: skip


def _attempt(run: StoredRun, candidate: CandidateRecord) -> Attempt:
    detail = kernel_detail(run, candidate, candidate if candidate.twin is None else run.candidate(candidate.twin))
    before = run.builds_on(candidate)
    diff = None if before is None or detail.missing is not None else diff_summary(run, before, candidate)
    return Attempt(candidate=candidate, evaluations=detail.evaluations, diff=diff, missing=detail.missing)


def diff_summary(run: StoredRun, before: CandidateRecord, after: CandidateRecord) -> DiffSummary:
    files, added, removed = [], 0, 0
    for line in run.diff(before, after, context=0).splitlines():
        if line.startswith("+++ "):
            files.append(line.partition("/")[2])
        elif line.startswith("+"):
            added += 1
        elif line.startswith("-") and not line.startswith("--- "):
            removed += 1
    return DiffSummary(against=before.id, files=tuple(files), added=added, removed=removed)
