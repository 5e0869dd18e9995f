"""A stored run as a ground: the plans it measured, and the steps between them.

Whatever the planner was, a measured plan is a set of steps, and a step is legal wherever it leads to another measured plan:
the part of the space that the run saw, closed by construction. It is the space as one search found it, so it says whether
another policy would have found the same kernel sooner, not what another would have found elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from ksearch.errors import BadInput
from ksearch.landscapes.ground import TYPICAL_SECONDS, Spot
from ksearch.store.fold import RunState
from ksearch.translate import DEFAULT_NOISE_LN
from ksearch.tree import NodeView, Tree
from ksearch.tree.types import ROOT, Action
from ksearch.worldmodel.catalogue import Catalogue, Config, Technique

LEAST_PLANS = 30
"""Measured plans below which every policy would have tried most of them anyway."""


@dataclass(frozen=True)
class ClosedCatalogue(Catalogue):
    """A catalogue whose legal steps are those that lead to a known configuration."""

    known: frozenset[str] = frozenset()

    def holds(self, config: Config) -> bool:
        return self.outcome(config) in self.known

    def legal_from(self, config: Config) -> tuple[Technique, ...]:
        return tuple(step for step in super().legal_from(config) if self.holds({**config, **step.sets}))


@dataclass(frozen=True)
class MeasuredRun:
    """Spots by outcome (`Catalogue.outcome`) of what a run judged."""

    name: str
    family: str
    sigma: float
    catalogue: ClosedCatalogue
    spots: dict[str, Spot]

    @cached_property
    def best(self) -> float:
        """Over what steps lead to from the root: a plan all of whose parts failed can't be reached."""
        return max(spot.reward for spot in self._reachable() if spot.reward is not None)

    def at(self, config: Config) -> Spot:
        return self.spots[self.catalogue.outcome(config)]

    def _reachable(self) -> Iterator[Spot]:
        frontier: list[Config] = [self.catalogue.defaults]
        seen: set[str] = set()
        while frontier:
            config = frontier.pop()
            outcome = self.catalogue.outcome(config)
            if outcome in seen:
                continue
            seen.add(outcome)
            yield self.spots[outcome]
            if self.spots[outcome].reward is not None:
                frontier += [{**config, **step.sets} for step in self.catalogue.legal_from(config)]


def ground_of(state: RunState) -> MeasuredRun:
    """Raises BadInput when the run measured too little to compare anything on."""
    tree = state.tree
    views = [] if tree is None else [view for view in tree.nodes() if view.own.visits]
    if tree is None or len(views) < LEAST_PLANS:
        raise BadInput(f"run {state.header.run}: {len(views)} measured plans; a comparison needs at least {LEAST_PLANS}")
    actions = {action.key: action for view in views for action in view.plan}
    defaults = dict.fromkeys((step for action in actions.values() for step in action.steps), False)
    techniques = tuple(_technique(action) for action in actions.values())
    plain = Catalogue(state.header.run, defaults, techniques)
    spots = {_outcome(plain, view): _spot(state, tree, view) for view in views}
    catalogue = ClosedCatalogue(state.header.run, defaults, techniques, frozenset(spots))
    sigma = state.root.sigma_noise if state.root is not None else DEFAULT_NOISE_LN
    return MeasuredRun(state.header.run, state.header.definition_name, sigma, catalogue, spots)


def _outcome(catalogue: Catalogue, view: NodeView) -> str:
    return catalogue.outcome({**catalogue.defaults, **{step: True for action in view.plan for step in action.steps}})


def _technique(action: Action) -> Technique:
    """A merge is one step here too: its parts alone may never have been measured."""
    return Technique(
        id=action.technique, target=action.target, parameter=action.parameter, sets=dict.fromkeys(action.steps, True),
        intent=action.intent, rationale=action.rationale, gain_mean=action.gain_mean, gain_sd=max(action.gain_sd, 0.01),
        p_success=action.p_success, difficulty=action.difficulty, regime=action.regime,
    )  # fmt: skip


def _spot(state: RunState, tree: Tree, view: NodeView) -> Spot:
    """The plan's measured reward is taken for the truth; identical code shares its digest."""
    candidates = state.candidates_of(view.id)
    best = state.best_candidate_of(view.id) or (candidates[-1] if candidates else None)
    code = best.written.digest if best is not None else f"node {view.id}"
    seconds = sum(verdict.wall_seconds for verdict in best.verdicts.values()) if best is not None else 0.0
    sigma = state.root.sigma_noise if state.root is not None else DEFAULT_NOISE_LN
    stage = view.failed_stage or "judge"
    root = view.id == ROOT
    reward = tree.own_best(ROOT) if root else view.own.best
    return Spot(code, reward, None if reward is not None else stage, sigma, seconds or TYPICAL_SECONDS)
