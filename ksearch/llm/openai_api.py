"""Any endpoint that speaks OpenAI's chat completions: plain HTTP, one request, one answer.

Not streamed: servers differ in what they count while streaming, and a bound on the whole answer is all that is needed.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, ValidationError

from ksearch.llm.retry import retry_after
from ksearch.llm.types import Broken, Ending, Fatal, Message, Provider, Reply, Request, Tool, ToolCall, Transient, Usage

DEFAULT_URL = "https://api.openai.com/v1"
CONNECT_S = 15.0
ENDINGS = {"length": Ending.TRUNCATED, "content_filter": Ending.REFUSED}


class _Said(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Function(_Said):
    name: str
    arguments: str


class _Call(_Said):
    function: _Function


class _Message(_Said):
    content: str | None = None
    refusal: str | None = None
    tool_calls: tuple[_Call, ...] | None = None


class _Choice(_Said):
    message: _Message
    finish_reason: str | None = None


class _Details(_Said):
    cached_tokens: int | None = None


class _Usage(_Said):
    prompt_tokens: int
    completion_tokens: int
    prompt_tokens_details: _Details | None = None


class _Completion(_Said):
    choices: tuple[_Choice, ...]
    usage: _Usage | None = None


class OpenAIProvider:
    name = "openai"

    def __init__(self, key: str | None, total_s: float, base_url: str | None = None) -> None:
        import httpx2

        self._key, self._url = key, (base_url or DEFAULT_URL).rstrip("/")
        timeout = httpx2.Timeout(connect=CONNECT_S, read=total_s, write=total_s, pool=total_s)
        self._client = httpx2.Client(timeout=timeout, headers={"authorization": f"Bearer {key}"} if key else {})

    def send(self, request: Request, cancel: threading.Event) -> Reply:
        import httpx2

        try:
            response = self._client.post(f"{self._url}/chat/completions", json=self._body(request))
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as error:
            raise Transient(self._clean(f"{type(error).__name__}: {error}")) from None
        except httpx2.HTTPError as error:
            raise Broken(self._clean(f"the answer broke off: {type(error).__name__}")) from None
        if response.status_code != 200:
            raise self._refused(response.status_code, response.text, response.headers.get("retry-after"))
        return self._reply(response.text, request)

    def close(self) -> None:
        self._client.close()

    def _body(self, request: Request) -> dict[str, Any]:
        messages = [{"role": "system", "content": "\n\n".join(part.text for part in request.system)}, *map(_message, request.messages)]
        # OpenAI's own endpoint knows only the newer name, most others only the older one.
        limit = "max_completion_tokens" if (urlsplit(self._url).hostname or "").endswith("openai.com") else "max_tokens"
        body: dict[str, Any] = {"model": request.model, "messages": messages, limit: request.max_output_tokens}
        if request.effort is not None:
            body["reasoning_effort"] = request.effort
        if request.tools:
            body["tools"] = [_tool(tool) for tool in request.tools]
        return body

    def _refused(self, status: int, body: str, after: str | None) -> Transient | Fatal:
        message = self._clean(f"HTTP {status}: {body[:400]}")
        return Transient(message, retry_after(after)) if status in (408, 409, 429) or status >= 500 else Fatal(message)

    def _reply(self, body: str, request: Request) -> Reply:
        try:
            completion = _Completion.model_validate_json(body)
            choice = completion.choices[0]
        except (ValidationError, IndexError):
            raise Broken(self._clean(f"the endpoint answered something that is no completion: {body[:200]!r}")) from None
        calls = tuple(ToolCall(call.function.name, call.function.arguments) for call in choice.message.tool_calls or ())
        ending = Ending.REFUSED if choice.message.refusal else ENDINGS.get(choice.finish_reason or "", Ending.COMPLETE)
        text = choice.message.content or choice.message.refusal or ""
        if completion.usage is None:
            return Reply(ending, text, calls, estimated_usage(request, text + "".join(call.arguments for call in calls)), estimated=True)
        return Reply(ending, text, calls, _usage(completion.usage))

    def _clean(self, text: str) -> str:
        return text.replace(self._key, "[key]") if self._key else text


def _tool(tool: Tool) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": dict(tool.schema), "strict": True}
    return {"type": "function", "function": function}


def _message(message: Message) -> Mapping[str, str]:
    return {"role": message.role, "content": "\n\n".join(part.text for part in message.parts)}


def _usage(told: _Usage) -> Usage:
    cached = (told.prompt_tokens_details.cached_tokens if told.prompt_tokens_details else None) or 0
    return Usage(input=max(0, told.prompt_tokens - cached), cached=cached, output=told.completion_tokens)


def estimated_usage(request: Request, answer: str) -> Usage:
    """For a provider that doesn't count: four characters to a token, a common rule for English and code."""
    prompt = len(request.text()) + sum(len(json.dumps(dict(tool.schema))) for tool in request.tools)
    return Usage(input=-(-prompt // 4), output=-(-len(answer) // 4))


_: type[Provider] = OpenAIProvider
