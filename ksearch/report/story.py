"""One node's story as records: every decision for it with the scores of that moment, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from ksearch.records.model import CandidateRecord, NodeRecord, Record, TicketRecord
from ksearch.records.reading import StoredRun
from ksearch.report.page.details import kernel_detail
from ksearch.report.page.model import EvaluationDetail
from ksearch.store.fold import RunState
from ksearch.tree import Tree
from ksearch.tree.types import NodeId
from ksearch.worldmodel.beliefs import gain, success


class ArmScore(Record):
    """One arm among its siblings at a moment. `total` = `q_tilde` + `exploration`; the greatest `total` of a legal arm is taken.

    `q_tilde` is the value on the scale of the run (0 to 1) after virtual loss; `exploration` grows with `prior` and with the
    visits beside it, and falls with its own. N, O and K are visits settled, in flight and skipped.
    """

    node: int
    key: str
    chosen: bool
    legal: bool
    rank: int
    total: float
    q_tilde: float
    exploration: float
    prior: float
    value: float
    """Q, nats."""
    N: int
    O: int  # noqa: E741 - the design's letter for visits in flight
    K: int


class Choice(Record):
    """Which arm was followed at one node on the way down; arms in the order of their scores."""

    at: int
    chosen: int
    opened_for_it: bool
    """The arm was opened in this very step: it was the best proposal in the queue of `at`."""
    arms: tuple[ArmScore, ...]


class Belief(Record):
    """What the search believed of the step's technique then: of a further gain (nats) and of P(success)."""

    technique: str
    tries: int
    measured: int
    gain_mean: float
    gain_sd: float
    p_success: float


class Decision(Record):
    """One ticket for the node. `choices` from the root down; empty for policies that compare no scores, and for the root."""

    ticket: TicketRecord
    evaluations: int
    """Answered before it."""
    honesty: float
    """b: how far claimed gains had come true, 0 to 1."""
    belief: Belief | None
    choices: tuple[Choice, ...]


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
    decisions: tuple[Decision, ...]
    attempts: tuple[Attempt, ...]
    device_seconds: float
    wall_seconds: float


def story_of(run: StoredRun, node: int) -> Story:
    """Folds the log again up to each decision for the node. Raises BadInput for a node that the run doesn't have."""
    head = run.head()
    told = run.node(node)
    way = _way(run, told)
    candidates = [run.candidate(number) for number in told.candidates]
    attempts = tuple(_attempt(run, candidate) for candidate in candidates)
    answers = [answer for candidate in candidates for answer in candidate.evaluations]
    tickets = sorted((run.ticket(number) for number in told.tickets), key=lambda ticket: ticket.issued_seq)
    return Story(
        run=head.run, definition=head.definition, device_name=head.device_name, timer=head.timer,
        policy=str(head.settings.get("policy")), node=told, incumbent=any(candidate.incumbent for candidate in candidates),
        decisions=tuple(_decision(run, way, ticket) for ticket in tickets), attempts=attempts,
        device_seconds=sum(candidate.device_seconds for candidate in candidates),
        wall_seconds=sum(answer.wall_seconds for answer in answers),
    )  # fmt: skip


def _way(run: StoredRun, node: NodeRecord) -> list[NodeRecord]:
    """From the root to the node."""
    way = [node]
    while (parent := way[-1].parent) is not None:
        way.append(run.node(parent))
    return way[::-1]


def _decision(run: StoredRun, way: Sequence[NodeRecord], ticket: TicketRecord) -> Decision:
    state, action = run.state(ticket.issued_seq - 1), way[-1].action
    assert state.tree is not None, "tickets come after the root"
    return Decision(
        ticket=ticket, evaluations=state.evaluations, honesty=state.tree.honesty,
        belief=None if action is None else _belief(state, action.technique),
        choices=tuple(_choices(state.tree, way, ticket.issued_seq)) if state.settings.policy == "puct" else (),
    )  # fmt: skip


def _choices(tree: Tree, way: Sequence[NodeRecord], issued: int) -> Iterator[Choice]:
    for at, chosen in pairwise(way):
        yield Choice(at=at.id, chosen=chosen.id, opened_for_it=chosen.seq == issued - 1, arms=_arms(tree, at.id, chosen.id))


def _arms(tree: Tree, at: int, chosen: int) -> tuple[ArmScore, ...]:
    arms = [_score(tree, node, chosen) for node in tree.children(NodeId(at))]
    return tuple(sorted(arms, key=lambda arm: (arm.rank, arm.node)))


def _score(tree: Tree, node: NodeId, chosen: int) -> ArmScore:
    terms, view = tree.explain(node), tree.node(node)
    return ArmScore(
        node=node, key="" if view.action is None else view.action.key, chosen=node == chosen, legal=terms.legal, rank=terms.rank,
        total=terms.total, q_tilde=terms.q_tilde, exploration=terms.exploration, prior=terms.prior, value=terms.value,
        N=view.subtree.visits, O=view.subtree.in_flight, K=view.subtree.skipped,
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
