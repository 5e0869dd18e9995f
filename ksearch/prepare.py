"""From settings to everything a search needs, refusing bad input before anything is written or spent."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ksearch.coder.playbook.coder import PlaybookCoder
from ksearch.coder.playbook.generic import GenericFamily
from ksearch.coder.playbook.registry import family_for, has_templates
from ksearch.coder.types import Draft, Target
from ksearch.definitions.catalog import load_definition, workloads_for
from ksearch.definitions.dataset import Dataset, read_dataset
from ksearch.definitions.regimes import stratified
from ksearch.definitions.schema import Definition, Language, Solution
from ksearch.definitions.selection import select_workloads
from ksearch.definitions.solutions import load_solution
from ksearch.devices import Device
from ksearch.errors import BadInput
from ksearch.evaluators.places import IN_FLIGHT, device_at, evaluator_at, kind_of
from ksearch.forecasting.choice import check_forecaster, choose_forecaster
from ksearch.jobs import JobFactory
from ksearch.judge.verdict import JudgedWorkload
from ksearch.root import REFERENCE_ORIGIN
from ksearch.settings import Settings
from ksearch.steps import Parts
from ksearch.worldmodel.playbook import PlaybookPlanner

DEVICE_LANGUAGES: dict[str, tuple[Language, ...]] = {"cpu": ("python", "cpp"), "cuda": ("cuda", "triton", "python")}

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
    def family_name(self) -> str:
        return family_for(self.definition, self.target).name


def prepare(settings: Settings) -> Setup:
    """Resolve and check everything that settings name. Raises BadInput; writes nothing."""
    if (forecaster := choose_forecaster(settings).name) is not None:
        check_forecaster(forecaster)
    dataset = read_dataset(settings.dataset) if settings.dataset is not None else None
    definition = load_definition(settings.definition, dataset)
    device = device_at(settings.evaluator, settings.device)
    target = Target(device.kind, device.arch, _languages(settings, device), threads=1)
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
    return _with_notes(setup, dataset)


def _languages(settings: Settings, device: Device) -> tuple[Language, ...]:
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


def _with_notes(setup: Setup, dataset: Dataset | None) -> Setup:
    settings, family = setup.settings, family_for(setup.definition, setup.target)
    regimes = ", ".join(f"{count} {name}" for name, count in _regime_counts(setup.full))
    baseline = "the definition's reference" if setup.baseline is None else setup.baseline.name
    device_why = (
        "asked for" if settings.device != "auto" else "the first GPU found" if setup.device.kind == "cuda" else "no NVIDIA GPU here"
    )
    templates = f"{family.name}: {len(family.catalogue(setup.definition, setup.target).techniques)} techniques"
    if not has_templates(family):
        templates = "no templates for this definition: the search starts from its reference with generic techniques"
    notes = (
        f"definition  {setup.definition.name}" + ("" if dataset is None else f" from {settings.dataset}"),
        f"device      {setup.device.spec}, {setup.device.name} ({device_why}); languages {', '.join(setup.target.languages)}",
        f"workloads   {len(setup.full)} ({regimes}); {len(setup.subset)} of them time each candidate, all of them a promotion",
        f"baseline    {baseline}",
        f"planner     playbook ({templates})",
        f"policy      {settings.policy}",
        f"surrogate   {choose_forecaster(settings).note}",
        f"evaluator   {settings.evaluator}, {parallel_of(setup)} candidates in flight",
        f"budget      {budget_line(settings)}",
    )
    return Setup(settings, setup.definition, setup.full, setup.subset, setup.baseline, setup.start, setup.device, setup.target, notes)


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
    return IN_FLIGHT[kind_of(setup.settings.evaluator)] if wanted is None else wanted


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
    )


def parts_of(setup: Setup) -> Parts:
    """Start what a search is made of; the caller closes `evaluator`."""
    family = family_for(setup.definition, setup.target)
    return Parts(
        planner=PlaybookPlanner(family.catalogue(setup.definition, setup.target)),
        coder=PlaybookCoder(family),
        evaluator=evaluator_at(setup.settings, setup.device, parallel_of(setup)),
        jobs=jobs_of(setup),
        roots=_roots(setup),
        parallel=parallel_of(setup),
    )


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
