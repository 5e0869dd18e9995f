"""From settings to everything a search needs, refusing bad input before anything is written or spent."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ksearch.briefing.brief import brief
from ksearch.coder.model.agent import AgentCoder, AgentPlanner
from ksearch.coder.model.coder import ModelCoder
from ksearch.coder.model.forms import EDIT, EDIT_SCHEMA, EDIT_TEXT, WRITE, WRITE_SCHEMA, WRITE_TEXT
from ksearch.coder.model.tuning import TuningPlanner
from ksearch.coder.playbook.coder import PlaybookCoder
from ksearch.coder.playbook.generic import GenericFamily
from ksearch.coder.playbook.registry import family_for, has_templates
from ksearch.coder.types import Coder, Draft, Target
from ksearch.definitions.catalog import load_definition, workloads_for
from ksearch.definitions.dataset import Dataset, read_dataset
from ksearch.definitions.regimes import stratified
from ksearch.definitions.schema import Definition, Language, Solution
from ksearch.definitions.selection import select_workloads
from ksearch.definitions.solutions import load_solution
from ksearch.devices import Device
from ksearch.errors import BadInput
from ksearch.evaluators.base import Evaluator
from ksearch.evaluators.places import device_at, evaluator_at, in_flight, price_note, usd_per_second
from ksearch.forecasting.choice import check_forecaster, choose_forecaster
from ksearch.jobs import JobFactory
from ksearch.judge.verdict import JudgedWorkload
from ksearch.llm.desk import Desk as ModelDesk
from ksearch.llm.oracle import ModelOracle
from ksearch.llm.setup import Choice, asker_of, choose, forecasts_with_model, model_of, price_text, rates_of
from ksearch.llm.types import Role, Tool
from ksearch.parts import Parts
from ksearch.root import REFERENCE_ORIGIN
from ksearch.settings import AGENT_POLICY, Settings
from ksearch.worldmodel.forms import PROPOSE, PROPOSE_SCHEMA, PROPOSE_TEXT
from ksearch.worldmodel.planner import ModelPlanner
from ksearch.worldmodel.playbook import PlaybookPlanner
from ksearch.worldmodel.types import Planner

DEVICE_LANGUAGES: dict[str, tuple[Language, ...]] = {"cpu": ("python", "cpp"), "cuda": ("cuda", "triton", "python")}

FORMS = (Tool(PROPOSE, PROPOSE_TEXT, PROPOSE_SCHEMA), Tool(WRITE, WRITE_TEXT, WRITE_SCHEMA), Tool(EDIT, EDIT_TEXT, EDIT_SCHEMA))
"""Every role gets all of them, in this order: tools stand first in a request, and a cached prefix begins with them."""

MODEL_PARALLEL = 4
"""Candidates in flight when a model writes them: an answer takes ten times as long as an evaluation."""

SUBSET_SEED = 0
"""The stratified subset must be the same for every run on a definition, or their rewards could not be compared."""


@dataclass(frozen=True)
class Setup:
    """What a run is about, resolved and checked. `notes` explains each choice in one line, for the user."""

    settings: Settings
    definition: Definition
    full: tuple[JudgedWorkload, ...]
    subset: tuple[JudgedWorkload, ...]
    baseline: Solution | None
    start: Solution | None
    device: Device
    target: Target
    notes: tuple[str, ...]

    @property
    def uses_models(self) -> bool:
        """Planner or coder do."""
        return "llm" in (self.settings.planner, self.settings.coder)

    @property
    def asks_models(self) -> bool:
        """Anybody does, the surrogate included."""
        return self.uses_models or forecasts_with_model(self.settings)

    @property
    def family_name(self) -> str:
        return family_for(self.definition, self.target).name


def prepare(settings: Settings) -> Setup:
    """Resolve and check everything that settings name. Raises BadInput; writes nothing."""
    choice = choose(settings)
    settings = choice.settings
    if (forecaster := choose_forecaster(settings).name) is not None:
        check_forecaster(forecaster)
    dataset = read_dataset(settings.dataset) if settings.dataset is not None else None
    definition = load_definition(settings.definition, dataset)
    device = device_at(settings)
    target = Target(device.kind, device.arch, languages_of(settings, device), threads=1)
    known = () if settings.workloads.endswith(".jsonl") else workloads_for(definition, "cpu" if device.kind == "cpu" else "cuda", dataset)
    full = select_workloads(definition, known, settings.workloads)
    subset = _subset(definition, full, settings.evaluation.workloads)
    if settings.baseline is not None:
        baseline: Solution | None = load_solution(settings.baseline, definition, "--baseline")
    else:
        baseline = dataset.best_solution(definition.name) if dataset is not None else None
    start = load_solution(settings.start, definition, "--start") if settings.start else None
    if start is not None and start.spec.language not in target.languages:
        raise BadInput(f"--start: written in {start.spec.language}, but this run allows {', '.join(target.languages)}")
    setup = Setup(settings, definition, full, subset, baseline, start, device, target, ())
    return _with_notes(setup, dataset, choice)


def languages_of(settings: Settings, device: Device) -> tuple[Language, ...]:
    possible = DEVICE_LANGUAGES[device.kind]
    if not settings.languages:
        return possible
    wrong = [language for language in settings.languages if language not in possible]
    if wrong:
        raise BadInput(f"--language {wrong[0]}: {device.spec} runs {', '.join(possible)}")
    return tuple(dict.fromkeys(settings.languages))


def _subset(definition: Definition, full: tuple[JudgedWorkload, ...], size: int) -> tuple[JudgedWorkload, ...]:
    """The stratified subset, each regime keeping the weight that it has in the full set."""
    chosen = {judged.workload.uuid for judged in stratified(definition, [judged.workload for judged in full], size, SUBSET_SEED)}
    members = [judged for judged in full if judged.workload.uuid in chosen]
    share: dict[str, float] = {}
    for judged in full:
        share[judged.regime] = share.get(judged.regime, 0.0) + judged.weight
    counts = dict(_regime_counts(tuple(members)))
    return tuple(judged.model_copy(update={"weight": share[judged.regime] / counts[judged.regime]}) for judged in members)


def _with_notes(setup: Setup, dataset: Dataset | None, choice: Choice) -> Setup:
    settings, family = setup.settings, family_for(setup.definition, setup.target)
    regimes = ", ".join(f"{count} {name}" for name, count in _regime_counts(setup.full))
    baseline = "the definition's reference" if setup.baseline is None else setup.baseline.name
    device_why = (
        "asked for" if settings.device != "auto" else "the first GPU found" if setup.device.kind == "cuda" else "no NVIDIA GPU here"
    )
    templates = f"{family.name}: {len(family.catalogue(setup.definition, setup.target).techniques)} techniques"
    if not has_templates(family):
        templates = "no templates for this definition: the search starts from its reference with generic techniques"
    price = price_note(settings)
    notes = (
        *_model_notes(choice),
        f"definition  {setup.definition.name}" + ("" if dataset is None else f" from {settings.dataset}"),
        f"device      {setup.device.spec}, {setup.device.name} ({device_why}); languages {', '.join(setup.target.languages)}",
        f"workloads   {len(setup.full)} ({regimes}); {len(setup.subset)} of them time each candidate, all of them a promotion",
        f"baseline    {baseline}",
        f"planner     {settings.planner}, coder {settings.coder} ({templates})",
        f"policy      {settings.policy}",
        f"surrogate   {choose_forecaster(settings).note}",
        f"evaluator   {settings.evaluator}, {parallel_of(setup)} candidates in flight" + ("" if price is None else f"; {price}"),
        f"budget      {budget_line(settings)}",
    )
    return Setup(settings, setup.definition, setup.full, setup.subset, setup.baseline, setup.start, setup.device, setup.target, notes)


def _model_notes(choice: Choice) -> tuple[str, ...]:
    """First of all, who is asked and what it may cost."""
    if not choice.asks_models:
        return ()
    settings, roles = choice.settings, (Role.PLANNER, Role.CODER)
    names = {role: model_of(settings.llm, role) for role in roles if getattr(settings, role) == "llm"}
    if settings.policy == AGENT_POLICY:
        names = {Role.AGENT: model_of(settings.llm, Role.AGENT)}
    if forecasts_with_model(settings):
        names[Role.SURROGATE] = model_of(settings.llm, Role.SURROGATE)
    lines = []
    for name in dict.fromkeys(names.values()):
        who = " and ".join(role for role in names if names[role] == name)
        reason = f"--surrogate {settings.surrogate}" if who == Role.SURROGATE else choice.reason
        lines.append(f"model       {name.short} as {who} ({reason}); {price_text(rates_of(name, settings.llm))}")
    stop = f"{settings.budget.max_usd:g} US dollars" if settings.budget.max_usd is not None else f"{settings.budget.max_tokens} tokens"
    return (*lines, f"stops       before a call that could pass {stop} (--max-usd, --max-tokens)")


def _regime_counts(workloads: tuple[JudgedWorkload, ...]) -> list[tuple[str, int]]:
    counts: dict[str, int] = {}
    for judged in workloads:
        counts[judged.regime] = counts.get(judged.regime, 0) + 1
    return sorted(counts.items(), key=lambda item: -item[1])


def budget_line(settings: Settings) -> str:
    names = {
        "max_evaluations": "evaluations",
        "max_gpu_seconds": "GPU-seconds",
        "max_usd": "US dollars",
        "max_tokens": "tokens",
        "max_time_s": "seconds",
    }
    limits = [f"{getattr(settings.budget, key):g} {unit}" for key, unit in names.items() if getattr(settings.budget, key) is not None]
    return ", ".join(limits) if limits else "no limit: stop it with Ctrl-C"


def parallel_of(setup: Setup) -> int:
    """Candidates in flight."""
    wanted = setup.settings.evaluation.parallel
    if setup.settings.policy == AGENT_POLICY:
        return 1  # a conversation waits for its answer
    least = MODEL_PARALLEL if setup.settings.coder == "llm" else 1
    return max(least, in_flight(setup.settings.evaluator, setup.device)) if wanted is None else wanted


def jobs_of(setup: Setup) -> JobFactory:
    root = setup.settings.dataset
    return JobFactory(
        definition=setup.definition,
        full=setup.full,
        subset=setup.subset,
        baseline=setup.baseline,
        device=setup.device.spec,
        target=setup.target,
        settings=setup.settings,
        dataset_root=None if root is None else str(Path(root).resolve()),
        usd_per_second=usd_per_second(setup.settings),
    )


def parts_of(
    setup: Setup, desk: ModelDesk | None = None, evaluator: Evaluator | None = None, run_folder: Path | None = None
) -> Parts:
    """Start what a search is made of; the caller closes `evaluator`. A `desk` of one's own may answer for models.

    `run_folder` is where an evaluator may keep what must outlive this process.
    """
    family = family_for(setup.definition, setup.target)
    planner: Planner = PlaybookPlanner(family.catalogue(setup.definition, setup.target))
    coder: Coder = PlaybookCoder(family)
    desk = desk or ModelDesk()
    if setup.uses_models:
        models = model_parts(setup, desk)
        coder = models.coder
        planner = models.planner if setup.settings.planner == "llm" else planner
    return Parts(
        models=desk if setup.asks_models else None,
        planner=planner,
        coder=coder,
        evaluator=evaluator or evaluator_at(setup.settings, setup.device, parallel_of(setup), run_folder),
        jobs=jobs_of(setup),
        roots=_roots(setup),
        parallel=parallel_of(setup),
    )


@dataclass(frozen=True)
class ModelParts:
    """Planner and coder that ask models, and the desk where their calls are booked."""

    desk: ModelDesk
    planner: Planner
    coder: Coder


def model_parts(setup: Setup, desk: ModelDesk | None = None) -> ModelParts:
    llm, desk = setup.settings.llm, desk or ModelDesk()
    text = brief(setup.definition, setup.full, setup.target, setup.device.name, setup.settings.objective)
    if setup.settings.policy == AGENT_POLICY:
        agent = ModelOracle(asker_of(llm, (Role.AGENT,), desk), Role.AGENT, text, FORMS)
        return ModelParts(desk, AgentPlanner(), AgentCoder(agent))
    asker = asker_of(llm, (Role.PLANNER, Role.CODER), desk)
    planning, writing = (ModelOracle(asker, role, text, FORMS) for role in (Role.PLANNER, Role.CODER))
    return ModelParts(desk, TuningPlanner(ModelPlanner(planning, llm.context_tokens)), ModelCoder(writing, llm.context_tokens))


def _roots(setup: Setup) -> tuple[Draft, ...]:
    """A start kernel alone; else the playbook's plainest, then the reference itself where Python may run."""
    if setup.start is not None:
        return (Draft(setup.start, "start"),)
    family, generic = family_for(setup.definition, setup.target), GenericFamily()
    drafts = [Draft(PlaybookCoder(family).root(setup.definition, setup.target), "playbook")] if has_templates(family) else []
    if generic.covers(setup.definition, setup.target):
        drafts.append(Draft(PlaybookCoder(generic).root(setup.definition, setup.target), REFERENCE_ORIGIN))
    if not drafts:
        raise BadInput(
            f"{setup.definition.name}: no templates in {', '.join(setup.target.languages)}, and without python its reference "
            "can't be the start; give --start SOLUTION or allow --language python"
        )
    return tuple(drafts)
