"""The planner that needs no language model: it proposes from a catalogue, most promising first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from ksearch.tree.types import Action, plan_key
from ksearch.worldmodel.beliefs import gain, with_prior
from ksearch.worldmodel.catalogue import Catalogue, Technique
from ksearch.worldmodel.merging import merges
from ksearch.worldmodel.types import Belief, Proposal, ProposeRequest

ORIGIN = "playbook"

CLAIM_WEIGHT = 2.0
"""Pseudo-tries behind a technique's claimed P(success): Beta(2p, 2(1 - p)), which is Beta(1, 1) at p = 1/2."""


@dataclass(frozen=True)
class PlaybookPlanner:
    """Proposes legal, unknown next steps of a catalogue, by P(success) times expected gain.

    Deterministic: equal requests give equal proposals.
    """

    catalogue: Catalogue
    name: str = ORIGIN

    def propose(self, request: ProposeRequest) -> tuple[Proposal, ...]:
        """At most `request.count` proposals; empty when every legal step leads to a known plan. Merges of known gains come first."""
        beliefs = {belief.technique: belief for belief in request.beliefs}
        actions = [replace(_revised(new, beliefs.get(new.id)), leads_to=outcome) for new, outcome in self._new(request)]
        actions.sort(key=lambda action: (-action.p_success * action.gain_mean, action.key))
        merging = merges(self.catalogue, request) if request.may_merge else ()
        return tuple(Proposal(action, ORIGIN) for action in (*merging, *actions)[: request.count])

    def _new(self, request: ProposeRequest) -> Iterable[tuple[Technique, str]]:
        """Steps to configurations that no known plan stands for, each with the name of where it leads."""
        taken, config = plan_key(request.plan), self.catalogue.config(request.plan)
        for technique in self.catalogue.legal_from(config):
            if technique.id in request.banned or technique.key in request.banned:
                continue
            # A step already on the path would undo a later one, and its plan has its parent's key.
            if technique.key in taken or taken | {technique.key} in request.known_plans:
                continue
            outcome = self.catalogue.outcome({**config, **technique.sets})
            if outcome and outcome not in request.known_outcomes:
                yield technique, outcome


def _revised(technique: Technique, belief: Belief | None) -> Action:
    """The technique's action with its claims moved by what was measured of it in this search."""
    action = technique.action()
    if belief is None:
        return action
    expected = gain(with_prior(belief, technique.gain_mean, technique.gain_sd))
    tries = belief.successes + belief.failures
    p_success = (CLAIM_WEIGHT * technique.p_success + belief.successes) / (CLAIM_WEIGHT + tries)
    # A technique's parameters share what was measured, and differ: the spread between them is no doubt about this one.
    return replace(action, gain_mean=expected.mean, gain_sd=min(expected.sd, technique.gain_sd), p_success=p_success)
