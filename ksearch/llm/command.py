"""A program as the model: it reads the prompt on its standard input and prints its answer.

For a coding agent's headless mode or a script of one's own. It knows no tools, so the prompt ends by asking for one JSON
object; it runs without a shell, in a process group of its own, which is ended when it takes too long.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass
from typing import IO

from ksearch.llm.openai_api import estimated_usage
from ksearch.llm.types import Broken, Cancelled, Ending, Fatal, Provider, Reply, Request

MOST_BYTES = 4 * 1024 * 1024
POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class CommandProvider:
    """`command` is split like a shell would, and run as it is."""

    command: str
    total_s: float
    name: str = "command"

    def send(self, request: Request, cancel: threading.Event) -> Reply:
        with tempfile.TemporaryFile() as prompt, tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            prompt.write(prompt_of(request).encode("utf-8", "replace"))
            prompt.seek(0)
            status = self._run(prompt, output, errors, cancel)
            text = _read(output)
            if status != 0:
                raise Broken(f"{self._program}: exit status {status}: {_read(errors)[-300:].strip()}")
        return Reply(Ending.COMPLETE, text, (), estimated_usage(request, text), estimated=True)

    def close(self) -> None:
        return None

    @property
    def _program(self) -> str:
        return shlex.split(self.command)[0]

    def _run(self, prompt: IO[bytes], output: IO[bytes], errors: IO[bytes], cancel: threading.Event) -> int:
        try:
            process = subprocess.Popen(shlex.split(self.command), stdin=prompt, stdout=output, stderr=errors, start_new_session=True)
        except OSError as error:
            raise Fatal(f"can't start {self._program}: {error.strerror}") from None
        deadline = time.monotonic() + self.total_s
        while process.poll() is None:
            if cancel.wait(POLL_S) or time.monotonic() > deadline or os.fstat(output.fileno()).st_size > MOST_BYTES:
                _end(process)
                self._explain(cancel, deadline)
        return process.returncode

    def _explain(self, cancel: threading.Event, deadline: float) -> None:
        if cancel.is_set():
            raise Cancelled("the run is ending")
        reason = f"no answer within {self.total_s:g} s" if time.monotonic() > deadline else f"printed more than {MOST_BYTES} bytes"
        raise Broken(f"{self._program}: {reason}")


def prompt_of(request: Request) -> str:
    """The whole request as one text, with the answer's form spelt out."""
    forms = "\n\n".join(f"### {tool.name}\n{tool.description}\n{json.dumps(dict(tool.schema))}" for tool in request.tools)
    ask = (
        "# Form of the answer\n\nAnswer with exactly one JSON object and nothing else: "
        '{"tool": NAME, "arguments": {...}} where the arguments follow the schema of that tool.\n\n' + forms
    )
    return "\n\n".join((request.text(), ask)) if request.tools else request.text()


def _read(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read(MOST_BYTES).decode("utf-8", "replace")


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


_: type[Provider] = CommandProvider
