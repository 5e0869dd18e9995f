"""The coder that needs no language model: it renders a plan's configuration from a family's templates."""

from __future__ import annotations

from dataclasses import dataclass

from ksearch.coder.playbook.mechanism import Family, Rendering, fallbacks_of
from ksearch.coder.types import Draft, NothingToWrite, Target, WriteRequest
from ksearch.definitions.schema import BuildSpec, Definition, Solution, SourceFile
from ksearch.tree.types import Plan, WriteMode
from ksearch.worldmodel.catalogue import Catalogue, Config, IllegalPlan, Value

AUTHOR = "ksearch playbook"


@dataclass(frozen=True)
class PlaybookCoder:
    """Writes the one kernel a plan stands for; a repair varies what the plan leaves open."""

    family: Family
    name: str = "playbook"

    def write(self, request: WriteRequest) -> Draft | NothingToWrite:
        """Raises IllegalPlan when the plan is not one of this family's (a refinement excepted: templates have none)."""
        if request.mode is WriteMode.REFINE:
            return NothingToWrite("templates give one kernel for each plan: there is nothing to refine")
        catalogue = self.family.catalogue(request.definition, request.target)
        config = catalogue.config(request.plan)
        if request.mode is WriteMode.REPAIR:
            return self._repair(request, catalogue, config)
        return self._draft(request, config)

    def root(self, definition: Definition, target: Target) -> Solution:
        """The plainest kernel: the root of the tree."""
        config = self.family.catalogue(definition, target).defaults
        return _solution(definition, target, self.family.render(definition, target, config), "plainest kernel")

    def _repair(self, request: WriteRequest, catalogue: Catalogue, config: Config) -> Draft | NothingToWrite:
        """The failed code can't pass, so the attempt number picks among the variants that differ from it."""
        stage = request.verdict.stage if request.verdict else None
        keeps = dict(_last_settings(catalogue, request.plan))
        variants = [
            other for other in fallbacks_of(self.family, config, stage)
            if all(other[name] == value for name, value in keeps.items())
        ]
        tried = {self._draft(request, config).solution.digest}
        for other in variants[max(0, request.attempt - 2):]:
            draft = self._draft(request, other)
            if draft.solution.digest not in tried | ({request.previous.digest} if request.previous else set()):
                return draft
        return NothingToWrite(f"{self.family.name} has no other code for this plan")

    def _draft(self, request: WriteRequest, config: Config) -> Draft:
        rendering = self.family.render(request.definition, request.target, config)
        return Draft(_solution(request.definition, request.target, rendering, _describe(request.plan)), self.name)


def _last_settings(catalogue: Catalogue, plan: Plan) -> Config:
    """What the plan's last step set: a variant that changes it would no longer be this plan."""
    settings: dict[str, Value] = {}
    for step in plan[-1].steps if plan else ():
        if step not in catalogue.by_key:
            raise IllegalPlan(f"{catalogue.name}: unknown action {step}")
        settings |= catalogue.by_key[step].sets
    return settings


def _describe(plan: Plan) -> str:
    return "\n".join(f"{action.key}: {action.intent}" for action in plan) or "plainest kernel"


def _solution(definition: Definition, target: Target, rendering: Rendering, description: str) -> Solution:
    spec = BuildSpec(
        language=rendering.language, target_hardware=(target.device,), entry_point=rendering.entry_point,
        dependencies=rendering.dependencies, destination_passing_style=True, binding=rendering.binding,
    )
    sources = tuple(SourceFile(path=path, content=text) for path, text in rendering.sources)
    solution = Solution(
        name="unnamed", definition=definition.name, author=AUTHOR, spec=spec, sources=sources, description=description,
    )
    # Unique by content: flashinfer-bench loads code by solution name, so two kernels must never share one.
    return solution.model_copy(update={"name": f"ksearch_{definition.name}_{solution.digest[:16]}"})
