"""A loopback endpoint of the Messages API whose answers somebody writes by hand, and a look at what a search waits for.

    python benchmarks/llm/by_hand.py serve mail --port 8123
    python benchmarks/llm/by_hand.py status mail work

For each call N the folder `mail` gets N.prompt.md, for reading, and N.request.json, as sent. The call waits for N.answer.json, a
list of content blocks, [{"type": "tool_use", "name": "propose", "input": {...}}], or N.answer.md, plain text. Write under another
name and rename, so that nothing is read half-written. {"status": 529} answers with that error. Standard library alone; listens on
127.0.0.1 and asks for no key.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

POLL_S = 0.2
CHARACTERS_A_TOKEN = 4
KEEP_ALIVE_S = 15.0
"""A ping so often keeps a client from taking the silence for a dead connection."""

Body = dict[str, Any]


def text_of(content: Any) -> str:
    return content if isinstance(content, str) else "\n\n".join(block.get("text", f"[{block.get('type')}]") for block in content or [])


def readable(body: Body) -> str:
    """System text, messages and forms of a request."""
    parts = [text_of(body.get("system"))]
    parts += [f"<!-- {message['role']} -->\n\n{text_of(message['content'])}" for message in body.get("messages", [])]
    for tool in body.get("tools", []):
        parts.append(f"# Form {tool['name']}\n\n{tool.get('description', '')}\n\n{json.dumps(tool['input_schema'])}")
    return "\n\n".join(parts) + "\n"


class Mailbox(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, folder: Path, port: int, patience_s: float) -> None:
        super().__init__(("127.0.0.1", port), Answering)
        folder.mkdir(parents=True, exist_ok=True)
        last = max((int(path.name.partition(".")[0]) for path in folder.glob("*.request.json")), default=0)
        self.folder, self.patience_s, self.numbers = folder, patience_s, itertools.count(last + 1)

    def lay_down(self, body: Body) -> int:
        number = next(self.numbers)
        request, known = json.dumps(body, indent=1), self.answered_before(body)
        (self.folder / f"{number}.request.json").write_text(request, encoding="utf-8")
        (self.folder / f"{number}.prompt.md").write_text(readable(body), encoding="utf-8")
        if known is not None:
            (self.folder / f"{number}.answer.json").write_bytes(known.read_bytes())
        print(f"{number}: {about(readable(body))}{'' if known is None else f' (as {known.name})'}", flush=True)
        return number

    def answered_before(self, body: Body) -> Path | None:
        """The answer to the same request, whose asker went away before it came: a resumed search asks again."""
        for request in self.folder.glob("*.request.json"):
            answer = request.with_name(request.name.replace(".request.", ".answer."))
            if answer.exists() and json.loads(request.read_text(encoding="utf-8")) == body:
                return answer
        return None

    def answers(self, number: int) -> Iterator[Body | None]:
        """None as long as there is no answer, then the answer."""
        text, blocks = self.folder / f"{number}.answer.md", self.folder / f"{number}.answer.json"
        deadline = time.monotonic() + self.patience_s
        while time.monotonic() < deadline:
            if blocks.exists():
                found = json.loads(blocks.read_text(encoding="utf-8"))
                yield {"content": found} if isinstance(found, list) else found
                return
            if text.exists():
                yield {"content": [{"type": "text", "text": text.read_text(encoding="utf-8")}]}
                return
            yield None
            time.sleep(POLL_S)
        yield {"status": 529, "error": {"type": "overloaded_error", "message": "nobody answered in time"}}


def message_of(body: Body, answer: Body, number: int) -> Body:
    content = [{"id": f"toolu_{number}_{i}", **b} if b["type"] == "tool_use" else b for i, b in enumerate(answer["content"])]
    ending = "tool_use" if any(block["type"] == "tool_use" for block in content) else "end_turn"
    usage = {
        "input_tokens": len(readable(body)) // CHARACTERS_A_TOKEN, "output_tokens": len(json.dumps(content)) // CHARACTERS_A_TOKEN,
        "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
    }  # fmt: skip
    return {
        "id": f"msg_{number}", "type": "message", "role": "assistant", "model": body.get("model", "by-hand"), "content": content,
        "stop_sequence": None, "stop_reason": answer.get("stop_reason") or ending, "usage": usage,
    }  # fmt: skip


def block_events(index: int, block: Body) -> Iterator[tuple[str, Body]]:
    if block["type"] == "tool_use":
        start, delta = {**block, "input": {}}, {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
    else:
        start, delta = {"type": "text", "text": ""}, {"type": "text_delta", "text": block.get("text", "")}
    yield "content_block_start", {"index": index, "content_block": start}
    yield "content_block_delta", {"index": index, "delta": delta}
    yield "content_block_stop", {"index": index}


def events_of(message: Body) -> Iterator[tuple[str, Body]]:
    """After the first event, which is sent while the answer is being written."""
    for index, block in enumerate(message["content"]):
        yield from block_events(index, block)
    ended = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    yield "message_delta", {"delta": ended, "usage": {"output_tokens": message["usage"]["output_tokens"]}}
    yield "message_stop", {}


class Answering(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Mailbox

    def log_message(self, *args: Any) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or b"{}")
        if self.path.partition("?")[0] != "/v1/messages":
            return self.send_json(404, {"type": "error", "error": {"type": "not_found_error", "message": self.path}})
        number = self.server.lay_down(body)
        if body.get("stream"):
            return self.stream(body, number)
        answer = next(found for found in self.server.answers(number) if found is not None)
        if "content" not in answer:
            return self.send_json(answer.get("status", 500), {"type": "error", "error": answer.get("error", {})})
        return self.send_json(200, message_of(body, answer, number))

    def stream(self, body: Body, number: int) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True
        try:
            self.send_answer(body, number)
        except OSError:
            (self.server.folder / f"{number}.answer.gone").touch()
            print(f"{number}: nobody waits for it any more", flush=True)

    def send_answer(self, body: Body, number: int) -> None:
        first = message_of(body, {"content": []}, number)
        self.send_event("message_start", {"message": {**first, "stop_reason": None}})
        heard = time.monotonic()
        for answer in self.server.answers(number):
            if answer is None:
                if time.monotonic() - heard > KEEP_ALIVE_S:
                    heard = time.monotonic()
                    self.send_event("ping", {})
            elif "content" in answer:
                for name, data in events_of(message_of(body, answer, number)):
                    self.send_event(name, data)
            else:
                self.send_event("error", {"error": answer.get("error", {"type": "api_error", "message": "by hand"})})

    def send_event(self, name: str, data: Body) -> None:
        self.wfile.write(f"event: {name}\ndata: {json.dumps({'type': name, **data})}\n\n".encode())
        self.wfile.flush()

    def send_json(self, status: int, value: Body) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def about(prompt: str) -> str:
    """The task of a prompt in one line: planning at a node, or the step to write."""
    task = re.findall(r"^# Your task: (\w+)", prompt, re.MULTILINE)
    step = re.search(r"^## The step to take now\n\n([^:\n]*)", prompt, re.MULTILINE)
    node = re.search(r"^This kernel \((node \d+)\)", prompt, re.MULTILINE)
    return " ".join(part for part in (task[-1] if task else "a question", step[1] if step else node[1] if node else "") if part)


def status(mail: Path, work: Path) -> int:
    """What waits; 0 when it is the device's turn, else 1."""
    prompts = [path for path in mail.glob("*.prompt.md") if not list(mail.glob(f"{path.name.partition('.')[0]}.answer.*"))]
    for path in sorted(prompts, key=lambda path: int(path.name.partition(".")[0])):
        print(f"to answer  {path}: {about(path.read_text(encoding='utf-8'))}")
    jobs = [path for path in work.glob("*.job.json") if not path.with_name(path.name.replace(".job.json", ".verdict.json")).exists()]
    print(f"{len(prompts)} to answer, {len(jobs)} to judge" + (": the device's turn" if jobs and not prompts else ""))
    return 0 if jobs and not prompts else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    serving = commands.add_parser("serve", help="answer calls with what is written into the folder")
    serving.add_argument("mail", type=Path)
    serving.add_argument("--port", type=int, default=8123)
    serving.add_argument("--patience", type=float, default=86_400, help="seconds that a call waits for its answer")
    looking = commands.add_parser("status", help="what waits to be answered and to be judged")
    looking.add_argument("mail", type=Path)
    looking.add_argument("work", type=Path)
    options = parser.parse_args()
    if options.command == "status":
        return status(options.mail, options.work)
    Mailbox(options.mail, options.port, options.patience).serve_forever()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
