"""What planner and coder are asked: the state of the search as each of them is shown it."""

from __future__ import annotations

from ksearch.briefing.kernels import kernel_text
from ksearch.briefing.verdicts import workload_texts
from ksearch.briefing.view import search_view
from ksearch.coder.types import WriteRequest
from ksearch.definitions.schema import Solution
from ksearch.judge.verdict import Verdict
from ksearch.llm.conversation import turns_of
from ksearch.parts import Parts
from ksearch.settings import AGENT_POLICY
from ksearch.store.fold import CandidateState, RunState
from ksearch.store.log import EventLog
from ksearch.tree.types import NodeId, Propose, Write, WriteMode
from ksearch.worldmodel.types import ProposeRequest, SearchView


class Questions:
    """Asks nobody anything: it makes the requests, in the thread that owns the state."""

    def __init__(self, state: RunState, log: EventLog, parts: Parts) -> None:
        self.state, self.log, self.parts = state, log, parts
        self.workloads = workload_texts(parts.jobs.definition, parts.jobs.full)
        self._baselines: dict[str, float] = {}

    def propose(self, ticket: Propose) -> ProposeRequest:
        assert self.state.tree is not None
        known = self.state.tree.known_plans().now()
        believing = self.state.settings.world_model
        return ProposeRequest(
            node=ticket.node, plan=ticket.plan, count=ticket.count, known_plans=known,
            beliefs=self.state.beliefs.all() if believing else (),
            ticket=ticket.ticket, view=self._view(ticket.node, ticket.node),
            banned=self.state.tree.bans, known_outcomes=known.outcomes,
            outlooks=self.state.tree.outlooks() if believing else (), honesty=self.state.tree.honesty if believing else 1.0,
            pair_chance=self.state.tree.pair_chance if believing else 1.0, may_merge=self.state.settings.merge,
        )  # fmt: skip

    def write(self, ticket: Write) -> WriteRequest:
        if self.state.settings.policy == AGENT_POLICY:
            return self._agent_turn(ticket)
        assert self.state.tree is not None
        parent = self.state.best_candidate_of(self.state.tree.parent(ticket.node))
        failed = self.state.candidates_of(ticket.node)[-1:] if ticket.mode is WriteMode.REPAIR else []
        previous = failed[0] if failed else None
        view = self._view(ticket.node, None)
        return WriteRequest(
            definition=self.parts.jobs.definition,
            target=self.parts.jobs.target,
            plan=ticket.plan,
            mode=ticket.mode,
            attempt=ticket.attempt,
            parent=None if parent is None else self.solution(parent),
            previous=None if previous is None else self.solution(previous),
            verdict=None if previous is None else self.last_verdict(previous),
            ticket=ticket.ticket,
            node=ticket.node,
            trouble=self.state.trouble.get(ticket.node),
            view=view,
            material="" if view is None else self._material(previous or parent),
            workloads=self.workloads,
            merged=self._merged(ticket),
        )

    def _agent_turn(self, ticket: Write) -> WriteRequest:
        """For the single conversation: the best kernel, the last verdict, everything said so far."""
        best, last = self.state.fastest, max(self.state.candidates.values(), key=lambda candidate: candidate.id)
        return WriteRequest(
            definition=self.parts.jobs.definition, target=self.parts.jobs.target, plan=ticket.plan, mode=ticket.mode,
            attempt=ticket.attempt, parent=None if best is None else self.solution(best), ticket=ticket.ticket, node=ticket.node,
            trouble=self.state.trouble.get(ticket.node), material=self._material(best), workloads=self.workloads,
            last=None if last.written.ticket is None else self.last_verdict(last), turns=turns_of(self.state, self.log),
        )  # fmt: skip

    def _merged(self, ticket: Write) -> str:
        """The kernel whose gains the plan's last step brings in, when it merges two branches."""
        node = ticket.plan[-1].second_parent if ticket.plan else None
        return "" if node is None or self.parts.models is None else self._material(self.state.best_candidate_of(node))

    def _view(self, node: NodeId, material_of: NodeId | None) -> SearchView | None:
        if self.parts.models is None:
            return None
        kernel = None if material_of is None else self.state.best_candidate_of(material_of)
        return search_view(self.state, node, self._material(kernel), self.parts.parallel)

    def _material(self, candidate: CandidateState | None) -> str:
        """A kernel and its evaluation as text: the same for everyone who asks about it."""
        if candidate is None:
            return ""
        judged = candidate.verdicts.get("evaluate") or candidate.verdicts.get("promote")
        verdict = None if judged is None else Verdict.model_validate_json(self.log.get_blob(judged.verdict))
        return kernel_text(self.solution(candidate), verdict, self.workloads, self.state.bounds)

    def solution(self, candidate: CandidateState) -> Solution:
        return Solution.model_validate_json(self.log.get_blob(candidate.written.solution))

    def baselines(self) -> dict[str, float]:
        """Microseconds of the run's baseline by workload, as timed with its root; empty until that is judged."""
        if not self._baselines and self.state.root is not None and self.state.root.candidate is not None:
            verdict = self.last_verdict(self.state.candidates[self.state.root.candidate])
            assert verdict is not None
            self._baselines = {row.uuid: row.baseline_us for row in verdict.workloads if row.baseline_us is not None}
        return self._baselines

    def last_verdict(self, candidate: CandidateState) -> Verdict | None:
        answers = list(candidate.verdicts.values())
        return Verdict.model_validate_json(self.log.get_blob(answers[-1].verdict)) if answers else None
