"""How a model is named in settings: PROVIDER:MODEL, a Claude model's bare name, or command:PROGRAM."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ksearch.errors import BadInput

ProviderName: TypeAlias = Literal["anthropic", "openai", "command"]
PROVIDERS: tuple[ProviderName, ...] = ("anthropic", "openai", "command")
KEY_VARIABLES: dict[ProviderName, str] = {"anthropic": "ANTHROPIC_API_KEY", "openai": "OPENAI_API_KEY"}


@dataclass(frozen=True, slots=True)
class ModelName:
    provider: ProviderName
    model: str

    def __str__(self) -> str:
        return f"{self.provider}:{self.model}"

    @property
    def short(self) -> str:
        """For a line of text: a command line may be long."""
        return self.model if len(self.model) <= 60 else self.model[:57] + "..."


def parse_model(text: str) -> ModelName:
    """Raises BadInput naming the forms there are."""
    head, colon, rest = text.partition(":")
    for provider in PROVIDERS:
        if colon and head == provider and rest.strip():
            return ModelName(provider, _command(rest) if provider == "command" else rest.strip())
    if not colon and text.startswith("claude-"):
        return ModelName("anthropic", text)
    forms = "anthropic:MODEL, openai:MODEL (with llm.openai_url for another endpoint) or command:PROGRAM ARGUMENTS"
    raise BadInput(f"model {text!r}: write {forms}")


def _command(text: str) -> str:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise BadInput(f"model command:{text}: {error}") from None
    if not words:
        raise BadInput("model command: names no program")
    return text.strip()
