"""Settings of a run: one typed model, filled from a preset or file, then `--set key=value`, then flags.

Unknown keys are refused. Presets are the YAML files of `configs/`, read as package data.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from ksearch.errors import BadInput
from ksearch.llm.prices import Price
from ksearch.llm.types import Effort

Overlay: TypeAlias = Mapping[str, Any]
"""Nested plain values as YAML gives them, before validation."""

PRESETS = "ksearch.configs"

AGENT_POLICY = "single-agent"
"""The one policy without a tree of plans: a conversation, whose turns are arms of the root."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class BudgetSettings(_Model):
    """Hard stops. None is no limit."""

    max_evaluations: Annotated[int, Field(ge=0)] | None = None
    max_gpu_seconds: Annotated[float, Field(ge=0)] | None = None
    max_usd: Annotated[float, Field(ge=0)] | None = None
    max_tokens: Annotated[int, Field(ge=0)] | None = None
    max_time_s: Annotated[float, Field(ge=0)] | None = None


class EvaluationSettings(_Model):
    """How candidates are judged."""

    workloads: Annotated[int, Field(ge=1)] = 12
    """Size of the stratified subset that an ordinary evaluation times, one of each regime at least; promotion takes the full set."""
    timed_calls: Annotated[int, Field(ge=3)] = 20
    """Timed calls for each workload; the median counts."""
    timeout_s: Annotated[float, Field(gt=0)] = 60.0
    """Longest that one candidate may take on one workload, all its calls together."""
    compile_s: Annotated[float, Field(gt=0)] = 300.0
    total_s: Annotated[float, Field(gt=0)] = 900.0
    """Longest that one evaluation may take, promotion included; reserved from the GPU budget while it runs."""
    parallel: Annotated[int, Field(ge=1, le=256)] | None = None
    """Candidates in flight (written, compiling or waiting for the device). None: 2; 8 with a bundle, 4 at Modal, one more than a Ray
    cluster has devices."""
    fake_delay_s: Annotated[float, Field(ge=0)] = 0.0
    """Seconds that the fake evaluator takes for each answer (`--evaluator fake` only)."""
    unsafe_runner: bool = False
    """Run candidates even where no isolation layer is available."""


class LlmSettings(_Model):
    """Language models that plan and write. Keys are never settings: they are read from the environment."""

    model: str = "anthropic:claude-opus-5-5"
    """anthropic:MODEL, openai:MODEL (any endpoint that speaks its chat completions) or command:PROGRAM ARGUMENTS."""
    planner_model: str | None = None
    """None, here and for the other roles: `model`."""
    coder_model: str | None = None
    surrogate_model: str | None = None
    """Who forecasts with `surrogate: llm`, or as one more member with `surrogate: ensemble`. None: claude-haiku-5-5 where `model` is
    Anthropic's, else `model`; an ensemble then has no such member."""
    effort: Effort | None = "medium"
    """How hard to think, for models that take it. None leaves it to the model."""
    max_output_tokens: Annotated[int, Field(ge=256, le=128_000)] = 24_000
    """Longest answer, reasoning included; each call reserves it from the budget."""
    context_tokens: Annotated[int, Field(ge=500)] = 3_000
    """What a question says of the search, the kernel and the fixed instructions aside."""
    anthropic_url: str | None = None
    openai_url: str | None = None
    key_variable: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*_(API_KEY|TOKEN|SECRET)$")] | None = None
    """Environment variable with the key. None: ANTHROPIC_API_KEY or OPENAI_API_KEY. Its name says that it is secret, so that no log,
    error or candidate gets to see its value."""
    prices: Mapping[str, Price] = Field(default_factory=dict)
    """US dollars for a million tokens of models that the shipped table doesn't know, or at other prices: input, cached, written, output."""
    concurrency: Annotated[int, Field(ge=1, le=64)] = 4
    """Calls in flight."""
    tries: Annotated[int, Field(ge=1, le=100)] = 8
    """Attempts before a provider that doesn't answer ends the run (it can be resumed)."""
    backoff_s: Annotated[float, Field(ge=0)] = 1.0
    """Waits between attempts start at up to this and double."""
    stall_s: Annotated[float, Field(gt=0)] = 180.0
    """Longest silence of a streaming connection."""
    timeout_s: Annotated[float, Field(gt=0)] = 900.0
    """Longest time for a whole answer."""


class ModalSettings(_Model):
    """Machines rented at Modal (`--evaluator modal`)."""

    gpu: str = "B200"
    """One GPU as Modal names it; `modal:GPU` as the evaluator says the same."""
    usd_per_second: Annotated[float, Field(ge=0)] | None = None
    """US dollars for a second of a container. None: the shipped table of Modal's prices."""


PLACES = "local, fake, command:PROGRAM ..., bundle:FOLDER, modal, modal:GPU, ray or ray:ADDRESS"


def _names_a_place(text: str) -> str:
    kind, colon, where = text.partition(":")
    needs, may = ("command", "bundle"), ("modal", "ray")
    if kind in ("local", "fake") and not colon:
        return text
    if (kind in needs or kind in may) and (where.strip() or (kind in may and not colon)):
        return text
    if kind in (*needs, *may):
        raise ValueError(f"{kind}: names nothing after the colon; it is one of {PLACES}")
    raise ValueError(f"is one of {PLACES}")


class Settings(_Model):
    """Everything that decides how a search goes. Stored with the run."""

    definition: str
    dataset: Path | None = None
    start: Path | None = None
    baseline: Path | None = None
    workloads: str = "all"
    objective: Literal["mean", "geomean"] = "mean"
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")] = "auto"
    languages: tuple[Literal["python", "triton", "cuda", "cpp"], ...] = ()
    """Allowed languages; empty means every language that the device runs."""
    allow_libraries: bool = False
    planner: Literal["auto", "playbook", "llm"] = "auto"
    """auto: llm where the key of `llm.model` is set, else the playbook."""
    coder: Literal["auto", "playbook", "llm"] = "auto"
    """auto: as the planner."""
    world_model: bool = True
    """False: planner and coder see the tree around them, but no lessons, beliefs or outcomes elsewhere (for comparisons)."""
    memory: bool = True
    """False: a planner that asks a model is told nothing of earlier runs, and this run is not remembered."""
    merge: bool = True
    """False: no step may bring in the gains of another branch (for comparisons)."""
    policy: Literal["puct", "puct-mean", "flat", "greedy", "evolution", "best-of-n", "random", "single-agent"] = "puct"
    """`single-agent` is no tree: one conversation with a model that rewrites its best kernel, to compare with."""
    surrogate: Literal["auto", "none", "neighbours", "statistical", "llm", "ensemble"] = "auto"
    """Who forecasts candidates. auto: statistical where scikit-learn is installed, else neighbours."""
    surrogate_budget: Literal["auto"] | Annotated[float, Field(ge=0, lt=1)] = "auto"
    """Share of written candidates that may go unmeasured once the forecaster is trusted; 0 measures all of them."""
    stop_above_floor: Annotated[float, Field(ge=0, le=1)] | None = 0.03
    """Stop when the incumbent is at most this share above what the hardware allows (docs/profiling.md). None: search on."""
    evaluator: Annotated[str, AfterValidator(_names_a_place)] = "local"
    """'local', 'fake', 'command:PROGRAM ARGUMENTS' (a judge that speaks JSON lines), 'bundle:FOLDER', 'modal', 'modal:GPU', 'ray' (the
    cluster that this machine belongs to, or this machine alone) or 'ray:ADDRESS'."""
    seed: int = 0
    budget: BudgetSettings = BudgetSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    llm: LlmSettings = LlmSettings()
    modal: ModalSettings = ModalSettings()


def preset_names() -> tuple[str, ...]:
    return tuple(sorted(entry.name.removesuffix(".yaml") for entry in resources.files(PRESETS).iterdir() if entry.name.endswith(".yaml")))


def load_overlay(preset_or_file: str) -> Overlay:
    """Read a preset by name or a YAML file by path. Raises BadInput naming the file and what is wrong."""
    if preset_or_file in preset_names():
        text, place = (resources.files(PRESETS) / f"{preset_or_file}.yaml").read_text("utf-8"), f"preset {preset_or_file}"
    else:
        path = Path(preset_or_file)
        if not path.is_file():
            raise BadInput(f"--config {preset_or_file}: neither a preset ({', '.join(preset_names())}) nor a file")
        text, place = path.read_text("utf-8"), str(path)
    return _parse_yaml_mapping(text, place)


def _parse_yaml_mapping(text: str, place: str) -> Overlay:
    import yaml

    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise BadInput(f"{place}: not valid YAML: {error}".replace("\n", " ")) from error
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise BadInput(f"{place}: must be a mapping of setting names to values")
    return value


def parse_assignment(text: str) -> Overlay:
    """`a.b=value` as an overlay; the value is read as YAML (so 3 is a number, [a, b] a list)."""
    name, separator, raw = text.partition("=")
    if not separator or not name.strip():
        raise BadInput(f"--set {text}: must read key=value, for example evaluation.timed_calls=10")
    value = _parse_yaml_mapping(f"value: {raw}", f"--set {text}").get("value")
    overlay: Overlay = {name.strip().split(".")[-1]: value}
    for part in reversed(name.strip().split(".")[:-1]):
        overlay = {part: overlay}
    return overlay


def merge(overlays: Iterable[Overlay]) -> Overlay:
    """Later overlays win, mapping by mapping."""
    result: dict[str, Any] = {}
    for overlay in overlays:
        for key, value in overlay.items():
            old = result.get(key)
            result[key] = merge((old, value)) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return result


def resolve(overlays: Iterable[Overlay]) -> Settings:
    """Validate the merged overlays. Raises BadInput naming each wrong setting."""
    try:
        return Settings.model_validate(merge(overlays))
    except ValidationError as error:
        raise BadInput("; ".join(_explain(dict(item)) for item in error.errors())) from error


def _explain(item: Mapping[str, Any]) -> str:
    name = ".".join(part for part in item["loc"] if isinstance(part, str))
    if item["type"] == "extra_forbidden":
        return f"unknown setting {name}{_suggest(name)}"
    if item["type"] == "string_pattern_mismatch" and name in _FORMS:
        return f"setting {name}: must be {_FORMS[name]} (got {item['input']!r})"
    what = item["msg"].removeprefix("Value error, ").replace("Input should", "must")
    return f"setting {name}: {what} (got {item['input']!r})"


_FORMS = {
    "device": "auto, cpu, cuda or cuda:N",
    "llm.key_variable": "the name of an environment variable that ends in _API_KEY, _TOKEN or _SECRET",
}
"""What a person may write where a pattern would say less."""


def _suggest(name: str) -> str:
    import difflib

    close = difflib.get_close_matches(name, all_keys(), n=1, cutoff=0.4)
    return f" (did you mean {close[0]}?)" if close else f" (known: {', '.join(all_keys())})"


def all_keys() -> tuple[str, ...]:
    """Every setting's dotted name."""
    nested: dict[str, type[BaseModel]] = {
        "budget": BudgetSettings, "evaluation": EvaluationSettings, "llm": LlmSettings, "modal": ModalSettings,
    }  # fmt: skip
    names: list[str] = []
    for name in Settings.model_fields:
        names += [f"{name}.{inner}" for inner in nested[name].model_fields] if name in nested else [name]
    return tuple(names)
