"""Constants that a kernel declares as tunable: another value is an action of its own, written without a model."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from ksearch.coder.model.forms import definitions_of
from ksearch.definitions.schema import Solution, SourceFile
from ksearch.tree.types import Action, plan_key
from ksearch.worldmodel.types import Planned, Planner, Proposal, ProposeRequest

TUNE = "tune"
"""Technique name of such an action: its target is the file, its parameter NAME=VALUE."""

GAIN_MEAN, GAIN_SD, P_SUCCESS = 0.03, 0.1, 0.85
"""A constant moved to a neighbouring value: mostly little either way. Guesses, revised by what tuning brings in the run."""

MOST_AT_ONCE = 3
"""Tunings proposed at a time, beside a model's own ideas."""

Setting = tuple[str, str, str]
"""File, name, value."""


def tuning_actions(tunables: Iterable[Setting]) -> tuple[Action, ...]:
    return tuple(_action(path, name, value) for path, name, value in tunables)


def _action(path: str, name: str, value: str) -> Action:
    return Action(
        technique=TUNE, target=path, parameter=f"{name}={value}", intent=f"set {name} to {value} in {path}", gain_mean=GAIN_MEAN,
        gain_sd=GAIN_SD, p_success=P_SUCCESS, difficulty=1, rationale="The kernel's author declared this constant worth trying.",
    )  # fmt: skip


@dataclass(frozen=True)
class TuningPlanner:
    """Adds to a planner's ideas the other values of constants that the kernel's author declared: they cost no tokens to write."""

    inner: Planner

    @property
    def name(self) -> str:
        return self.inner.name

    def propose(self, request: ProposeRequest) -> Planned:
        answer = self.inner.propose(request)
        planned = answer if isinstance(answer, Planned) else Planned(answer)
        tunables = () if request.view is None else request.view.tunables
        taken = plan_key(request.plan)
        known, unwanted = request.known_plans, taken | request.banned
        fresh = [a for a in tuning_actions(tunables) if not {a.key, a.technique} & unwanted and taken | {a.key} not in known]
        return replace(planned, proposals=(*planned.proposals, *(Proposal(action, TUNE) for action in fresh[:MOST_AT_ONCE])))


def tuned(parent: Solution, action: Action) -> tuple[SourceFile, ...] | None:
    """The parent's files with the constant changed; None where it isn't defined once and plainly."""
    name, _, value = action.parameter.partition("=")
    source = next((source for source in parent.sources if source.path == action.target), None)
    places = definitions_of(name, source.content) if source is not None and name and value else []
    if source is None or len(places) != 1:
        return None
    start, end = places[0].span(1)
    changed = source.model_copy(update={"content": source.content[:start] + value + source.content[end:]})
    return tuple(changed if old.path == source.path else old for old in parent.sources)
