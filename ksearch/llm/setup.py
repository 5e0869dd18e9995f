"""From settings to connections: which model each role asks, whether its key is there, what it costs."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from ksearch.errors import BadInput
from ksearch.llm.anthropic_api import AnthropicProvider, Patience
from ksearch.llm.asker import Asker, Line
from ksearch.llm.command import CommandProvider
from ksearch.llm.desk import Desk
from ksearch.llm.names import KEY_VARIABLES, ModelName, parse_model
from ksearch.llm.openai_api import OpenAIProvider
from ksearch.llm.prices import FREE, Price, price_of
from ksearch.llm.retry import Backoff
from ksearch.llm.types import Provider, Role
from ksearch.settings import LlmSettings, Settings

DEFAULT_USD = 5.0
"""Where the user named no limit of dollars or tokens, a search with a paid model stops before this."""

FORECAST_MODEL = "anthropic:claude-haiku-5-5"
"""Forecasts are many and small: the cheapest model of the provider that plans and writes, unless the user names another."""

FORECAST_TOKENS = 8_000
"""Longest forecast, reasoning included: each call reserves it from the budget, and four candidates need some 400 tokens."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Who plans and who writes, resolved, with the settings that say so and the reason for a person.

    `uses_models`: planner or coder ask models; the surrogate may ask one besides."""

    settings: Settings
    uses_models: bool
    reason: str = ""

    @property
    def asks_models(self) -> bool:
        return self.uses_models or forecasts_with_model(self.settings)


def choose(settings: Settings, environ: Mapping[str, str] = os.environ) -> Choice:
    """Resolve `planner` and `coder`. Raises BadInput where what they need is missing, a price included."""
    if forecasts_with_model(settings):
        check(model_of(settings.llm, Role.SURROGATE), settings.llm, environ, instead="--surrogate statistical")
    name = parse_model(settings.llm.model)
    if settings.policy == "single-agent":
        check(model_of(settings.llm, Role.AGENT), settings.llm, environ)
        agent = settings.model_copy(update={"planner": "llm", "coder": "llm"})
        return Choice(_with_limit(agent), uses_models=True, reason="--policy single-agent")
    planner, reason = settings.planner, "asked for"
    if planner == "auto":
        key = key_variable(name, settings.llm)
        found = name.provider == "anthropic" and key is not None and bool(environ.get(key, "").strip())
        planner, reason = ("llm", f"{key} is set") if found and settings.coder != "playbook" else ("playbook", "no key is set")
    coder = planner if settings.coder == "auto" else settings.coder
    if planner == "llm" and coder == "playbook":
        raise BadInput("--planner llm --coder playbook: templates can't write what a model thinks of; use --coder llm")
    resolved = settings.model_copy(update={"planner": planner, "coder": coder})
    if "llm" not in (planner, coder):
        return Choice(_with_limit(resolved) if forecasts_with_model(resolved) else resolved, uses_models=False)
    for role in (Role.PLANNER, Role.CODER):
        check(model_of(resolved.llm, role), resolved.llm, environ)
    return Choice(_with_limit(resolved), uses_models=True, reason=reason)


def _with_limit(settings: Settings) -> Settings:
    budget = settings.budget
    if budget.max_usd is not None or budget.max_tokens is not None:
        return settings
    return settings.model_copy(update={"budget": budget.model_copy(update={"max_usd": DEFAULT_USD})})


def forecasts_with_model(settings: Settings) -> bool:
    """Whether the surrogate asks a language model; an ensemble does when one is named for it."""
    named = settings.surrogate == "ensemble" and settings.llm.surrogate_model is not None
    return (settings.surrogate == "llm" or named) and settings.surrogate_budget != 0


def model_of(llm: LlmSettings, role: Role) -> ModelName:
    cheap = FORECAST_MODEL if parse_model(llm.model).provider == "anthropic" else None
    own = {
        Role.PLANNER: llm.planner_model, Role.CODER: llm.coder_model, Role.AGENT: llm.coder_model,
        Role.SURROGATE: llm.surrogate_model or cheap,
    }  # fmt: skip
    return parse_model(own[role] or llm.model)


def key_variable(name: ModelName, llm: LlmSettings) -> str | None:
    """The environment variable with a model's key; None for a program, which has its own."""
    return None if name.provider == "command" else llm.key_variable or KEY_VARIABLES[name.provider]


def check(name: ModelName, llm: LlmSettings, environ: Mapping[str, str], instead: str = "--planner playbook") -> None:
    """Raises BadInput for a model without price or key, before anything is spent; `instead` is a way out that needs none."""
    rates_of(name, llm)
    variable = key_variable(name, llm)
    optional = name.provider == "openai" and llm.openai_url is not None
    if variable is not None and not optional and not environ.get(variable, "").strip():
        raise BadInput(f"model {name}: the environment variable {variable} is not set; set it, or use {instead}")


def rates_of(name: ModelName, llm: LlmSettings) -> Price:
    if name.provider == "command":
        return llm.prices.get(name.model, FREE)
    return price_of(name.model, llm.prices)


def provider_of(name: ModelName, llm: LlmSettings, environ: Mapping[str, str] = os.environ) -> Provider:
    variable = key_variable(name, llm)
    key = environ.get(variable, "").strip() if variable is not None else ""
    if name.provider == "anthropic":
        return AnthropicProvider(key or "absent", Patience(llm.stall_s, llm.timeout_s), llm.anthropic_url)
    if name.provider == "openai":
        return OpenAIProvider(key or None, llm.timeout_s, llm.openai_url)
    return CommandProvider(name.model, llm.timeout_s)


def asker_of(llm: LlmSettings, roles: tuple[Role, ...], desk: Desk, environ: Mapping[str, str] = os.environ) -> Asker:
    """Connections for these roles; roles with equal models share one. Without a key they are made all the same: a desk that answers
    from a record needs none."""
    providers: dict[ModelName, Provider] = {}
    lines: dict[Role, Line] = {}
    for role in roles:
        name = model_of(llm, role)
        if name not in providers:
            providers[name] = provider_of(name, llm, environ)
        longest = min(FORECAST_TOKENS, llm.max_output_tokens) if role is Role.SURROGATE else llm.max_output_tokens
        lines[role] = Line(name, providers[name], rates_of(name, llm), longest, llm.effort)
    return Asker(lines, desk, Backoff(llm.tries, llm.backoff_s), threading.Semaphore(llm.concurrency))


def price_text(price: Price) -> str:
    """For a person: dollars for a million tokens."""

    def plain(rate: Decimal) -> str:
        return f"{rate.normalize():f}"

    if price == FREE:
        return "not billed by ksearch"
    return f"{plain(price.input)} US dollars in, {plain(price.output)} out for a million tokens"
