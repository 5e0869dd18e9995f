"""A loopback server that speaks the Messages API to the real SDK: it streams, counts, caches prefixes, and fails on demand.

Tokens are characters over four. Prefix caching follows the published rules: breakpoints, a minimum of 1,024 tokens, a life
of five minutes renewed by every hit, tools before system before messages.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

LEAST_CACHED = 1024
LIFE_S = 300.0

Body = dict[str, Any]


@dataclass
class Served:
    """What the server counted, by its own book."""

    input: int = 0
    cached: int = 0
    written: int = 0
    output: int = 0
    calls: int = 0
    broken: int = 0
    bodies: list[Body] = field(default_factory=list)

    @property
    def total(self) -> int:
        return self.input + self.cached + self.written + self.output


@dataclass(frozen=True)
class Say:
    """An answer: content blocks, and how it ends. `cut`: drop the connection after so many events; `stall`: say nothing more."""

    content: list[dict[str, Any]]
    stop_reason: str | None = None
    cut: int | None = None
    stall_s: float = 0.0


@dataclass(frozen=True)
class Error:
    status: int
    type: str = "api_error"
    retry_after: str | None = None


Brain = Callable[[Body], Say | Error]


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


def tool(name: str, arguments: Any) -> dict[str, Any]:
    """`arguments` may be a text, which is streamed as it is: half JSON, for example."""
    return {"type": "tool_use", "name": name, "arguments": arguments if isinstance(arguments, str) else json.dumps(arguments)}


def prompt_of(body: Body) -> str:
    return "\n".join(block["text"] for message in body["messages"] for block in message["content"])


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, brain: Brain) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.brain, self.served, self.lock = brain, Served(), threading.Lock()
        self.cache: dict[str, float] = {}
        self.clock: Callable[[], float] = time.monotonic
        self.keys: set[str] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is part of the trial."""

    def count(self, body: Body) -> tuple[int, int, int]:
        """(input, cached, written) tokens of a request; the cache is brought up to date."""
        now = self.clock()
        read = written = total = 0
        for prefix, size, breakpoint in _prefixes(body):
            total = size
            if not breakpoint or size < LEAST_CACHED:
                continue
            if self.cache.get(prefix, 0.0) > now:
                read = size
            else:
                written = size
            self.cache[prefix] = now + LIFE_S
        return total - max(read, written), read, max(0, written - read)


def _prefixes(body: Body) -> Iterator[tuple[str, int, bool]]:
    """(everything up to here, its tokens, whether a breakpoint stands here), in the order in which the API reads a request."""
    blocks = [(json.dumps(body.get("tools", [])) + json.dumps(body.get("tool_choice")), False)]
    blocks += [(block["text"], "cache_control" in block) for block in body.get("system", [])]
    for message in body["messages"]:
        blocks += [(message["role"] + block["text"], "cache_control" in block) for block in message["content"]]
    prefix = body["model"]
    for content, breakpoint in blocks:
        prefix += "\x00" + content
        yield prefix, -(-len(prefix) // 4), breakpoint


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_POST(self) -> None:
        body: Body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with self.server.lock:
            self.server.served.bodies.append(body)
            sent = self.headers.get("x-api-key") or self.headers.get("authorization", "").removeprefix("Bearer ")
            self.server.keys.add(sent)
            said = self.server.brain(body)
        if isinstance(said, Error):
            self._error(said)
            return
        self._answer(body, said)

    def _error(self, error: Error) -> None:
        data = json.dumps({"type": "error", "error": {"type": error.type, "message": "no"}}).encode()
        self.send_response(error.status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        if error.retry_after is not None:
            self.send_header("retry-after", error.retry_after)
        self.end_headers()
        self.wfile.write(data)

    def _answer(self, body: Body, said: Say) -> None:
        said_tokens = sum(-(-len(block.get("text", "") + block.get("arguments", "")) // 4) for block in said.content) + 1
        output = min(said_tokens, body["max_tokens"])  # a real model can't say more
        with self.server.lock:
            counts = self.server.count(body)
            served = self.server.served
            if said.cut is None and not said.stall_s:
                served.calls += 1
                served.input, served.cached, served.written = (
                    a + b for a, b in zip((served.input, served.cached, served.written), counts, strict=True)
                )
                served.output += output
            else:
                served.broken += 1
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True
        for number, (name, data) in enumerate(_events(body, said, counts, output)):
            if said.cut is not None and number == said.cut:
                if said.stall_s:
                    time.sleep(said.stall_s)
                return
            self.wfile.write(f"event: {name}\ndata: {json.dumps({'type': name, **data})}\n\n".encode())
            self.wfile.flush()


def _events(body: Body, said: Say, counts: tuple[int, int, int], output: int) -> Iterator[tuple[str, dict[str, Any]]]:
    usage = {"input_tokens": counts[0], "cache_read_input_tokens": counts[1], "cache_creation_input_tokens": counts[2], "output_tokens": 1}
    uses_tool = any(block["type"] == "tool_use" for block in said.content)
    stop = said.stop_reason or ("tool_use" if uses_tool else "end_turn")
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": body["model"], "content": [], "stop_sequence": None}
    yield "message_start", {"message": {**head, "stop_reason": None, "usage": usage}}
    for index, block in enumerate(said.content):
        if block["type"] == "tool_use":
            start: dict[str, Any] = {"type": "tool_use", "id": f"toolu_{index}", "name": block["name"], "input": {}}
            kind, key, value = "input_json_delta", "partial_json", block["arguments"]
        else:
            start, kind, key, value = {"type": "text", "text": ""}, "text_delta", "text", block["text"]
        yield "content_block_start", {"index": index, "content_block": start}
        for offset in range(0, len(value), 2000):
            yield "content_block_delta", {"index": index, "delta": {"type": kind, key: value[offset : offset + 2000]}}
        yield "content_block_stop", {"index": index}
    yield "message_delta", {"delta": {"stop_reason": stop, "stop_sequence": None}, "usage": {"output_tokens": output}}
    yield "message_stop", {}


@contextmanager
def serving(brain: Brain) -> Iterator[Server]:
    server = Server(brain)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
