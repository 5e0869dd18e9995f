"""What a language model is asked and what it answers, whichever provider it comes from.

A request is a value: its canonical JSON is what is stored, hashed, compared in a replay, and bounded before the call.
Nothing in it is a key, an address or a time.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Literal, Protocol, TypeAlias


class Role(StrEnum):
    """Who asks: spending is kept by role, and each may have a model of its own."""

    PLANNER = "planner"
    CODER = "coder"
    SURROGATE = "surrogate"
    AGENT = "agent"
    """The single conversation of `--policy single-agent`."""


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a prompt. After a `stable` one a provider that caches prefixes sets a breakpoint: what stands up to there comes again."""

    text: str
    stable: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    role: Literal["user", "assistant"]
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Tool:
    """A form for the answer: `schema` is a JSON Schema of which every property is required and no other allowed."""

    name: str
    description: str
    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """One call. `max_output_tokens` bounds what the model may write, its reasoning included."""

    model: str
    system: tuple[Part, ...]
    messages: tuple[Message, ...]
    tools: tuple[Tool, ...]
    max_output_tokens: int
    effort: str | None = None
    """How hard to think: low, medium, high ... as the provider understands it; None leaves it to the model."""

    def canonical(self) -> str:
        """Equal requests give equal text, unequal ones unequal text."""
        return json.dumps(asdict(self), ensure_ascii=False, sort_keys=True, separators=(",", ":"))

    def text(self) -> str:
        """Everything the model reads, for a person."""
        parts = [part.text for part in self.system]
        parts += [part.text for message in self.messages for part in message.parts]
        return "\n\n".join(parts)


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the provider counted them: each input token stands in exactly one of the first three."""

    input: int = 0
    """Neither read from the cache nor written to it."""
    cached: int = 0
    """Read from the cache."""
    written: int = 0
    """Written to the cache."""
    output: int = 0

    @property
    def total(self) -> int:
        return self.input + self.cached + self.written + self.output

    def __add__(self, other: Usage) -> Usage:
        return Usage(self.input + other.input, self.cached + other.cached, self.written + other.written, self.output + other.output)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """`arguments` is the JSON text as it came: whether it is JSON at all is for the reader to find out."""

    name: str
    arguments: str


class Ending(StrEnum):
    """How an answer ended."""

    COMPLETE = "complete"
    REFUSED = "refused"
    """The model, or a filter before it, declined."""
    TRUNCATED = "truncated"
    """It ran into a limit of tokens."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back and what it cost. `estimated`: the provider didn't count, the numbers are ours."""

    ending: Ending
    text: str
    calls: tuple[ToolCall, ...]
    usage: Usage
    estimated: bool = False


class ProviderError(Exception):
    """Base of what `send` raises. Messages never hold a key."""


class Transient(ProviderError):
    """Nothing was billed and the same request may succeed later: overload, rate limit, no connection."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Broken(ProviderError):
    """The answer broke off, or never came: it may have been billed, up to the bound, and nobody said how much.

    `usage`: what the provider had counted by then, if anything: its input counts hold, its output count is not the last.
    """

    def __init__(self, message: str, usage: Usage | None = None) -> None:
        super().__init__(message)
        self.usage = usage


class Fatal(ProviderError):
    """Asking again can't help: a rejected key, an unknown model, a request that the provider calls invalid."""


class Cancelled(ProviderError):
    """The run is ending; whoever asked doesn't wait any longer."""


class Provider(Protocol):
    """One endpoint. `send` blocks; it may be called from several threads at once."""

    @property
    def name(self) -> str: ...

    def send(self, request: Request, cancel: threading.Event) -> Reply:
        """Raises ProviderError. No retries of its own: each attempt is the caller's to book."""
        ...

    def close(self) -> None: ...


Effort: TypeAlias = Literal["low", "medium", "high", "xhigh", "max"]
