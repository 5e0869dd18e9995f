"""Before the tree: find the kernel that the search starts from, and measure it on everything.

The root is the first of the given candidates that passes: a start kernel, or the playbook's plainest, or the
definition's own reference wrapped as a solution.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import wait
from typing import TypeAlias

from ksearch.judge.verdict import Verdict
from ksearch.parts import Parts
from ksearch.steps import Steps
from ksearch.store.events import Event, IncumbentChanged, RootSettled, RunEnded
from ksearch.store.fold import CandidateState
from ksearch.store.journal import Journal
from ksearch.translate import sigma_noise
from ksearch.tree.types import ROOT

POLL_SECONDS = 0.2

REFERENCE_ORIGIN = "reference"
"""Origin of the wrapped reference: a place to start from, never a result."""

Interruption: TypeAlias = Callable[[], RunEnded | None]


def settle_root(journal: Journal, parts: Parts, steps: Steps, interruption: Interruption) -> RunEnded | None:
    """Log the root's candidates, verdicts and reward. Returns an ending when the search can't begin."""
    for index, draft in enumerate(parts.roots):
        candidate = journal.state.candidates.get(index) or steps.record_candidate(draft, None, ROOT)
        if (ending := _judge(journal, steps, candidate, interruption)) is not None:
            return ending
        if candidate.verdicts["promote"].reward is not None:
            _begin(journal, steps, candidate)
            return None
    failures = "; ".join(_failure(journal.state.candidates[index]) for index in range(len(parts.roots)))
    return RunEnded(status="no_candidate", reason=f"no kernel to start from passes: {failures}")


def _failure(candidate: CandidateState) -> str:
    verdict = candidate.verdicts["promote"]
    return f"{candidate.written.name} failed at {verdict.stage} ({verdict.message})"


def _judge(journal: Journal, steps: Steps, candidate: CandidateState, interruption: Interruption) -> RunEnded | None:
    """Judge a root candidate on the full set, unless the log has the answer."""
    while "promote" not in candidate.verdicts:
        if journal.state.ledger.remaining.evaluations == 0:
            return RunEnded(status="no_candidate", reason="the budget of evaluations ended before anything passed")
        if (ending := interruption()) is not None:
            return ending
        future = steps.judge(candidate, "promote")
        while not wait([future], timeout=POLL_SECONDS).done:
            if (ending := interruption()) is not None:
                return ending
        verdict = future.result()
        assert isinstance(verdict, Verdict)
        steps.record_verdict(candidate, "promote", verdict)
    return None


def _begin(journal: Journal, steps: Steps, candidate: CandidateState) -> None:
    answer = candidate.verdicts["promote"]
    assert answer.reward is not None
    assert answer.latency_us is not None
    assert answer.baseline_us is not None
    verdict = steps.questions.last_verdict(candidate)
    assert verdict is not None
    events: list[Event] = [RootSettled(candidate=candidate.id, reward=answer.reward, sigma_noise=sigma_noise(verdict))]
    if candidate.written.origin != REFERENCE_ORIGIN:
        events.append(IncumbentChanged(candidate=candidate.id, latency_us=answer.latency_us, baseline_us=answer.baseline_us))
    journal.record(*events, durable=True)
