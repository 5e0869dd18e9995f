"""Anthropic's Messages API through its SDK, streaming. The SDK is imported when the first client is made.

The SDK's own retries are off: every attempt that may be billed is booked by the caller. A stable part of a prompt ends
in a cache breakpoint; tools stand before the system text and both before the messages, so requests of different roles
with equal tools and system text share their prefix.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ksearch.llm.retry import retry_after
from ksearch.llm.types import (
    Broken,
    Cancelled,
    Ending,
    Fatal,
    Message,
    Part,
    Provider,
    ProviderError,
    Reply,
    Request,
    Tool,
    ToolCall,
    Transient,
    Usage,
)

if TYPE_CHECKING:
    import anthropic

CONNECT_S = 15.0
NONE = Usage()
MOST_BREAKPOINTS = 4
"""The API refuses more in one request."""

ENDINGS = {"refusal": Ending.REFUSED, "max_tokens": Ending.TRUNCATED, "model_context_window_exceeded": Ending.TRUNCATED}


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds: `stall_s` without a byte (the API sends pings while a model thinks), `total_s` for a whole answer."""

    stall_s: float
    total_s: float


class AnthropicProvider:
    name = "anthropic"

    def __init__(self, key: str, patience: Patience, base_url: str | None = None, clock: Any = time.monotonic) -> None:
        import anthropic
        import httpx2

        self._key, self._patience, self._clock = key, patience, clock
        timeout = httpx2.Timeout(connect=CONNECT_S, read=patience.stall_s, write=patience.stall_s, pool=patience.total_s)
        self._client = anthropic.Anthropic(api_key=key, base_url=base_url, timeout=timeout, max_retries=0)

    def send(self, request: Request, cancel: threading.Event) -> Reply:
        import anthropic
        import httpx2

        answer = _Answer()
        try:
            stream = self._client.messages.create(**body_of(request))
            with stream:
                self._read(stream, answer, cancel)
        except anthropic.APIStatusError as error:
            raise self._status_error(error, answer) from None
        except anthropic.APIConnectionError as error:
            raise self._connection_error(error) from None
        except httpx2.HTTPError as error:
            raise Broken(self._clean(f"the answer broke off: {type(error).__name__}"), answer.known_usage) from None
        except anthropic.AnthropicError as error:
            raise Fatal(self._clean(str(error))) from None
        return answer.reply()

    def close(self) -> None:
        self._client.close()

    def _read(self, stream: Iterable[Any], answer: _Answer, cancel: threading.Event) -> None:
        deadline = self._clock() + self._patience.total_s
        for event in stream:
            answer.take(event)
            if cancel.is_set():
                raise Cancelled("the run is ending")
            if self._clock() > deadline:
                raise Broken(f"no whole answer within {self._patience.total_s:g} s", answer.known_usage)
        if not answer.finished:
            raise Broken("the answer broke off: the stream ended early", answer.known_usage)

    def _status_error(self, error: anthropic.APIStatusError, answer: _Answer) -> ProviderError:
        message = self._clean(f"HTTP {error.status_code} {error.type or ''}: {error.api_message or error.message}"[:600])
        if answer.started:
            return Broken(message, answer.known_usage)
        if error.status_code in (408, 409, 429) or error.status_code >= 500:
            return Transient(message, retry_after(error.response.headers.get("retry-after")))
        return Fatal(message)

    def _connection_error(self, error: anthropic.APIConnectionError) -> ProviderError:
        """Before the connection stood nothing was sent; after that nobody knows what the server did."""
        import httpx2

        cause = error.__cause__
        message = self._clean(f"{type(cause or error).__name__}: {cause or error}"[:300])
        unsent = isinstance(cause, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout)
        return Transient(message) if unsent else Broken(message, None)

    def _clean(self, text: str) -> str:
        return text.replace(self._key, "[key]")


def body_of(request: Request) -> dict[str, Any]:
    """The request as keyword arguments of `messages.create`."""
    room = _Room(MOST_BREAKPOINTS)
    body: dict[str, Any] = {
        "model": request.model,
        "max_tokens": request.max_output_tokens,
        "stream": True,
        "system": [_block(part, room) for part in request.system],
        "messages": [_message(message, room) for message in request.messages],
        **_thinking(request),
    }
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
        # Never forced: models that always think refuse a forced tool, and a changed choice would lose the cached messages.
        body["tool_choice"] = {"type": "auto"}
    return body


def _tool(tool: Tool) -> dict[str, Any]:
    return {"name": tool.name, "description": tool.description, "input_schema": dict(tool.schema), "strict": True}


@dataclass(slots=True)
class _Room:
    left: int


def _message(message: Message, room: _Room) -> dict[str, Any]:
    return {"role": message.role, "content": [_block(part, room) for part in message.parts]}


def _block(part: Part, room: _Room) -> dict[str, Any]:
    block: dict[str, Any] = {"type": "text", "text": part.text}
    if part.stable and room.left:
        room.left -= 1
        block["cache_control"] = {"type": "ephemeral"}
    return block


def _thinking(request: Request) -> Mapping[str, Any]:
    """Models up to 4.5 take a budget of thinking tokens, later ones decide for themselves and take an effort."""
    if request.effort is None or not request.model.startswith("claude"):
        return {}
    if "-4-5" in request.model:
        budget = request.max_output_tokens // 2
        return {"thinking": {"type": "enabled", "budget_tokens": budget}} if budget >= 1024 else {}
    return {"thinking": {"type": "adaptive"}, "output_config": {"effort": request.effort}}


@dataclass(slots=True)
class _Block:
    kind: str
    name: str = ""
    text: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Answer:
    """An answer as its events arrive. Thinking is not kept: it may be shown to nobody and costs its tokens all the same."""

    blocks: dict[int, _Block] = field(default_factory=dict)
    usage: Usage = NONE
    stop_reason: str | None = None
    started: bool = False
    finished: bool = False

    @property
    def known_usage(self) -> Usage | None:
        return self.usage if self.started else None

    def take(self, event: Any) -> None:
        match event.type:
            case "message_start":
                self.started, self.usage = True, _merged(self.usage, event.message.usage)
            case "content_block_start":
                block = event.content_block
                self.blocks[event.index] = _Block(block.type, getattr(block, "name", ""), [getattr(block, "text", "") or ""])
            case "content_block_delta":
                self._delta(event)
            case "message_delta":
                self.usage = _merged(self.usage, event.usage)
                self.stop_reason = event.delta.stop_reason
            case "message_stop":
                self.finished = True
            case _:
                pass

    def _delta(self, event: Any) -> None:
        piece = getattr(event.delta, "text", None) or getattr(event.delta, "partial_json", None)
        if piece and event.index in self.blocks:
            self.blocks[event.index].text.append(piece)

    def reply(self) -> Reply:
        text = "".join("".join(block.text) for block in self.blocks.values() if block.kind == "text")
        calls = tuple(ToolCall(block.name, "".join(block.text) or "{}") for block in self.blocks.values() if block.kind == "tool_use")
        return Reply(ENDINGS.get(self.stop_reason or "", Ending.COMPLETE), text, calls, self.usage)


def _merged(known: Usage, told: Any) -> Usage:
    """Counts in the stream are cumulative: a later one replaces an earlier one, an absent one leaves it."""

    def count(name: str, before: int) -> int:
        value = getattr(told, name, None)
        return before if value is None else int(value)

    return Usage(
        count("input_tokens", known.input), count("cache_read_input_tokens", known.cached),
        count("cache_creation_input_tokens", known.written), count("output_tokens", known.output),
    )  # fmt: skip


_: type[Provider] = AnthropicProvider
