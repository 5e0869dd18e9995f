"""A run's candidates as samples: code, plan, parent and workloads, and the outcome once there is one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from ksearch.definitions.schema import Definition, Solution
from ksearch.forecasting.samples import steps_of, stripped, taken
from ksearch.forecasting.shapes import moved_bytes, shapes_of
from ksearch.judge.verdict import JudgedWorkload, Verdict
from ksearch.profiling.bounds import Bounds
from ksearch.store.fold import CandidateState, RunState
from ksearch.surrogates.types import Compiled, Regime, Sample
from ksearch.translate import compiled
from ksearch.tree.types import NodeId


class Blobs(Protocol):
    def get_blob(self, digest: str) -> bytes: ...


@dataclass
class SampleMaker:
    """Makes samples of one run's candidates. Equal states give equal samples, live or read back from the log."""

    state: RunState
    blobs: Blobs
    definition: Definition
    workloads: Sequence[JudgedWorkload]

    def judged(self, numbers: Iterable[int]) -> tuple[Sample, ...]:
        """With their outcomes; in the order given."""
        return tuple(self.sample(self.state.candidates[number], judged=True) for number in numbers)

    def asked(self, numbers: Iterable[int]) -> tuple[Sample, ...]:
        return tuple(self.sample(self.state.candidates[number], judged=False) for number in numbers)

    def sample(self, candidate: CandidateState, *, judged: bool) -> Sample:
        assert self.state.tree is not None
        node, header = NodeId(candidate.written.node), self.state.header
        parent = self._parent(candidate)
        plan = self.state.tree.plan(node)
        made = None if self.state.surrogate is None else self.state.surrogate.made.get(candidate.id)
        # What the parent had when the forecast was made: it may have been measured again since.
        parent_reward = measured_reward(parent) if made is None else made.parent_reward
        answer = candidate.verdicts.get("evaluate") if judged else None
        solution = self._solution(candidate.written.solution)
        return Sample(
            candidate=candidate.written.digest,
            definition=header.definition_name,
            device=header.device_name,
            plan=tuple(key for action in plan for key in action.steps),
            sources=sources_of(solution),
            parent=None if parent is None else parent.written.digest,
            parent_reward=parent_reward,
            passed=None if answer is None else answer.reward is not None,
            reward=None if answer is None else answer.reward,
            language=candidate.written.language,
            steps=steps_of(plan),
            regimes=self._regimes(parent),
            compiled=self._compiled(candidate if judged else None),
            parent_sources=() if parent is None else sources_of(self._solution(parent.written.solution)),
            parent_compiled=self._compiled(parent),
            taken=taken(plan),
        )

    def _parent(self, candidate: CandidateState) -> CandidateState | None:
        """The fastest candidate of the parent's plan, or the one whose code it has, which was measured for both; a reference as the
        root has no candidate of its own."""
        assert self.state.tree is not None
        best = self.state.best_candidate_of(self.state.tree.parent(NodeId(candidate.written.node)))
        return None if best is None else self.state.twin_of(best)

    def _solution(self, digest: str) -> Solution:
        return _parsed_solution(self.blobs.get_blob(digest))

    def _compiled(self, candidate: CandidateState | None) -> Compiled | None:
        """Of a measured candidate. An unmeasured one was never compiled: identical code is measured once."""
        verdict = self._verdict(candidate)
        return None if verdict is None else compiled(verdict.compile)

    def _verdict(self, candidate: CandidateState | None) -> Verdict | None:
        if candidate is None or not candidate.verdicts:
            return None
        answer = candidate.verdicts.get("evaluate") or candidate.verdicts["promote"]
        return _parsed_verdict(self.blobs.get_blob(answer.verdict))

    def _regimes(self, parent: CandidateState | None) -> tuple[Regime, ...]:
        return regimes_of(self.definition, self.workloads, self._verdict(parent), self._floors)

    @property
    def _floors(self) -> Mapping[str, float]:
        known = self.state.bounds
        return {} if known is None else floors_of(_parsed_bounds(self.blobs.get_blob(known.bounds)))


def measured_reward(candidate: CandidateState | None) -> float | None:
    """The reward on the subset of workloads, which a candidate's own will be compared with; None unless it passed."""
    if candidate is None:
        return None
    answer = candidate.verdicts.get("evaluate") or candidate.verdicts.get("promote")
    return None if answer is None else answer.reward


def regimes_of(
    definition: Definition, workloads: Sequence[JudgedWorkload], parent: Verdict | None, floors: Mapping[str, float]
) -> tuple[Regime, ...]:
    """The subset's regimes with typical shapes, bytes, what the device allows (`floors`, microseconds by workload), and the parent's
    and baseline's mean latencies where timed."""
    rows = {} if parent is None else {row.uuid: row for row in parent.workloads}
    members: dict[str, list[JudgedWorkload]] = {}
    for judged in workloads:
        members.setdefault(judged.regime, []).append(judged)
    found = []
    for name, group in members.items():
        timed = [(judged.weight, rows[judged.workload.uuid]) for judged in group if judged.workload.uuid in rows]
        weight = sum(judged.weight for judged in group)
        found.append(
            Regime(
                name=name,
                weight=weight,
                shapes=shapes_of(definition, [judged.workload.axes for judged in group]),
                moved_bytes=sum(judged.weight * moved_bytes(definition, judged.workload.axes) for judged in group) / weight,
                floor_us=_mean([(judged.weight, floors.get(judged.workload.uuid)) for judged in group]),
                baseline_us=_mean([(share, row.baseline_us) for share, row in timed]),
                parent_us=_mean([(share, row.latency_us) for share, row in timed]),
            )
        )
    return tuple(found)


def sources_of(solution: Solution) -> tuple[str, ...]:
    return stripped([(source.path, source.content) for source in solution.sources])


def floors_of(bounds: Bounds) -> Mapping[str, float]:
    return {row.uuid: row.floor_us for row in bounds.workloads}


def _mean(pairs: Sequence[tuple[float, float | None]]) -> float | None:
    known = [(weight, value) for weight, value in pairs if value is not None]
    total = sum(weight for weight, _ in known)
    return sum(weight * value for weight, value in known) / total if total > 0.0 else None


@lru_cache(maxsize=256)
def _parsed_solution(text: bytes) -> Solution:
    return Solution.model_validate_json(text)


@lru_cache(maxsize=4)
def _parsed_bounds(text: bytes) -> Bounds:
    return Bounds.model_validate_json(text)


@lru_cache(maxsize=64)
def _parsed_verdict(text: bytes) -> Verdict:
    return Verdict.model_validate_json(text)
